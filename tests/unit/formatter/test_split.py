"""split: stratified, seeded, and never against the source."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodl.errors import UsageError
from formatter.source import SUBSETS, Index, IndexBuilder, Subset
from formatter.split import split

LABELS = st.lists(st.sampled_from("abcd"), min_size=12, max_size=200)
TEST = SUBSETS.index("test")


def index_of(rows: Iterable[tuple[str, Subset | None]]) -> Index:
    builder = IndexBuilder()
    for number, (label, subset) in enumerate(rows):
        builder.add(str(number), (label,), subset)
    return builder.build()


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 5), st.sampled_from([0.2, 0.35, 0.5]))
def test_each_class_gives_its_share_within_one(labels: list[str], seed: int, share: float) -> None:
    chosen = split(index_of((label, None) for label in labels), share, seed) == TEST
    for label, count in Counter(labels).items():
        taken = int(chosen[[name == label for name in labels]].sum())
        assert abs(taken - share * count) <= 1 or count == 1
        assert taken < count  # what is tested can be learnt


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=12, max_size=100), st.integers(0, 5))
def test_a_group_is_on_one_side(groups: list[int], seed: int) -> None:
    index = index_of(("ab"[group % 2], None) for group in groups)
    grouped = Index(
        index.label_sets, index.labels, index.subsets, groups=np.array(groups, np.int32)
    )
    try:
        chosen = split(grouped, 0.5, seed) == TEST
    except UsageError:  # two groups, one of each label
        return
    sides = {(group, bool(side)) for group, side in zip(groups, chosen, strict=True)}
    assert len(sides) == len(set(groups))


def test_a_given_split_is_kept() -> None:
    index = index_of([("x", "train"), ("y", "test"), ("x", "unlabelled")])
    assert split(index, 0.2, 0).tolist() == [SUBSETS.index(s) for s in SUBSETS]


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        split(index_of([("x", None), ("y", None)]), 0.2, 0)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(index_of([("x", None)] * 10), share, 0)


def test_a_rare_label_is_tested_too_where_three_have_it() -> None:
    index = index_of((label, None) for label in ["x"] * 40 + ["y"] * 3 + ["z"] * 2)
    for seed in range(20):
        chosen = split(index, 0.1, seed) == TEST
        assert chosen[40:43].sum() == 1
        assert chosen[43:].sum() <= 1
