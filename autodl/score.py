"""NAUC, accuracy and ALC, and the scorer that follows a running ingestion.

Implements the contest's scoring (AutoDL formats 2 and 4): predictions are scored as they are
completed, beside the solution and out of its reach, and make a learning curve over
logarithmically scaled time. Where the contest's own programs raise or disagree with each other,
``Rules`` names which of them to follow; the default gives a defined result or a clear error.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodl.errors import AutoDLError, SolutionError
from autodl.predictions import read_predictions, read_start
from autodl.untrusted import write_over

logger = logging.getLogger(__name__)

Matrix = NDArray[np.float64]
NaucRule = Literal["defined", "kit", "master"]
LateRule = Literal["drop", "legacy"]
START_SECONDS = 60.0  # t0 of the time transform
POLL_SECONDS = 0.2
WRITING_SECONDS, SECONDS_PER_NUMBER = 2.0, 4e-6  # what writing a prediction takes at most


def scorable_columns(labels: Matrix) -> NDArray[np.intp]:
    """Return the indices of columns whose sum is close to neither 0 nor n (formats 4.1)."""
    sums = labels.sum(axis=0)
    return np.flatnonzero(~np.isclose(sums, 0) & ~np.isclose(sums, len(labels)))


def nauc(labels: ArrayLike, predictions: ArrayLike, *, rule: NaucRule = "defined") -> float:
    """Return 2 * mean(AUC) - 1 over the scorable columns: in [-1, 1], 0 for constant predictions.

    ``labels`` and ``predictions`` have shape (n, C). Positives are labels equal to 1, negatives
    those below 1; ties share their rank. ``rule`` says what happens at the edges:

    - ``defined``: 0 with a warning where no column can be scored; SolutionError for predictions
      of another shape or with NaN.
    - ``kit``: the rank version of formats 4.1 with its TypeError and IndexError; NaN ranks highest.
    - ``master``: the version of formats 4.2 with its ValueErrors.
    """
    truth = np.asarray(labels, np.float64)
    scores = np.asarray(predictions, np.float64)
    columns = scorable_columns(truth)
    if rule == "defined":
        _require_sound(truth, scores)
        both = (truth == 1).any(axis=0) & (truth < 1).any(axis=0)
        columns = columns[both[columns]]
        if not len(columns):
            logger.warning("no class is both present and absent in the test set: NAUC is 0")
            return 0.0
    elif rule == "kit":
        columns = _kit_columns(truth, scores, columns)
    else:
        columns = _master_columns(truth, scores, columns)
    by_class, scores_by_class = np.ascontiguousarray(truth.T), np.ascontiguousarray(scores.T)
    areas = [auc(by_class[c], scores_by_class[c]) for c in columns]
    return 2 * float(np.mean(areas)) - 1


def auc(labels: Matrix, scores: Matrix) -> float:
    """Return the area under the ROC curve of one column by the rank statistic, ties counting half.

    Two binary searches of the positives among the sorted negatives count the pairs in order;
    that needs no full ranking, and is exact, for the counts are integers.
    """
    if np.isnan(scores).any():  # each NaN is a rank of its own above all numbers (kit rule only)
        order = np.argsort(scores, kind="stable")
        scores = scores.copy()
        ordered = scores[order]
        scores[order] = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])
    positives = np.sort(scores[labels == 1])
    negatives = np.sort(scores[labels < 1])
    below = np.searchsorted(negatives, positives, "left").sum()
    not_above = np.searchsorted(negatives, positives, "right").sum()
    return float(below + not_above) / 2 / (len(positives) * len(negatives))


def _require_sound(labels: Matrix, scores: Matrix) -> None:
    if scores.shape != labels.shape:
        raise SolutionError(
            "prediction-shape",
            f"the prediction has shape {scores.shape}, the labels {labels.shape}.",
            hint="Model.test must return one row per test example and one column per class.",
        )
    if np.isnan(scores).any():
        raise SolutionError(
            "prediction-nan",
            f"{int(np.isnan(scores).any(axis=1).sum())} rows of the prediction hold NaN.",
            hint="Model.test must return numbers; look for a division by zero or a diverged loss.",
        )


def _kit_columns(labels: Matrix, scores: Matrix, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    if not len(columns):
        raise TypeError("no column can be scored")
    if len(scores) != len(labels) or columns[-1] >= scores.shape[1]:
        raise IndexError(f"prediction of shape {scores.shape} for labels of {labels.shape}")
    return columns


def _master_columns(labels: Matrix, scores: Matrix, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    width = scores.shape[1]
    if len(columns) == labels.shape[1]:
        if width > len(columns):
            raise IndexError(f"{width} columns of predictions for {len(columns)} of labels")
        columns = columns[:width]
    elif len(columns) and columns[-1] >= width:
        raise IndexError(f"{width} columns of predictions for {labels.shape[1]} of labels")
    sound = len(scores) == len(labels) and bool(np.isfinite(scores[:, columns]).all())
    if not len(columns) or not sound or not np.isin(labels[:, columns], (0, 1)).all():
        raise ValueError("labels or predictions that ROC AUC is not defined for")
    return columns


def is_one_hot(labels: ArrayLike) -> bool:
    """Tell whether every row has exactly one 1 and otherwise 0: a multi-class task."""
    size = np.abs(np.asarray(labels, np.float64))
    return bool((size.sum(axis=1) == 1).all() and (size.max(axis=1) == 1).all())


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of right answers in [0, 1].

    Multi-class (one-hot labels, at least two columns): rows whose highest score is the true
    class's. Otherwise: entries on the right side of 0.5.
    """
    truth, scores = np.asarray(labels), np.asarray(predictions)
    if truth.shape[1] > 1 and is_one_hot(truth):
        return float((truth.argmax(axis=1) == scores.argmax(axis=1)).mean())
    return float(((truth >= 0.5) == (scores >= 0.5)).mean())


