"""What the last prediction is worth beyond one number: per class, in which way, how sure.

Written as ``metrics.json``: ``Metrics.to_json`` is its schema. Every figure is one of
scikit-learn's, by the same definition, so that it can be compared; NAUC and accuracy are the
scorer's own (AutoDL formats 4).

A *multi-class* task has one true class a row, and the class with the highest score is predicted.
In every other (*multi-label*: any number of classes a row, soft labels, a single column) each
score of at least 0.5 predicts its class. A label counts as true from 0.5, for the areas only
when it is 1, and the Brier score and the calibration take it as the probability that it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodl import bootstrap
from autodl.bootstrap import Interval
from autodl.score import Matrix, accuracy, auc, is_one_hot, nauc, soft_accuracy

SCHEMA = "autodl-metrics/1"
BINS = 10
SHOWN_MISTAKES = 20

Task = Literal["multi-class", "multi-label"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; None where there is nothing to divide by.

    ``support`` counts the rows it is true of, ``predicted`` those it was predicted for.
    """

    name: str
    support: int
    predicted: int
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    auc: float | None
    nauc: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """The predictions with a confidence in (low, high]: the mean of it, and the share right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Whether scores are probabilities (Guo et al. 2017): expected calibration error and Brier.

    Multi-class: of the highest score of each row; otherwise of every score. ``brier`` is the mean
    squared difference, summed over the classes of a row for multi-class tasks.
    """

    ece: float
    brier: float
    bins: tuple[Bin, ...]  # those that are not empty


@dataclass(frozen=True)
class Mistake:
    """A row that was predicted wrongly; ``probability`` is the score of ``class_name``.

    That is the class which was predicted (multi-class), or the one most wrongly judged.
    """

    row: int
    item: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    class_name: str
    probability: float


