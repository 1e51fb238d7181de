"""What a run left, to read: predictions, the report, and a failure."""

import base64
import json
import re

import pytest

from service.models import RunKind, Submission
from service.submissions import service
from tests.integration.test_comparing_pages import HOSTILE, succeed
from tests.integration.test_result_pages import make_metrics

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HEADER = "subset,row,item,prediction,score,label,right"
RESOURCES = {
    "schema": "autodl-resources/1",
    "budget_from_seconds": 1.0,
    "seconds": [1.0, 2.0, 3.0],
    "memory_bytes": [1e9, 2e9, 1.5e9],
    "cpu_seconds": [1.0, 2.5, 4.0],
}


def make_answers(count: int = 120) -> bytes:
    lines = [HEADER]
    for row in range(count):
        right = "yes" if row % 3 else "no"
        score = f"{(row * 37 % 100) / 100:.2f}"
        lines.append(f"test,{row},t{row}.png,{'cat' if row % 2 else 'dog'},{score},cat,{right}")
    lines += [f"unlabelled,{row},new{row}.png,owl,0.{row}1,," for row in range(9)]
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture
def predicted(installation):
    """A submission with answers."""
    submission_id = installation.submit(name="flowers")
    installation.succeed(submission_id, {"answers.csv": make_answers()})
    return submission_id


def list_items(page: str) -> list[str]:
    return re.findall(r'<tr><th scope="row">([^<]+)</th>', page)


def test_predictions_are_looked_through_page_by_page(installation, predicted, monkeypatch) -> None:
    monkeypatch.setattr("service.web.preview.SHOWN", 50)
    path = f"/submissions/{predicted}/predictions"
    first = installation.http.get(path).text
    assert list_items(first)[:2] == ["t0.png", "t1.png"]
    assert "1 to 50 of 129 items." in first
    (following,) = re.findall(r'href="(\?[^"]+)" rel="next"', first)
    second = installation.http.get(path + following.replace("&amp;", "&")).text
    assert list_items(second)[0] == "t50.png"
    assert "There is no such page." in installation.http.get(f"{path}?page=9").text


def test_predictions_are_filtered_and_ordered(installation, predicted) -> None:
    def find(**query: str) -> list[str]:
        path = f"/submissions/{predicted}/predictions"
        return list_items(installation.http.get(path, params=query).text)

    assert len(find(subset="unlabelled")) == 9
    assert find(subset="unlabelled", order="surest")[0] == "new8.png"
    assert find(subset="unlabelled", order="doubtful")[0] == "new0.png"
    assert find(item="T11.PNG") == ["t11.png"]
    assert {name.strip("t.png") for name in find(right="no")} == {
        str(row) for row in range(0, 120, 3)
    }
    found = find(predicted="dog", right="no", order="surest", item="t6")
    assert found == ["t66.png", "t6.png", "t60.png"]
    answer = installation.http.get(f"/submissions/{predicted}/predictions?order=sideways")
    assert answer.status_code == 422


def test_the_page_shows_the_first_of_the_unlabelled_part(installation, predicted) -> None:
    page = installation.http.get(f"/submissions/{predicted}").text
    assert "Predictions for the unlabelled part" in page
    assert "new4.png" in page
    assert "new5.png" not in page
    assert "The first 5 of 9." in page


def test_a_run_without_answers_has_an_empty_preview(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id)
    page = installation.http.get(f"/submissions/{submission_id}/predictions").text
    assert "No prediction is like that." in page


def test_the_report_is_one_file_that_needs_nothing_else(installation) -> None:
    submission_id = succeed(installation, metrics=make_metrics(["cat", "dog", "owl"]))
    succeed(installation, solution="linear", alc=0.3)
    path = f"/submissions/{submission_id}/report"
    answer = installation.http.get(path)
    report, page = answer.text, installation.http.get(f"/submissions/{submission_id}").text
    assert re.search(r"\b(href|src|action)=|url\(|@import|<script", report) is None
    for part in ("Class by class", "What it takes for what", "How sure, how right", "0.6000"):
        assert part in report
        assert part in page
    assert "Better than a linear model" in report
    assert "<details open>" in report
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"].replace("sandbox", "")
    kept = installation.http.get(f"{path}?download=1")
    assert kept.headers["content-disposition"] == "attachment; filename*=UTF-8''flowers.html"


def test_the_report_renders_nothing_unescaped(installation) -> None:
    submission_id = succeed(
        installation, name=HOSTILE, metrics=make_metrics([HOSTILE, "</style>", "c"])
    )
    report = installation.http.get(f"/submissions/{submission_id}/report").text
    assert "alert(1)" in report
    for live in ("<script>alert", "<img src=x", "\"'><"):
        assert live not in report
    assert report.count("</style>") == 1


def fail(installation, files: dict[str, bytes], *, solution: str = "mine", **error: str) -> str:
    submission_id = installation.submit(name="flowers")
    installation.pass_check(submission_id)
    run_id, token = installation.begin(submission_id, RunKind.SOLVE)
    for path, content in files.items():
        installation.context.storage.put(f"{service.run_prefix(run_id)}/{path}", [content])
    told = {"hint": "", "file": None, "record": None, "line": None} | error
    with installation.context.database.write() as session:
        session.get_one(Submission, submission_id).solution = solution
        service.finish_solve(session, run_id, token, result=None, error=told)
    return submission_id