def soft_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the mean L1-normalised score of the true class: the contest's "accuracy", 4.3."""
    truth, scores = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    with np.errstate(invalid="ignore"):
        shares = scores / (np.abs(scores).sum(axis=1, keepdims=True) + 1e-15)
        return float((truth * shares).sum() / len(truth))


def time_transform(
    seconds: ArrayLike, budget_seconds: float, start_seconds: float = START_SECONDS
) -> Matrix:
    """Map [0, budget] to [0, 1] by ln(1 + t/t0) / ln(1 + T/t0) (formats 4.4)."""
    scaled = np.log1p(np.asarray(seconds, np.float64) / start_seconds)
    return np.asarray(scaled / math.log1p(budget_seconds / start_seconds), np.float64)


def alc(
    seconds: Sequence[float],
    scores: Sequence[float],
    budget_seconds: float,
    *,
    late: LateRule = "drop",
    start_seconds: float = START_SECONDS,
) -> float:
    """Return the area under the step curve of scores over transformed time (formats 4.5).

    The score is 0 before the first prediction and holds the last value until the budget's end.
    ``late="drop"`` (the contest's figure) leaves out what came after the budget, orders equal
    times by score, and raises ValueError where times decrease or are negative.
    ``late="legacy"`` (its scores.txt) keeps all points as they come: a late one counts against
    itself with a negative width.
    """
    times, values = np.asarray(seconds, np.float64), np.asarray(scores, np.float64)
    if late == "drop":
        if (times < 0).any() or (np.diff(times) < 0).any():
            raise ValueError("times must not be negative or decrease")
        order = np.lexsort((values, times))
        order = order[times[order] <= budget_seconds]
        times, values = times[order], values[order]
    edges = np.append(time_transform(times, budget_seconds, start_seconds), 1.0)
    return float((np.diff(edges) * values).sum())


@dataclass(frozen=True)
class Point:
    """One scored prediction. ``alc`` is the area if this were the last one.

    ``soft_accuracy`` is the contest's accuracy, given for multi-class tasks only.
    """

    index: int
    seconds: float
    nauc: float
    accuracy: float
    alc: float
    soft_accuracy: float | None = None


@dataclass(frozen=True)
class Rules:
    """Which of the contest's scoring programs to follow where they differ (formats 4)."""

    nauc: NaucRule = "defined"
    late: LateRule = "drop"
    consumed_times: bool = False  # start.txt holds seconds since the start, not epoch times


RULES = {
    "default": Rules(),
    "kit": Rules("kit", "legacy"),
    "master": Rules("master", "legacy"),
    "speech": Rules("kit", "drop", consumed_times=True),
}


@dataclass
class LearningCurve:
    """The points of one run, in order of prediction."""

    budget_seconds: float
    points: list[Point] = field(default_factory=list)
    rules: Rules = RULES["default"]

    @property
    def alc(self) -> float:
        """The area so far: 0 without a prediction."""
        return self.points[-1].alc if self.points else 0.0

    def add(self, index: int, seconds: float, labels: Matrix, predictions: Matrix) -> Point:
        """Score a prediction of shape (n, C) made ``seconds`` after the start, and append it."""
        value = nauc(labels, predictions, rule=self.rules.nauc)
        area = alc(
            [*(p.seconds for p in self.points), seconds],
            [*(p.nauc for p in self.points), value],
            self.budget_seconds,
            late=self.rules.late,
        )
        soft = soft_accuracy(labels, predictions) if is_one_hot(labels) else None
        point = Point(index, seconds, value, accuracy(labels, predictions), area, soft)
        self.points.append(point)
        return point

    def to_json(self) -> dict[str, Any]:
        """Return plain values: ``alc``, ``budget_seconds``, ``start_seconds`` and ``points``."""
        return {
            "alc": self.alc,
            "budget_seconds": self.budget_seconds,
            "start_seconds": START_SECONDS,
            "points": [_finite_only(asdict(p)) for p in self.points],
        }


