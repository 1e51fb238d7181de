"""Wrong labels are found where the classes can be told apart, and nothing is said elsewhere."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autodl.check import check
from autodl.dataset import Dataset, open_subset
from autodl.errors import UsageError
from autodl.features import quick_features
from autodl.label_issues import SMALL_EXAMPLES, find_label_issues
from autodl.metadata import Format
from autodl.records import Example, SparseValues
from tests.hostile import datasets as make

WRONG = (7, 50)
SPREAD = 0.3


def rows(count: int, told_apart: bool = True) -> list[Example]:
    """Tables of three classes around three corners, two rows of which have the wrong label."""
    random = np.random.default_rng(0)
    examples = []
    for index in range(count):
        corner = np.eye(4)[index % 3] if told_apart else np.zeros(4)
        given = (index + 1) % 3 if index in WRONG else index % 3
        values = random.normal(corner, SPREAD if told_apart else 1).astype(np.float32)
        examples.append(Example(index, np.array([given]), np.ones(1), dense=values[None]))
    return examples


def write(root: Path, examples: list[Example]) -> Dataset:
    make.table(root)
    make.write_subset(root / "d.data/train", make.spec_of(Format.DENSE), examples)
    return open_subset(root / "d.data/train")


def everything(dataset: Dataset) -> np.ndarray:
    return np.ones(len(dataset), bool)


def test_wrong_labels_are_named_with_record_and_likely_class(tmp_path: Path) -> None:
    write(tmp_path, rows(120))
    report = check(tmp_path)
    found = {f.record: f for f in report.findings if f.code == "label-suspicious"}
    assert set(WRONG) <= set(found)
    assert len(found) <= len(WRONG) + 2
    assert found[7].message == "Labelled 2, the example looks like 1."
    assert {finding.severity for finding in found.values()} == {"note"}
    assert report.summary["label_issues"] == {"state": "checked", "count": len(found)}


def test_nothing_is_said_where_classes_cannot_be_told_apart(tmp_path: Path) -> None:
    dataset = write(tmp_path, rows(120, told_apart=False))
    issues = find_label_issues(dataset, everything(dataset), None)
    assert (issues.state, issues.issues) == ("classes-not-told-apart", ())


def test_few_examples_are_left_alone(tmp_path: Path) -> None:
    few = write(tmp_path / "few", rows(30))
    assert find_label_issues(few, everything(few), None).state == "too-few-examples"
    both = [replace(e, label_index=np.array([0, 1]), label_score=np.ones(2)) for e in rows(60)]
    always = write(tmp_path / "always", both)
    assert find_label_issues(always, everything(always), None).state == "too-few-examples"


def test_of_several_labels_each_is_looked_at_by_itself(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    has = random.random((200, 2)) < 0.5
    values = random.normal(np.hstack([has, has]), SPREAD).astype(np.float32)
    guess = random.random(200) < 0.5  # a third label, which nothing tells
    given = np.column_stack([has, guess])
    given[9, 0], given[30, 1] = True, False
    values[9, ::2], values[30, 1::2] = -1, 2
    examples = [
        Example(i, np.flatnonzero(row), np.ones(row.sum()), dense=values[i : i + 1])
        for i, row in enumerate(given)
    ]
    dataset = write(tmp_path, examples)
    issues = find_label_issues(dataset, everything(dataset), None)
    found = {f.record: f.message for f in issues.findings(["a", "b", "c"], "train")}
    assert found[9] == "Labelled a, the example does not look like it."
    assert found[30] == "Not labelled b, the example looks like it."
    assert len(found) <= 6
    assert not any("labelled c" in message.lower() for message in found.values())


def test_large_datasets_are_looked_at_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SMALL_EXAMPLES >= 1000
    monkeypatch.setattr("autodl.label_issues.SMALL_EXAMPLES", 100)
    dataset = write(tmp_path, rows(120))
    assert find_label_issues(dataset, everything(dataset), None).state == "not-asked"
    assert find_label_issues(dataset, everything(dataset), False).state == "not-asked"
    assert find_label_issues(dataset, everything(dataset), True).state == "checked"


def test_without_the_extra_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cleanlab" else real(name)
    )
    dataset = write(tmp_path, rows(60))
    assert find_label_issues(dataset, everything(dataset), None).state == "not-installed"
    with pytest.raises(UsageError, match=r"autodl-self-service\[labels\]") as caught:
        find_label_issues(dataset, everything(dataset), True)
    assert caught.value.code == "labels-extra-missing"


@pytest.mark.parametrize(
    "build",
    [make.table, make.images, make.videos, make.series, make.sparse, make.text, make.speech],
)
def test_every_kind_of_example_has_quick_features(build: make.Make, tmp_path: Path) -> None:
    build(tmp_path)
    path = tmp_path / "d.data/train"
    dataset = open_subset(path if path.exists() else path.with_suffix(".pkl"))
    features = quick_features(dataset, np.arange(len(dataset)))
    assert features.dtype == np.float32
    assert len(features) == len(dataset)
    assert np.isfinite(features).all()
    assert features.std(0).max() > 0


def test_odd_examples_have_features_too(tmp_path: Path) -> None:
    long = np.sin(np.arange(2000) / 9).astype(np.float32)[:, None]
    spec = make.spec_of(Format.DENSE, -1, col_count=1)
    ends = [np.zeros((0, 1), np.float32), long, long * np.nan]
    make.write_subset(tmp_path / "train", spec, [Example(i, dense=d) for i, d in enumerate(ends)])
    series = open_subset(tmp_path / "train")
    for index in range(len(ends)):
        assert np.isfinite(quick_features(series, np.array([index]))).all()
    sparse = make.spec_of(Format.SPARSE, col_count=20)
    make.write_subset(tmp_path / "empty", sparse, [Example(0, sparse=SparseValues())])
    assert not quick_features(open_subset(tmp_path / "empty"), np.arange(1)).any()
