"""What a person sees of a result, and does with it."""

import json
import re

import numpy as np
import pytest

from autodl.metrics import measure
from service.web.figures import (
    CONFUSIONS,
    MAX_NAMED,
    confusion_svg,
    list_confusions,
    pick_classes,
    say_calibration,
)

HOSTILE = ["<script>alert(1)</script>", '" onload="x', "a&b", "喵" * 40, "{{ 7*7 }}"]


def make_metrics(classes: list[str], rows: int = 200, noise: float = 0.8) -> dict:
    random = np.random.default_rng(0)
    true = random.integers(0, len(classes), rows)
    scores = np.eye(len(classes))[true] + random.random((rows, len(classes))) * noise * 2
    scores /= scores.sum(1, keepdims=True)
    items = [f"<b>{row}</b>" for row in range(rows)]
    found = measure(np.eye(len(classes))[true], scores, classes=classes, items=items)
    return json.loads(json.dumps(found.to_json()))


def test_a_result_is_explained_class_by_class(installation) -> None:
    submission_id = installation.submit()
    metrics = make_metrics(["cat", "dog", "owl"])
    installation.succeed(submission_id, {"metrics.json": json.dumps(metrics).encode()})
    page = installation.http.get(f"/submissions/{submission_id}").text
    for heading in (
        "Class by class",
        "What it takes for what",
        "How sure, how right",
        "Sure, and wrong",
    ):
        assert heading in page
    worst = min(metrics["classes"], key=lambda c: c["f1"])["name"]
    assert (
        re.search(r'<tbody>\s*<tr><th scope="row">(\w+)', page[page.index("Class by class") :])[1]
        == worst
    )
    low = metrics["nauc_interval"]["low"]
    assert f"{low:.3f} to " in page


def test_nothing_of_a_user_is_rendered_unescaped(installation) -> None:
    submission_id = installation.submit()
    metrics = make_metrics(HOSTILE)
    installation.succeed(submission_id, {"metrics.json": json.dumps(metrics).encode()})
    page = installation.http.get(f"/submissions/{submission_id}").text
    assert "<script>alert" not in page
    assert '" onload="x' not in page
    assert "<b>" not in page
    assert "{{ 7*7 }}" in page
    assert " style=" not in page  # which the content security policy forbids


def test_a_run_without_metrics_has_its_page_too(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id)
    assert "Class by class" not in installation.http.get(f"/submissions/{submission_id}").text


@pytest.mark.parametrize("number", [2, 20, 100, 1000])
def test_a_confusion_matrix_is_readable_and_small_at_any_size(number) -> None:
    """Nearly every cell has an item: what the picture weighs at most."""
    metrics = make_metrics([f"class {n}" for n in range(number)], rows=20_000, noise=3)
    picture = confusion_svg(metrics)
    assert len(picture) < 40_000
    assert ("class 1</text>" in picture) == (number <= MAX_NAMED)
    counts = [c.count for c in list_confusions(metrics)]
    assert counts == sorted(counts, reverse=True)


def test_each_shade_of_a_confusion_matrix_stands_where_it_belongs() -> None:
    classes = [{"name": name, "support": 4} for name in "abc"]
    metrics = {"classes": classes, "confusion": [[0, 0, 1], [0, 1, 1], [0, 2, 2], [2, 2, 4]]}
    strokes = re.findall(r'<path d="([Mh\d ]+)" stroke-opacity="([\d.]+)"', confusion_svg(metrics))
    assert strokes == [("M0 0h2", "0.38"), ("M2 0h1", "0.56"), ("M2 2h1", "1.00")]


@pytest.mark.parametrize("number", [100, 1000])
def test_the_page_of_very_many_classes_is_light(installation, number) -> None:
    names = [f"a class whose number is {n}" for n in range(number)]
    submission_id = installation.submit()
    metrics = make_metrics(names, rows=20_000, noise=3)
    installation.succeed(submission_id, {"metrics.json": json.dumps(metrics).encode()})
    page = installation.http.get(f"/submissions/{submission_id}").text
    assert len(page.encode()) < 100_000
    assert page.count('<th scope="row">a class') <= MAX_NAMED + CONFUSIONS
    assert ("The first 100 of 1,000" in page) == (number == 1000)


def test_calibration_is_said_in_words() -> None:
    sure = {"ece": 0.3, "bins": [{"count": 10, "confidence": 0.9, "accuracy": 0.6}]}
    assert "surer than it is right" in say_calibration(sure)
    assert "at their word" in say_calibration(sure | {"ece": 0.01})


def test_a_result_is_shared_run_again_and_deleted_by_buttons(installation) -> None:
    submission_id = installation.submit()
    installation.succeed(submission_id)
    path = f"/submissions/{submission_id}"
    shown = installation.http.post(f"{path}/share").text
    link = re.search(r'href="http://[^"/]+(/shared/[^"]+)"', shown)[1]
    assert "Revoke the link" in installation.http.get(path).text
    installation.http.post(f"{path}/unshare")
    assert installation.http.get(link).status_code == 403
    again = installation.http.post(f"{path}/rerun", follow_redirects=False)
    assert again.headers["Location"].startswith("/submissions/")
    assert again.headers["Location"] != path
    installation.http.post(f"{path}/delete")
    assert installation.http.get(path).status_code == 410


def test_of_very_many_classes_those_that_are_confused_most_are_drawn() -> None:
    classes = [{"name": f"class {n}", "support": 600} for n in range(150)]
    right = [[n, n, 99] for n in range(150)]
    metrics = {"classes": classes, "confusion": [*right, [140, 149, 500]]}
    shown = pick_classes(metrics)
    assert len(shown) == MAX_NAMED
    assert shown == sorted(shown)
    assert {140, 149} <= set(shown)
    assert list_confusions(metrics)[0].count == 500
