"""The figures beside the score, against scikit-learn and against truths that are known."""

import json
from statistics import NormalDist

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from autodl import bootstrap
from autodl.bootstrap import Interval
from autodl.errors import SolutionError
from autodl.metrics import measure
from autodl.score import LearningCurve, accuracy, nauc, soft_accuracy

EXACT = 1e-12


def multi_class(rows: int = 400, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    truth = np.eye(classes)[random.integers(classes - 1, size=rows)]  # one class is never true
    scores = np.exp(truth * 1.5 + random.normal(size=truth.shape))
    return truth, scores / scores.sum(axis=1, keepdims=True)


def multi_label(rows: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    truth = (random.random((rows, classes)) < 0.3).astype(float)
    return truth, np.clip(truth * 0.4 + random.random(truth.shape) * 0.7, 0, 1)


def test_multi_class_figures_are_those_of_scikit_learn() -> None:
    truth, scores = multi_class()
    measured = measure(truth, scores)
    actual, predicted = truth.argmax(axis=1), scores.argmax(axis=1)
    expected = sk.precision_recall_fscore_support(
        actual, predicted, labels=range(5), zero_division=0
    )
    for column, of_class in enumerate(measured.classes):
        figures = (of_class.precision, of_class.recall, of_class.f1, of_class.support)
        assert [f or 0 for f in figures] == pytest.approx([e[column] for e in expected], abs=EXACT)
        if of_class.support:
            area = sk.roc_auc_score(truth[:, column], scores[:, column])
            assert (of_class.auc, of_class.nauc) == pytest.approx((area, 2 * area - 1), abs=EXACT)
    assert (measured.classes[4].auc, measured.classes[4].recall) == (None, None)
    macro = sk.precision_recall_fscore_support(
        actual, predicted, labels=range(4), average="macro", zero_division=0
    )
    figures = (measured.macro_precision, measured.macro_recall, measured.macro_f1)
    assert figures == pytest.approx(macro[:3], abs=EXACT)
    assert measured.macro_recall == pytest.approx(sk.balanced_accuracy_score(actual, predicted))
    matrix = np.zeros((5, 5))
    for true, said, count in measured.confusion or ():
        matrix[true, said] = count
    assert (matrix == sk.confusion_matrix(actual, predicted, labels=range(5))).all()


def test_multi_label_figures_are_those_of_scikit_learn() -> None:
    truth, scores = multi_label()
    measured = measure(truth, scores)
    decided = scores >= 0.5
    matrices = sk.multilabel_confusion_matrix(truth, decided)
    for of_class, ((tn, fp), (fn, tp)) in zip(measured.classes, matrices, strict=True):
        counts = (of_class.true_negatives, of_class.false_positives)
        assert (*counts, of_class.false_negatives, of_class.true_positives) == (tn, fp, fn, tp)
    assert measured.macro_f1 == pytest.approx(sk.f1_score(truth, decided, average="macro"))
    assert measured.confusion is None
    assert measured.calibration is not None
    assert measured.calibration.brier == pytest.approx(
        sk.brier_score_loss(truth.ravel(), scores.ravel())
    )


@pytest.mark.parametrize("data", [multi_class, multi_label])
def test_the_scorers_own_figures_are_among_them(data) -> None:
    truth, scores = data()
    measured = measure(truth, scores)
    assert (measured.nauc, measured.accuracy) == (nauc(truth, scores), accuracy(truth, scores))
    expected = soft_accuracy(truth, scores) if data is multi_class else None
    assert measured.soft_accuracy == expected


def test_calibration_is_scikit_learns_in_the_same_bins() -> None:
    truth, scores = multi_class()
    calibration = measure(truth, scores).calibration
    assert calibration is not None
    right = truth[np.arange(400), scores.argmax(axis=1)]
    shares, means = calibration_curve(right, scores.max(axis=1), n_bins=10)
    assert [b.accuracy for b in calibration.bins] == pytest.approx(shares)
    assert [b.confidence for b in calibration.bins] == pytest.approx(means)
    assert sum(b.count for b in calibration.bins) == 400
    brier = sk.brier_score_loss(truth.argmax(1), scores, labels=range(5), scale_by_half=False)
    assert calibration.brier == pytest.approx(brier)


def test_a_probability_that_keeps_its_word_has_no_calibration_error() -> None:
    truth = np.repeat(np.eye(2), [75, 25], axis=0)
    kept = measure(truth, np.tile([0.75, 0.25], (100, 1))).calibration
    broken = measure(truth, np.tile([0.95, 0.05], (100, 1))).calibration
    assert kept is not None
    assert broken is not None
    assert kept.ece == pytest.approx(0)
    assert broken.ece == pytest.approx(0.2)


def test_scores_that_are_no_probabilities_are_not_judged_as_such() -> None:
    truth, scores = multi_class()
    log_odds = measure(truth, np.log(scores / (1 - scores)))
    assert log_odds.calibration is None
    assert log_odds.nauc == pytest.approx(nauc(truth, scores))


def test_soft_labels_count_as_probabilities_and_only_ones_make_the_area() -> None:
    truth = np.array([[1.0, 0.2], [0.6, 0.9], [0.1, 1.0], [0.0, 0.4]])
    scores = np.array([[0.8, 0.1], [0.7, 0.6], [0.2, 0.9], [0.3, 0.5]])
    measured = measure(truth, scores)
    assert measured.task == "multi-label"
    assert [c.support for c in measured.classes] == [2, 2]
    assert measured.classes[0].auc == sk.roc_auc_score([1, 0, 0, 0], scores[:, 0])
    assert measured.calibration is not None
    assert measured.calibration.brier == pytest.approx(((truth - scores) ** 2).mean())


def test_the_most_confident_mistakes_come_first_with_their_names() -> None:
    truth = np.eye(3)[[0, 1, 2, 0]]
    scores = np.array([[0.9, 0.1, 0], [0.7, 0.2, 0.1], [0.05, 0.95, 0], [0.3, 0.3, 0.4]])
    items = ["a.png", "b.png", "c.png", "d.png"]
    found = measure(truth, scores, classes=["cat", "dog", "fox"], items=items).mistakes
    assert [(m.item, m.true, m.predicted, m.probability) for m in found] == [
        ("c.png", ("fox",), ("dog",), 0.95),
        ("b.png", ("dog",), ("cat",), 0.7),
        ("d.png", ("cat",), ("fox",), 0.4),
    ]


def test_a_mistake_among_many_labels_names_the_one_most_wrongly_judged() -> None:
    truth = np.array([[1.0, 0, 1], [0, 0, 1]])
    scores = np.array([[0.02, 0.6, 0.9], [0.1, 0.2, 0.7]])
    (mistake,) = measure(truth, scores, classes=["sea", "sky", "sun"]).mistakes
    assert (mistake.row, mistake.true, mistake.predicted) == (0, ("sea", "sun"), ("sky", "sun"))
    assert (mistake.class_name, mistake.probability) == ("sea", 0.02)


@pytest.mark.parametrize(
    ("truth", "scores"),
    [
        (np.ones((3, 1)), np.zeros((3, 1))),
        (np.zeros((2, 3)), np.full((2, 3), 0.5)),
        (np.eye(2)[[0, 0]], np.array([[np.inf, 0], [-np.inf, np.inf]])),
        (np.eye(3)[:1], np.full((1, 3), 1e300)),
    ],
    ids=["one class only", "no label at all", "infinite", "one row"],
)
def test_odd_test_sets_have_finite_figures_or_none(truth, scores) -> None:
    json.dumps(measure(truth, scores).to_json(), allow_nan=False)


def test_what_cannot_be_scored_is_refused_as_scoring_does() -> None:
    with pytest.raises(SolutionError, match="shape"):
        measure(np.eye(3), np.eye(2))


def test_intervals_are_seeded_and_hold_their_score() -> None:
    truth, scores = multi_class()
    first, second = measure(truth, scores), measure(truth, scores)
    assert first == second
    assert first.nauc_interval is not None
    assert first.nauc_interval.low < first.nauc < first.nauc_interval.high
    assert first.accuracy_interval is not None
    assert first.accuracy_interval.low < first.accuracy < first.accuracy_interval.high


def test_a_resample_is_scored_as_the_scorer_would_score_it() -> None:
    random = np.random.default_rng(3)
    truth = np.eye(3)[random.integers(3, size=50)]
    scores = np.round(random.random((50, 3)), 1)  # with ties
    (weights,) = bootstrap._draw(50, 100)
    samples = bootstrap.nauc_samples(truth, scores, 100)
    for number in range(100):
        rows = np.repeat(np.arange(50), weights[:, number].astype(int))
        assert len(rows) == 50
        assert samples[number] == pytest.approx(nauc(truth[rows], scores[rows]), abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "positives", "distance"), [(150, 60, 1.0), (40, 20, 2.0), (60, 20, 1.5)]
)
def test_the_interval_covers_the_true_area_as_often_as_it_says(rows, positives, distance) -> None:
    random = np.random.default_rng(4)
    covered, trials = 0, 200
    true = 2 * NormalDist().cdf(distance / 2**0.5) - 1  # of two normals so far apart
    for _ in range(trials):
        labels = (np.arange(rows) < positives).astype(float)
        scores = random.normal(size=rows) + distance * labels
        interval = bootstrap.nauc_interval(labels[:, None], scores[:, None])
        assert interval is not None
        covered += interval.low <= true <= interval.high
    assert 0.92 <= covered / trials <= 0.985


def test_a_perfect_score_is_as_sure_as_the_test_set_is_large() -> None:
    lows = []
    for rows in (10, 100, 1000):
        labels = np.eye(2)[np.arange(rows) % 2]
        interval = bootstrap.nauc_interval(labels, labels)
        assert interval is not None
        assert interval.high == 1
        lows.append(interval.low)
    assert lows == pytest.approx([2 * 0.025 ** (2 / rows) - 1 for rows in (10, 100, 1000)])
    assert lows == sorted(lows)


def test_constant_predictions_are_surely_worth_nothing() -> None:
    truth, _ = multi_class()
    assert bootstrap.nauc_interval(truth, np.full(truth.shape, 0.2)) == Interval(0, 0)


def test_the_interval_of_a_curve_of_one_point_is_that_of_its_score() -> None:
    truth, scores = multi_class()
    curve = LearningCurve(60)
    point = curve.add(0, 0.0, truth, scores)
    area = bootstrap.alc_interval(truth, curve.points, 60, lambda index: scores)
    expected = measure(truth, scores).nauc_interval
    assert expected is not None
    assert area is not None
    assert (area.low, area.high) == pytest.approx((expected.low, expected.high))
    assert point.alc == point.nauc


def test_a_test_set_too_large_for_resampling_has_no_interval(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "WORK", 100_000)
    truth, scores = multi_class()
    assert measure(truth, scores).nauc_interval is None
    assert bootstrap.alc_interval(truth, [], 60, lambda index: scores) is None
