"""split: stratified, seeded, and never against the source."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodl.errors import UsageError
from formatter.source import Row
from formatter.split import split

LABELS = st.lists(st.sampled_from("abcd"), min_size=12, max_size=200)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 5), st.sampled_from([0.2, 0.35, 0.5]))
def test_each_class_gives_its_share_within_one(labels: list[str], seed: int, share: float) -> None:
    rows = [Row(str(n), (label,)) for n, label in enumerate(labels)]
    done = split(rows, share, seed)
    assert [r.name for r in done] == [r.name for r in rows]
    for label, count in Counter(labels).items():
        taken = sum(r.subset == "test" for r in done if r.labels == (label,))
        assert abs(taken - share * count) <= 1 or count == 1
        assert taken < count  # what is tested can be learnt


def test_a_given_split_is_kept() -> None:
    rows = [Row("a", ("x",), "train"), Row("b", ("y",), "test")]
    assert split(rows, 0.2, 0) == rows


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        split([Row("a", ("x",)), Row("b", ("y",))], 0.2, 0)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        split([Row("a", ("x",))] * 10, share, 0)