def _finite_only(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has neither NaN nor infinities; a soft accuracy of infinite scores is NaN."""
    return {
        key: value if value is not None and math.isfinite(value) else None
        for key, value in values.items()
    }


def warn_refused(index: int, error: AutoDLError) -> None:
    """Say in the log that a prediction does not count."""
    logger.warning("prediction %d does not count: %s", index, error)


def follow(
    predictions_dir: Path,
    labels: Matrix,
    budget_seconds: float,
    is_over: Callable[[], bool],
    *,
    resume: Sequence[Point] = (),
    rules: Rules = RULES["default"],
    on_refused: Callable[[int, AutoDLError], None] = warn_refused,
) -> Iterator[Point]:
    """Yield a Point for each prediction of an ingestion as it is completed.

    Ends after one last look once ``is_over()`` is true. ``resume`` holds the points that an
    interrupted follower has already given; scoring goes on after them. A prediction that cannot
    be scored goes to ``on_refused`` and the others count; a late one is left out of the curve
    unless the rules keep it.

    The solution's process writes ``start.txt``, so a time in it is believed only as far as our own
    clock agrees: a prediction is not older than the last look that did not find its line, nor,
    less what writing it takes, than the last look that did not find its file.
    """
    curve = LearningCurve(budget_seconds, list(resume), rules)
    index = resume[-1].index + 1 if resume else 0
    latest = resume[-1].seconds if resume else 0.0
    witness = _Witness(WRITING_SECONDS + SECONDS_PER_NUMBER * labels.size, latest)
    while True:
        over = is_over()  # asked before looking, so that the last look misses nothing
        start = read_start(predictions_dir / "start.txt")
        if start is not None:
            stamps = witness.look(start.relative(rules.consumed_times))
            while index in stamps:
                path = predictions_dir / f"{start.task_name}.predict_{index}"
                if not path.is_file():
                    break
                try:
                    predictions = read_predictions(path, labels.shape)
                    seconds = witness.seconds(index)
                    if seconds <= budget_seconds or rules.late == "legacy":
                        yield curve.add(index, seconds, labels, predictions)
                except SolutionError as error:
                    on_refused(index, error)
                index += 1
        if over:
            return
        time.sleep(POLL_SECONDS)


class _Witness:
    """Holds the times a solution's process claims against what we saw, and when."""

    def __init__(self, writing_seconds: float, latest: float) -> None:
        self._writing_seconds = writing_seconds
        self._first_look: float | None = None
        self._looks = (0.0, 0.0)  # seconds of the last look but one, and of the last
        self._stamps: dict[int, float] = {}
        self._latest = latest

    def look(self, claimed: dict[int, float]) -> dict[int, float]:
        """Take note of the lines that are there now; files are looked for right after."""
        now = time.monotonic()
        if self._first_look is None:
            self._first_look = now
        self._looks = (self._looks[1], now - self._first_look)
        for index, seconds in claimed.items():
            self._stamps.setdefault(index, max(seconds, self._looks[0]))
        return self._stamps

    def seconds(self, index: int) -> float:
        """Return the time of a prediction whose file was found at this look; it never decreases."""
        earliest = self._looks[0] - self._writing_seconds
        self._latest = max(self._stamps[index], earliest, self._latest)
        return self._latest


def write_scores(curve: LearningCurve, path: Path) -> None:
    """Write the contest's ``scores.txt`` (YAML, full precision; formats 4.8).

    ``score`` is the ALC under the curve's rules; ``accuracy`` the contest's soft accuracy, for
    multi-class tasks. AutoSpeech's program writes the first two lines only, and -1 for no duration.
    """
    points, speech = curve.points, curve.rules.consumed_times
    no_duration = -1 if speech else 0
    lines = [
        f"score: {curve.alc!r}",
        f"Duration: {points[-1].seconds if points else no_duration!r}",
    ]
    if not speech:
        lines.append(f"timestamps: {[p.seconds for p in points]!r}")
        lines.append(f"nauc_scores: {[p.nauc for p in points]!r}")
    if not speech and points and points[-1].soft_accuracy is not None:
        lines.append(f"accuracy: {[p.soft_accuracy for p in points]!r}")
    write_over(path, ("\n".join(lines) + "\n").encode())
