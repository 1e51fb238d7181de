"""The list, comparisons, and what a result is compared with."""

import html
import json
import re

import pytest

from service.models import RunKind, Submission
from service.submissions import repository, service
from tests.integration.test_result_pages import make_metrics

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }}"


def succeed(
    installation, *, name="flowers", solution="winner", content=b"PK data", alc=0.6, metrics=None
) -> str:
    """A submission with a result of that ALC."""
    submission_id = installation.submit(content, name=name, solution=solution)
    installation.pass_check(submission_id)
    run_id, token = installation.begin(submission_id, RunKind.SOLVE)
    installation.score(run_id, token, (2.0, 0.5, alc / 2), (30.0, 0.9, alc))
    if metrics is not None:
        key = f"{service.run_prefix(run_id)}/metrics.json"
        installation.context.storage.put(key, [json.dumps(metrics).encode()])
    with installation.context.database.write() as session:
        result = service.summarize(repository.list_points(session, run_id), "", 31.0)
        service.finish_solve(session, run_id, token, result=result, error=None)
    return submission_id


def test_the_list_is_narrowed_by_state_and_name(installation) -> None:
    succeed(installation, name="red flowers")
    installation.submit(name="blue birds")

    def names(**query: str) -> list[str]:
        page = installation.http.get("/submissions", params=query).text
        return re.findall(r'<a href="/submissions/[0-9a-f-]{36}">([^<]+)</a>', page)

    assert names() == ["blue birds", "red flowers"]
    assert names(show="done") == ["red flowers"]
    assert names(show="open") == ["blue birds"]
    assert names(find="BIRDS") == ["blue birds"]
    assert names(show="nonsense") == ["blue birds", "red flowers"]
    assert "No submission is like that." in installation.http.get("/submissions?find=x").text


def test_runs_are_ticked_in_the_list_and_compared(installation) -> None:
    good = make_metrics(["cat", "dog", "owl"], noise=0.3)
    bad = make_metrics(["cat", "dog", "owl"], noise=3)
    first = succeed(installation, name="one", alc=0.6, metrics=good)
    second = succeed(installation, name="two", solution="linear", alc=0.4, metrics=bad)
    page = installation.http.get("/submissions").text
    assert page.count('type="checkbox" name="id"') == 2
    compared = installation.http.get("/compare", params={"id": [first, second]}).text
    curve = compared[compared.index('class="curve"') :].partition("</svg>")[0]
    assert curve.count('stroke-width="2.2"') == 2  # two curves, told apart by more than colour
    assert ">A</text>" in curve
    assert ">B</text>" in curve
    assert "A, one: NAUC over time" in curve
    for figure in ("0.6000", "0.4000", "linear"):
        assert figure in compared
    rows = re.findall(r'<tr><th scope="row">(cat|dog|owl)</th>(.*?)</tr>', compared)
    assert len(rows) == 3
    assert all("✓" in cells for _, cells in rows)
    recall = installation.http.get("/compare", params={"id": [first, second], "figure": "recall"})
    assert '<option value="recall" selected>' in recall.text


def test_curves_are_seen_from_near_and_as_a_whole_again(installation) -> None:
    ids = [succeed(installation, name=name) for name in "ab"]
    for page in (f"/submissions/{ids[0]}", f"/compare?id={ids[0]}&id={ids[1]}"):
        whole = installation.http.get(page).text
        (link,) = re.findall(r'href="(\?[^"]*near=1)#', whole)
        near = installation.http.get(page.partition("?")[0] + html.unescape(link)).text
        assert ">0.75</text>" in whole
        assert ">0.75</text>" not in near
        (back,) = re.findall(r'href="(\?[^"]*)#[^"]*">Show the whole axis', near)
        assert html.unescape(back) == "?" + page.partition("?")[2]


def test_what_cannot_be_compared_is_said(installation) -> None:
    first = succeed(installation, content=b"PK one")
    second = succeed(installation, content=b"PK two")
    alone = installation.http.get("/compare", params={"id": first}).text
    assert "There is nothing to compare" in alone
    assert "There is nothing to compare" in installation.http.get("/compare").text
    both = installation.http.get("/compare", params={"id": [first, second]}).text
    assert "These are different data" in both
    answer = installation.http.get("/compare", params={"id": [first, "x"]})
    assert answer.status_code == 404


def test_nothing_compared_is_rendered_unescaped(installation) -> None:
    metrics = make_metrics([HOSTILE, "b"])
    ids = [succeed(installation, name=f"{HOSTILE} {n}", metrics=metrics) for n in range(2)]
    for path in ("/submissions", f"/compare?id={ids[0]}&id={ids[1]}"):
        page = installation.http.get(path).text
        assert "alert(1)" in page
        for live in ("<script>alert", "<img src=x", "\"'><"):
            assert live not in page


def test_a_result_is_compared_with_the_baselines_of_the_same_data(installation) -> None:
    mine = succeed(installation, alc=0.6)
    succeed(installation, solution="linear", alc=0.4)
    succeed(installation, solution="constant", alc=0.7)
    succeed(installation, solution="finetune", alc=0.1, content=b"PK other data")
    page = installation.http.get(f"/submissions/{mine}").text
    said = re.sub(r"\s+", " ", page)
    assert "Better than a linear model by 0.200 ALC" in said
    assert "Worse than guessing by 0.100 ALC" in said
    assert "MobileNetV2" not in said.partition('id="baselines"')[0]  # other data do not count
    assert "A: NAUC over time" in page
    assert "B, constant: NAUC" in page or "B, linear: NAUC" in page


def test_a_difference_within_the_interval_is_no_victory(installation) -> None:
    metrics = make_metrics(["cat", "dog"]) | {"alc_interval": {"low": 0.55, "high": 0.65}}
    mine = succeed(installation, alc=0.6, metrics=metrics)
    succeed(installation, solution="linear", alc=0.58)
    assert (
        "No clear difference to a linear model"
        in installation.http.get(f"/submissions/{mine}").text
    )


def test_baselines_are_run_by_a_button_that_says_what_they_cost(installation) -> None:
    mine = succeed(installation, name="flowers")
    page = installation.http.get(f"/submissions/{mine}").text
    assert "Each counts as one submission of your quota" in page
    form = {"linear": (None, "on"), "constant": (None, "on")}
    answer = installation.http.post(f"/submissions/{mine}/baselines", files=form)
    assert answer.status_code == 200
    with installation.context.database.read() as session:
        made = session.query(Submission).where(Submission.rerun_of == mine).all()
    assert {(s.name, s.solution) for s in made} == {
        ("flowers (linear)", "linear"),
        ("flowers (constant)", "constant"),
    }
    assert 'name="linear"' not in answer.text  # it is asked for already
    assert 'name="finetune"' in answer.text


def test_whoever_has_a_link_sees_no_other_submission(installation) -> None:
    mine = succeed(installation)
    succeed(installation, solution="linear", alc=0.4)
    shown = installation.http.post(f"/submissions/{mine}/share").text
    link = re.search(r'href="http://[^"/]+(/shared/[^"]+)"', shown)[1]
    del installation.http.headers["Authorization"]
    page = installation.http.get(link).text
    assert "ALC" in page
    assert "Better than" not in page
    assert 'id="baselines"' not in page