def test_a_failure_says_whose_fault_what_happened_what_it_cost_and_what_to_do(installation) -> None:
    programs = {
        "solve": {"exit_code": 1, "signal": None, "seconds": 3.25, "timed_out": False},
        "score": {"exit_code": None, "signal": 9, "seconds": 3.0, "timed_out": False},
    }
    failure = {"programs": {name: end | {"error": None} for name, end in programs.items()}}
    files = {
        "log.txt": b"first\n" + b"\n".join(b"line %d" % n for n in range(30)) + b"\n",
        "resources.json": json.dumps(RESOURCES).encode(),
        "failure.json": json.dumps(failure).encode(),
    }
    submission_id = fail(
        installation,
        files,
        family="solution",
        code="solution-out-of-memory",
        message="It used more than `4096` MiB.",
        hint="Use smaller batches.",
    )
    page = installation.http.get(f"/submissions/{submission_id}").text
    story = page[page.index('id="failure"') :].partition("</section>")[0]
    for part in (
        "The solution failed",
        "more than <code>4096</code> MiB",
        "Use smaller batches.",
        "Nothing: your quota has the submission and its time back.",
        "by signal 9",
        "line 29",
    ):
        assert part in story
    assert "first" not in story  # only the last lines
    assert "At most 2 GB of memory in 3 s" in page
    assert "Processor cores in use" in page


def test_a_failure_of_our_own_solution_asks_no_user_to_mend_it(installation) -> None:
    told = {"family": "solution", "code": "solution-out-of-memory", "message": "x"}
    submission_id = fail(installation, {}, solution="winner", hint="Use smaller batches.", **told)
    page = installation.http.get(f"/submissions/{submission_id}").text
    story = page[page.index('id="failure"') :].partition("</section>")[0]
    assert "The solution failed" in story
    assert "the fault is ours" in story
    assert "with another solution" in story
    assert "Nothing: your quota has the submission and its time back." in story
    assert "Use smaller batches." not in story
    assert "the solution failed" in installation.http.get("/account").text


def test_a_platforms_failure_is_called_our_fault(installation) -> None:
    page = installation.http.get(
        f"/submissions/{fail(installation, {}, family='platform', code='run-lost', message='x')}"
    ).text
    assert "The platform failed: this was our fault" in page
    assert "Nothing is wrong with your data." in page


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"seconds": [1.0, 2.0]},
        {"seconds": [3.0, 2.0, 1.0]},
        {"memory_bytes": ["<b>", 1, 2]},
        {"cpu_seconds": [1.0, 1e400, 2.0]},
    ],
)
def test_what_the_solution_could_write_is_believed_in_form_only(installation, change) -> None:
    files = {"resources.json": json.dumps(RESOURCES | change).encode(), "log.txt": b"x"}
    submission_id = fail(installation, files, family="solution", code="no-prediction", message="x")
    answer = installation.http.get(f"/submissions/{submission_id}")
    assert answer.status_code == 200
    assert "Memory and processor" not in answer.text


def test_the_surest_mistakes_are_shown_with_what_they_look_and_sound_like(installation) -> None:
    metrics = make_metrics(["cat", "dog"], noise=2)
    rows = [mistake["row"] for mistake in metrics["mistakes"][:3]]
    picture, sound = base64.b64encode(b"JPEG").decode(), base64.b64encode(b"WAVE").decode()
    common = {"labels": [], "is_named": False, "sound": ""}
    items = [
        common | {"record": rows[0], "kind": "picture", "content": picture},
        common | {"record": rows[1], "kind": "wave", "content": [[-1, 1]], "sound": sound},
        common | {"record": rows[2], "kind": "text", "content": HOSTILE},
    ]
    files = {"metrics.json": metrics, "mistakes.json": {"items": items}}
    submission_id = installation.submit()
    installation.succeed(submission_id, {k: json.dumps(v).encode() for k, v in files.items()})
    page = installation.http.get(f"/submissions/{submission_id}").text
    own = f"/submissions/{submission_id}/mistakes"
    assert f'src="{own}/{rows[0]}.jpg"' in page
    assert f'src="{own}/{rows[1]}.wav"' in page
    assert "alert(1)" in page
    assert "<script>alert" not in page
    shown = installation.http.get(f"{own}/{rows[0]}.jpg")
    assert (shown.content, shown.headers["content-type"]) == (b"JPEG", "image/jpeg")
    assert "sandbox" in shown.headers["content-security-policy"]
    assert installation.http.get(f"{own}/{rows[1]}.wav").content == b"WAVE"
    for missing in (f"{rows[2]}.jpg", f"{rows[0]}.wav", f"{rows[0]}.html", "999.jpg"):
        assert installation.http.get(f"{own}/{missing}").status_code == 404, missing
    report = installation.http.get(f"/submissions/{submission_id}/report").text
    assert f"data:image/jpeg;base64,{picture}" in report
    assert f"data:audio/wav;base64,{sound}" in report
    assert own not in report
