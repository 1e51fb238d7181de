"""Blending: members' scores become calibrated log-odds, and a greedy search weighs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from . import config
from .learners.base import Predictor, Scores, Step
from .metric import class_naucs, nauc
from .split import Rows

Floats = NDArray[np.floating]


@dataclass
class Calibration:
    """The map from a member's raw scores to log-odds: one temperature, one offset a class."""

    temperature: float
    offset: Floats  # (C,)
    exclusive: bool  # exactly one class is true

    def __call__(self, scores: Scores) -> Scores:
        """float32 log-odds of the same shape."""
        scaled = np.asarray(scores, np.float64) * self.temperature + self.offset
        if self.exclusive and scores.shape[1] > 1:
            log_p = log_softmax(scaled, axis=1)
            scaled = log_p - np.log(-np.expm1(np.minimum(log_p, -1e-12)))
        return np.asarray(scaled, np.float32)


def calibrate(scores: Scores, labels: Floats, exclusive: bool) -> Calibration:
    """Fit the temperature by held-out likelihood; offsets match base rates (multi-label)."""
    spread = float(scores.std()) or 1.0
    classes = scores.shape[1]
    zero = np.zeros(classes)
    prior = (labels.sum(axis=0) + 0.5) / (len(labels) + 1)
    best, best_loss = Calibration(1.0, zero, exclusive), np.inf
    for temperature in np.geomspace(0.25, 64, 17) / spread:
        offset = zero
        if not exclusive:
            offset = np.log(prior / (1 - prior)) - temperature * scores.mean(axis=0)
        scaled = scores * temperature + offset
        if exclusive and classes > 1:
            loss = -float((labels * log_softmax(scaled, axis=1)).sum())
        else:
            loss = float((np.logaddexp(0, scaled) - labels * scaled).sum())
        if loss < best_loss:
            best, best_loss = Calibration(float(temperature), offset, exclusive), loss
    return best


@dataclass
class Member:
    """One fitted model: its log-odds on validation rows, and on test rows once they are needed."""

    name: str
    learner: str  # the learner's name
    rows: Rows  # validation rows it was scored on
    valid: Scores  # log-odds (len(rows), C)
    score: float  # NAUC on them
    predict: Predictor
    calibration: Calibration
    test: Scores | None = None  # log-odds (n_test, C); NaN rows are not predicted yet
    refit: Callable[[], Predictor] | None = None  # the same on all rows, where that is still due
    renewed: Predictor | None = None  # its new self, which shares its say
    step: Step | None = None  # that it came from
    seconds: float = 0.0  # of its fits, without features
    final: bool = False  # it has learnt from the validation rows too
    hasty: bool = False  # the first answer: validated on few rows, and a part of its step only
    poor: bool = False  # ... and learnt from few rows as well


@dataclass
class Blend:
    """Members and weights, with the validation score of the sum."""

    members: list[Member] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    score: float = 0.0

    def valid(self, rows: Rows) -> Scores:
        """Blended log-odds on ``rows`` that all members were scored on."""
        return _sum([_at(m, rows) for m in self.members], self.weights)

    def test(self) -> Scores:
        """Blended log-odds of the test rows; every member must have predicted them."""
        return _sum([m.test for m in self.members if m.test is not None], self.weights)


def select(members: list[Member], labels: Floats, seed: int = config.SEED) -> Blend:
    """Bagged greedy selection on held-out NAUC (Caruana et al., ICML 2004, section 2.3).

    ``labels`` are those of all training rows. Members are compared on the rows they share. Each
    bag draws these rows anew and selects; the mean of the bags is shrunk to the even blend of the
    sound members when few rows validate, so that no member is left out by chance.
    """
    rows = shared_rows(members)
    truth = labels[rows]
    valid = [_at(m, rows) for m in members]
    scores = np.array([nauc(truth, v) for v in valid])
    sound = np.flatnonzero(scores >= max(config.SOUND_SHARE * scores.max(), 0.0))
    if not len(sound):
        sound = np.array([scores.argmax()])
    counts = np.zeros(len(members))
    rng = np.random.default_rng(seed)
    for _ in range(_bags(len(sound) * truth.size)):
        drawn = rng.integers(len(rows), size=len(rows))
        counts[sound] += _greedy([valid[i][drawn] for i in sound], truth[drawn])
    newest = {members[i].learner: i for i in sound}  # one say for each learner
    even = np.isin(np.arange(len(members)), list(newest.values()))
    trust = len(rows) / (len(rows) + config.SHRINK_ROWS)
    weights = trust * counts / counts.sum() + (1 - trust) * even / even.sum()
    kept = np.flatnonzero(weights >= min(config.LEAST_WEIGHT, weights.max()))
    weights = weights[kept] / weights[kept].sum()
    blend = Blend([members[i] for i in kept], weights.tolist())
    blend.score = nauc(truth, blend.valid(rows))
    return blend


