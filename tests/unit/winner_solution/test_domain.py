"""Which kind of data it is: the contest's rule, and where it is corrected."""

import numpy as np
import pytest

from winner_solution.domain import Domain, Shape, possible, probe, route

from .fakes import FakeMetadata


@pytest.mark.parametrize(
    ("steps", "rows", "cols", "channels", "compressed", "sparse", "vocabulary", "domain"),
    [
        (1, 32, 32, 3, True, False, (), Domain.IMAGE),
        (1, -1, -1, 3, True, False, (), Domain.IMAGE),
        (1, 28, 28, 1, False, False, (), Domain.IMAGE),
        (1, 1, 64, 3, True, False, (), Domain.IMAGE),  # one row of pixels is still a picture
        (1, 1, 24, 1, False, False, (), Domain.TABLE),
        (1, 40, 1, 1, False, False, (), Domain.TABLE),
        (1, 1, 40000, 1, False, True, (), Domain.TABLE),
        (-1, 1, 1, 384, False, True, ("a", "b"), Domain.TEXT),
        (-1, 1, 1, 1, False, False, ("a", "b"), Domain.TEXT),
        (-1, 1, 1, 1, False, False, (), Domain.SERIES),
        (50, 1, 12, 1, False, False, (), Domain.SERIES),  # vectors, which are no video
        (-1, 1, 1, 6, False, False, (), Domain.SERIES),
        (-1, -1, -1, 3, True, False, (), Domain.VIDEO),
        (20, 60, 80, 1, False, False, (), Domain.VIDEO),
    ],
)
def test_metadata_decide(
    steps, rows, cols, channels, compressed, sparse, vocabulary, domain
) -> None:
    shape = Shape(steps, rows, cols, channels, compressed, sparse, vocabulary, 2)
    assert route(shape) is domain


@pytest.mark.parametrize(("steps", "domain"), [(8000, Domain.AUDIO), (300, Domain.SERIES)])
def test_long_series_of_single_values_are_sound(steps: int, domain: Domain) -> None:
    assert probe(Domain.SERIES, [np.zeros((steps, 1, 1, 1), np.float32)] * 3) is domain


@pytest.mark.parametrize(
    ("rows", "channels", "domains"),
    [
        (1, 1, [Domain.SERIES, Domain.AUDIO]),
        (1, 2, [Domain.SERIES, Domain.AUDIO]),
        (1, 6, [Domain.SERIES]),
        (24, 1, [Domain.VIDEO]),
    ],
)
def test_what_may_be_sound_is_known_before_any_example(
    rows: int, channels: int, domains: list[Domain]
) -> None:
    shape = Shape(-1, rows, rows, channels, False, False, (), 2)
    assert possible(shape) == domains


class _TableMetadata(FakeMetadata):
    def get_channel_to_index_map(self):
        return {"city=Rome": 0, "city=New=York": 1, "a=b=1": 0, "lone": 3}

    def get_feature_to_index_map(self):
        return {"age": 0, "city": 1, "a=b": 2}


def test_columns_whose_values_have_names_are_categories() -> None:
    shape = Shape.of(_TableMetadata((1, 1, 3, 1), 2))
    assert shape.categories == (1, 2)
    assert shape.vocabulary == ()
