"""Blending: calibration keeps the order, a blend beats its members, evidence publishes."""

import numpy as np
import pytest

from winner_solution.ensemble import (
    Member,
    calibrate,
    fill_unknown,
    is_better,
    publishable,
    select,
)
from winner_solution.metric import class_naucs, nauc

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(3, size=600)
LABELS = np.eye(3, dtype=np.float32)[TARGETS]


def member(noise: float, seed: int, rows=None) -> Member:
    rows = np.arange(600) if rows is None else rows
    scores = LABELS + noise * np.random.default_rng(seed).normal(size=LABELS.shape)
    raw = scores[rows].astype(np.float32)
    calibration = calibrate(raw, LABELS[rows], True)
    valid = calibration(raw)
    score = nauc(LABELS[rows], valid)
    return Member("m", "m", rows, valid, score, lambda s, r: raw, calibration)


def test_nauc_is_the_contests() -> None:
    labels = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]], np.float32)
    scores = np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.2], [0.2, 0.1, 0.3]], np.float32)
    assert class_naucs(labels, scores)[:2] == pytest.approx([1.0, 0.5])
    assert np.isnan(class_naucs(labels, scores)[2])
    assert nauc(labels, scores) == pytest.approx(0.75)
    assert nauc(labels[:, 2:], scores[:, 2:]) == 0


def test_calibrated_probabilities_are_near_the_truth() -> None:
    scores = (5 * LABELS + 5 * RNG.normal(size=LABELS.shape)).astype(np.float32)
    p = 1 / (1 + np.exp(-calibrate(scores, LABELS, True)(scores)))
    sure = p > 0.8
    assert LABELS[sure].mean() == pytest.approx(p[sure].mean(), abs=0.07)


def test_a_blend_is_better_than_its_members() -> None:
    members = [member(1.0, seed) for seed in range(4)]
    blend = select(members, LABELS)
    assert len(blend.members) > 1
    assert blend.score > max(m.score for m in members) + 0.02
    assert sum(blend.weights) == pytest.approx(1)


def test_a_useless_member_gets_no_weight() -> None:
    good, bad = member(0.5, 1), member(1e6, 2)
    assert select([good, bad], LABELS).members == [good]


def test_members_are_compared_on_the_rows_they_share() -> None:
    part, whole = member(0.8, 1, np.arange(0, 600, 3)), member(0.8, 2)
    assert np.array_equal(select([part, whole], LABELS).valid(part.rows).shape, (200, 3))


def test_only_evidence_makes_a_blend_better() -> None:
    good, worse = select([member(0.6, 1)], LABELS), select([member(1.5, 2)], LABELS)
    assert is_better(good, worse, LABELS)
    assert not is_better(worse, good, LABELS)
    assert not is_better(good, good, LABELS)


def test_published_scores_keep_their_order_with_six_digits() -> None:
    log_odds = np.linspace(-40, 40, 500, dtype=np.float32)[:, None]
    written = np.array([float(f"{p:g}") for p in publishable(log_odds)[:, 0]])
    assert (np.diff(written) >= 0).all()
    assert (np.diff(written) > 0).mean() > 0.95
    assert ((0 <= written) & (written <= 1)).all()


def test_rows_without_a_prediction_get_the_median() -> None:
    scores = np.array([[1, 2], [3, 4], [5, 9], [np.nan, np.nan]], np.float32)
    assert fill_unknown(scores)[3] == pytest.approx([3, 4])