def _greedy(valid: list[Scores], truth: Floats) -> Floats:
    """Shares of the members after forward selection with replacement, from the best one on."""
    scores = [nauc(truth, v) for v in valid]
    best = int(np.argmax(scores))
    counts = np.zeros(len(valid))
    counts[best] = 1
    total, score = valid[best].astype(np.float64), scores[best]
    for _ in range(config.SELECTION_ROUNDS - 1):
        tried = [nauc(truth, total + v) for v in valid]
        chosen = int(np.argmax(tried))
        if tried[chosen] < score + config.SELECTION_MIN_GAIN:
            break
        counts[chosen] += 1
        total, score = total + valid[chosen], tried[chosen]
    return np.asarray(counts / counts.sum())


def _bags(values: int) -> int:
    """Fewer bags where a selection is costly; ``values`` are those it looks at in a round."""
    low, high = config.SELECTION_BAGS_RANGE
    return int(np.clip(config.SELECTION_VALUES / max(values, 1), low, high))


def shared_rows(members: list[Member]) -> Rows:
    """Validation rows that every member was scored on."""
    rows = members[0].rows
    for member in members[1:]:
        rows = np.intersect1d(rows, member.rows)
    return rows


def is_better(new: Blend, old: Blend, labels: Floats, seed: int = config.SEED) -> bool:
    """Whether ``new`` beats ``old`` on the rows they share, by a paired bootstrap over rows."""
    rows = shared_rows(new.members + old.members)
    truth, ours, theirs = labels[rows], new.valid(rows), old.valid(rows)
    gain = nauc(truth, ours) - nauc(truth, theirs)
    if not len(rows):
        return True
    rng = np.random.default_rng(seed)
    wins = 0.0
    for _ in range(config.BOOTSTRAPS):
        drawn = rng.integers(len(rows), size=len(rows))
        pair = class_naucs(truth[drawn], ours[drawn]) - class_naucs(truth[drawn], theirs[drawn])
        difference = np.nanmean(pair) if not np.isnan(pair).all() else 0.0
        wins += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
    return gain >= 0 and wins >= config.PUBLISH_CONFIDENCE * config.BOOTSTRAPS


def publishable(log_odds: Scores, scale: float | None = None) -> Scores:
    """Probabilities that still order the rows when written with six digits.

    The log-odds are scaled down where they are so large that many would round to 1.
    """
    filled = fill_unknown(log_odds)
    scaled = filled * (scale_of(filled) if scale is None else scale)
    return np.asarray(1 / (1 + np.exp(-np.clip(scaled, -30, 30))), np.float32)


def scale_of(log_odds: Scores) -> float:
    """What ``publishable`` multiplies these log-odds by."""
    filled = fill_unknown(log_odds)
    largest = np.quantile(np.abs(filled), 0.999) if filled.size else 0.0
    return min(1.0, config.MAX_LOG_ODDS / max(float(largest), 1e-9))


def fill_unknown(scores: Scores) -> Scores:
    """Rows that are not predicted yet (NaN) get the median of each class."""
    unknown = np.isnan(scores).any(axis=1)
    if not unknown.any():
        return scores
    filled = scores.copy()
    known = scores[~unknown]
    filled[unknown] = np.median(known, axis=0) if len(known) else 0.0
    return filled


def _at(member: Member, rows: Rows) -> Scores:
    return member.valid[np.searchsorted(member.rows, rows)]


def _sum(scores: list[Scores], weights: list[float]) -> Scores:
    total = sum(w * s.astype(np.float64) for w, s in zip(weights, scores, strict=True))
    return np.asarray(total, np.float32)