@dataclass(frozen=True)
class Metrics:
    """All of it. ``confusion`` lists (true class, predicted class, rows) where rows > 0."""

    task: Task
    rows: int
    classes: tuple[ClassMetrics, ...]
    nauc: float
    accuracy: float
    soft_accuracy: float | None
    macro_precision: float | None  # means over the classes of the test set; no prediction counts 0
    macro_recall: float | None
    macro_f1: float | None
    nauc_interval: Interval | None
    accuracy_interval: Interval | None
    alc_interval: Interval | None
    calibration: Calibration | None  # None where scores are not in [0, 1]
    confusion: tuple[tuple[int, int, int], ...] | None  # None where a row has several classes
    mistakes: tuple[Mistake, ...]  # the most confident first

    def to_json(self) -> dict[str, Any]:
        """Return plain values under the names of the fields, finite numbers only."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        interval = {"level": bootstrap.LEVEL, "seed": bootstrap.SEED, "method": "fisher-z"}
        return {"schema": SCHEMA} | values | {"bootstrap": interval}


def measure(
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    items: Sequence[str] | None = None,
    alc_interval: Interval | None = None,
) -> Metrics:
    """Return the metrics of one prediction; labels and predictions have shape (n, C).

    ``classes`` and ``items`` name columns and rows, which are otherwise numbered. Raises
    SolutionError for predictions of another shape or with NaN, as scoring does.
    """
    truth, scores = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    value = nauc(truth, scores)
    names = tuple(classes or map(str, range(truth.shape[1])))
    single = truth.shape[1] > 1 and is_one_hot(truth)
    decided = _decide(truth, scores, single)
    per_class = _measure_classes(truth, scores, decided, names)
    present = [c for c in per_class if c.support]
    return Metrics(
        task="multi-class" if single else "multi-label",
        rows=len(truth),
        classes=per_class,
        nauc=value,
        accuracy=accuracy(truth, scores),
        soft_accuracy=_finite(soft_accuracy(truth, scores)) if single else None,
        macro_precision=_mean([c.precision or 0.0 for c in present]),
        macro_recall=_mean([c.recall or 0.0 for c in present]),
        macro_f1=_mean([c.f1 or 0.0 for c in present]),
        nauc_interval=bootstrap.nauc_interval(truth, scores),
        accuracy_interval=bootstrap.mean_interval(_right(truth, decided, single)),
        alc_interval=alc_interval,
        calibration=_calibrate(truth, scores, decided, single),
        confusion=_confuse(truth, decided) if single else None,
        mistakes=_find_mistakes(truth, scores, decided, single, names, items),
    )


def _decide(truth: Matrix, scores: Matrix, single: bool) -> Flags:
    """Which classes are predicted, shape (n, C)."""
    if not single:
        return np.asarray(scores >= 0.5)
    decided = np.zeros(truth.shape, bool)
    decided[np.arange(len(truth)), scores.argmax(axis=1)] = True
    return decided


def _right(truth: Matrix, decided: Flags, single: bool) -> Matrix:
    """The share of right answers of each row: its mean is the accuracy."""
    agree = (truth >= 0.5) == decided
    return np.asarray(agree.all(axis=1) if single else agree.mean(axis=1), np.float64)


def _measure_classes(
    truth: Matrix, scores: Matrix, decided: Flags, names: tuple[str, ...]
) -> tuple[ClassMetrics, ...]:
    actual = truth >= 0.5
    both = (actual & decided).sum(axis=0)
    support, predicted = actual.sum(axis=0), decided.sum(axis=0)
    measured = []
    for column, name in enumerate(names):
        hits, real, said = int(both[column]), int(support[column]), int(predicted[column])
        ones = truth[:, column] == 1
        mixed = ones.any() and (truth[:, column] < 1).any()
        area = auc(truth[:, column], scores[:, column]) if mixed else None
        measured.append(
            ClassMetrics(
                name=name,
                support=real,
                predicted=said,
                true_positives=hits,
                false_positives=said - hits,
                false_negatives=real - hits,
                true_negatives=len(truth) - real - said + hits,
                auc=area,
                nauc=None if area is None else 2 * area - 1,
                precision=hits / said if said else None,
                recall=hits / real if real else None,
                f1=2 * hits / (real + said) if real + said else None,
            )
        )
    return tuple(measured)


def _calibrate(truth: Matrix, scores: Matrix, decided: Flags, single: bool) -> Calibration | None:
    if not ((scores >= 0) & (scores <= 1)).all():
        return None
    squares = (scores - truth) ** 2
    if single:
        confidence = scores.max(axis=1)
        right = _right(truth, decided, single)
        brier = squares.sum(axis=1).mean()
    else:
        confidence, right, brier = scores.ravel(), truth.ravel(), squares.mean()
    edges = np.linspace(0, 1, BINS + 1)
    place = np.searchsorted(edges[1:-1], confidence)  # an edge belongs to the bin below it
    bins = []
    for number in np.unique(place):
        inside = place == number
        mean, share = float(confidence[inside].mean()), float(right[inside].mean())
        low, high = float(edges[number]), float(edges[number + 1])
        bins.append(Bin(low, high, int(inside.sum()), mean, share))
    ece = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(confidence)
    return Calibration(float(ece), float(brier), tuple(bins))


def _confuse(truth: Matrix, decided: Flags) -> tuple[tuple[int, int, int], ...]:
    pairs = np.stack([truth.argmax(axis=1), decided.argmax(axis=1)])
    cells, counts = np.unique(pairs, axis=1, return_counts=True)
    return tuple(zip(*cells.tolist(), counts.tolist(), strict=True))


def _find_mistakes(
    truth: Matrix,
    scores: Matrix,
    decided: Flags,
    single: bool,
    names: tuple[str, ...],
    items: Sequence[str] | None,
) -> tuple[Mistake, ...]:
    actual = truth >= 0.5
    wrong = actual != decided
    # How far a wrong score is on its wrong side; one that is predicted is as wrong as it is high.
    doubt = np.where(decided, scores, -np.inf if single else 1 - scores)
    doubt = np.where(wrong & np.isfinite(scores), doubt, -np.inf)
    worst = doubt.max(axis=1)
    rows = [r for r in np.argsort(-worst, kind="stable")[:SHOWN_MISTAKES] if worst[r] > -np.inf]
    mistakes = []
    for row in map(int, rows):
        column = int(doubt[row].argmax())
        mistakes.append(
            Mistake(
                row=row,
                item=str(row) if items is None else items[row],
                true=tuple(names[c] for c in np.flatnonzero(actual[row])),
                predicted=tuple(names[c] for c in np.flatnonzero(decided[row])),
                class_name=names[column],
                probability=float(scores[row, column]),
            )
        )
    return tuple(mistakes)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
