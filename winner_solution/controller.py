"""The any-time engine: it owns the clock, chooses what to learn next, and what to publish.

``advance`` learns until there is something better to say; ``predictions`` says it. Whatever goes
wrong inside a learner ends that learner only, and the last good prediction stands.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import config
from .budget import Clock, CostModel, Deadline, OutOfTimeError
from .data import Task, pictures_of, renew_pool
from .ensemble import Blend, Member, calibrate, fill_unknown, is_better, publishable, select
from .guard import StuckError, guard
from .learners.base import Learner, Predictor, Scores, Step
from .metric import nauc
from .predict import predict_blocks
from .recipe import Recipe
from .shift import folds_for
from .split import sample_rows

if TYPE_CHECKING:
    from autodl.dataset import Dataset


@dataclass
class Candidate:
    """A learner with the steps it has left."""

    learner: Learner
    steps: list[Step]
    trust: float = 1.0  # its prior gains are multiplied by this


class Engine:
    """One run on one task; ``done`` when nothing worth the time is left."""

    def __init__(self, task: Task, learners: list[Learner], clock: Clock, costs: CostModel) -> None:
        self.task = task
        self.clock = clock
        self.done = False
        self._costs = costs
        self._candidates = [c for learner in learners if (c := self._candidate(learner))]
        self._members: list[Member] = []
        self._target = Blend()  # what is to be published next
        self._published = Blend()
        self._last: Scores | None = None
        self._pending = False  # the target is not published yet
        self._matched = False  # the folds have been compared with the test examples
        share = np.asarray(task.labels.mean(axis=0), np.float32)
        self.recipe = Recipe(task.shape, task.train.frame, share)  # of the last predictions

    def advance(self) -> None:
        """Learn until the blend is worth publishing, or there is nothing more to do."""
        while not self.done:
            if self._is_incomplete(self._published):  # the first answer left test rows out
                return
            self._match_folds()
            action = self._choose()
            if action is None:
                self.done = True
                return
            try:
                action()
            except OutOfTimeError:
                _log("a step ran out of time")
            if self._update_target():
                return

    def predictions(self, dataset: Dataset) -> Scores | None:
        """Probabilities, float32 (len(dataset), C), of the best blend that can be had by now.

        None when there is nothing to add to the last ones, and nothing more will come.
        """
        self.task.attach_test(dataset)
        first, before = self._last is None, self._last
        deadline = self.clock.deadline(config.FIRST_TEST_SECONDS if first else None)
        while self._target.members and self._pending:
            broken = [m for m in self._target.members if not self._predict_test(m, deadline)]
            if not broken and (first or not self._is_incomplete(self._target)):
                self._published = self._target
                self._last = publishable(self._published.test())
                self.recipe = self.recipe.with_blend(self._published)
                self._pending = self._is_incomplete(self._published)
                break
            if not broken:
                break  # out of time: the last prediction stands
            self._drop({member.learner for member in broken})
            self._target = self._select()
        if self._last is None:
            return np.tile(self.recipe.share, (len(dataset), 1))
        ended = self.done or self.clock.remaining <= 0
        return None if ended and self._last is before else self._last

    # What to do next ------------------------------------------------------------------------

    def _match_folds(self) -> None:
        """Once, when the test examples are known: folds that are as hard as they are."""
        if self._matched or self.task.test is None or self.task.look is None:
            return
        self._matched = True
        seconds = min(config.SHIFT_SHARE * self.clock.remaining, config.SHIFT_MAX_SECONDS)
        deadline = self.clock.deadline(seconds)
        try:
            folds = guard(lambda: folds_for(self.task, deadline), self._hard(seconds))
        except Exception:  # noqa: BLE001 - the folds stay as they are
            _log(f"folds cannot be matched: {traceback.format_exc(limit=-4)}")
            return
        if folds is not self.task.folds:
            self.task.folds = folds
            _log(f"{self.clock.elapsed:.1f} s: the test part is new, folds of whole clusters")

    def _hard(self, seconds: float) -> float:
        """Seconds after which work is given up that should have ended after ``seconds``."""
        return min(2 * max(seconds, 0.0) + config.GUARD_SECONDS, self.clock.remaining)

    def _candidate(self, learner: Learner) -> Candidate | None:
        try:
            steps = list(learner.steps(self.task))
        except Exception:  # noqa: BLE001 - a learner that fails is left out, the others go on
            _log(f"{learner.name} cannot plan: {traceback.format_exc(limit=3)}")
            return None
        return Candidate(learner, steps) if steps else None

    def _choose(self) -> Callable[[], None] | None:
        """The action of most expected ALC per second; None when none is worth its time."""
        best: Callable[[], None] | None = None
        best_rate = 0.0
        gap = max(1 - self._target.score, config.GAP_FLOOR)
        hasty = {member.learner for member in self._members if member.hasty}
        for candidate in self._candidates:
            step = candidate.steps[0]
            seconds = self._seconds(candidate.learner, step)
            if candidate.learner.name in hasty and seconds < config.AGAIN_SECONDS:
                return self._bind(candidate)  # a sound footing for all that follows
            rate = self._rate(step.closes * candidate.trust * gap, seconds)
            if rate > best_rate:
                best, best_rate = self._bind(candidate), rate
        for member in self._target.members:
            if not member.final and not member.hasty:
                rate = self._rate(config.FINAL_CLOSES * gap, 1.3 * member.seconds + 0.01)
                if rate > best_rate:
                    best, best_rate = (lambda m=member: self._finalise(m)), rate
        return best

    def _seconds(self, learner: Learner, step: Step) -> float:
        """What a step will take here: the features that are missing, and its fits."""
        fits = self._costs.seconds(learner.name, self._fit_seconds(step))
        return fits + step.clock_seconds + self._extraction_seconds(step)

    def _extraction_seconds(self, step: Step) -> float:
        """What the features will take here that the step needs and that are missing."""
        if step.extractor is None:
            return 0.0
        train, test = self.task.train, self.task.test
        missing = max(0, min(step.rows, len(train)) - train.count_features(step.extractor))
        if test is not None:
            missing += len(test) - test.count_features(step.extractor)
        return self._costs.seconds(step.extractor.name, self._row_seconds(step) * missing)

    def _row_seconds(self, step: Step) -> float:
        """Of one row's features and what is decoded for them, on the reference machine."""
        if step.extractor is None:
            return 0.0
        pictures = pictures_of(step.extractor, self.task.shape)
        return step.row_seconds + pictures * self.task.picture_seconds / self._costs.speed

    def _fit_seconds(self, step: Step) -> float:
        """Of all its fits, but what ends by the clock, on the reference machine."""
        return step.seconds * (1 + len(self.task.folds) / 2 if step.folds else 1)

    def _bind(self, candidate: Candidate) -> Callable[[], None]:
        return lambda: self._take(candidate)

    def _rate(self, nauc_gain: float, seconds: float) -> float:
        """Expected ALC per second, 0 where it is too late or too little."""
        if seconds > self.clock.remaining and self._members:
            return 0.0
        gain = nauc_gain * self.clock.worth(seconds)
        return gain / max(seconds, 1e-3) if gain >= config.MIN_GAIN or not self._members else 0.0

    # Doing it -------------------------------------------------------------------------------

    def _take(self, candidate: Candidate) -> None:
        """Take a candidate's next step; whatever goes wrong is the end of that learner alone."""
        learner, step = candidate.learner, candidate.steps.pop(0)
        predicted, train = self._seconds(learner, step), self.task.train
        known = train.count_features(step.extractor) if step.extractor else 0
        before, start, extracted = self._target.score, time.monotonic(), train.extraction_seconds
        first = not self._members
        try:
            hard = self._hard(1.0 if first else predicted * config.STEP_PATIENCE)
            member = guard(lambda: self._fit(learner, step, predicted), hard)
            self._members = [m for m in self._members if not m.hasty] + [member]
            if member.hasty:
                candidate.steps.insert(0, step)
            gained = self._select().score - before
            _log(
                f"{self.clock.elapsed:.1f} s: {member.name} {member.score:.4f}, "
                f"took {time.monotonic() - start:.2f} s (predicted {predicted:.2f})"
            )
            self._trust(candidate, step, gained, 1 - before)
        except OutOfTimeError:
            _log(f"{learner.name} ran out of time")
        except StuckError as error:
            _log(f"{learner.name} is given up: {error}")
            candidate.steps.clear()
            renew_pool()
        except Exception:  # noqa: BLE001 - the run goes on without this learner
            _log(f"{learner.name} failed: {traceback.format_exc(limit=-4)}")
            candidate.steps.clear()
        extracted = train.extraction_seconds - extracted
        if step.extractor and (new := train.count_features(step.extractor) - known):
            self._costs.learn(step.extractor.name, self._row_seconds(step) * new, extracted)
        spent = time.monotonic() - start - extracted - step.clock_seconds
        if not first and spent > 0:  # it was not cut short
            self._costs.learn(learner.name, self._fit_seconds(step), spent)
        self._candidates = [c for c in self._candidates if c.steps]

    def _fit(self, learner: Learner, step: Step, predicted: float) -> Member:
        """Fit on every fold, validate, and where the folds are many fit on all rows too."""
        labels = self.task.labels
        first = not self._members
        folds = self.task.folds if step.folds and not first else self.task.folds[:1]
        most = min(step.rows, config.FIRST_ROWS) if first else step.rows
        limit = predicted * config.STEP_PATIENCE + config.STEP_GRACE_SECONDS
        rows, scores = [], []
        start, extracted = time.monotonic(), self.task.train.extraction_seconds
        for fold in folds:
            deadline = self.clock.deadline(config.FIRST_FIT_SECONDS if first else limit)
            learn = sample_rows(labels, fold.learn, most)
            predict = learner.fit(self.task, step, learn, deadline)
            if first:
                deadline = self.clock.deadline(config.FIRST_VALIDATE_SECONDS)
            raw = predict_blocks(predict, self.task.train, fold.validate, deadline)
            known = ~np.isnan(raw).any(axis=1)
            rows.append(fold.validate[known])
            scores.append(raw[known])
        final = len(folds) > 1
        if final:
            everything = sample_rows(labels, self.task.train.rows, most)
            predict = learner.fit(self.task, step, everything, self.clock.deadline(limit))
        extracted = self.task.train.extraction_seconds - extracted
        seconds = time.monotonic() - start - extracted
        where, raw = np.concatenate(rows), np.concatenate(scores)
        if not np.isfinite(raw).all() or not len(where):
            raise ValueError(f"{learner.name} gave no finite scores")
        order = np.argsort(where)
        where, raw = where[order], raw[order]
        calibration = calibrate(raw, labels[where], not self.task.multilabel)
        valid = calibration(raw)
        name = f"{learner.name}/{step.size or len(learn)}"
        score = nauc(labels[where], valid)
        member = Member(name, learner.name, where, valid, score, predict, calibration)
        member.step, member.seconds, member.final, member.hasty = step, seconds, final, first
        few = 2 * len(learn) < len(self.task.train)
        member.poor = first and (few or seconds + extracted >= config.FIRST_FIT_SECONDS)
        if not final:
            member.refit = lambda: learner.fit(
                self.task,
                step,
                sample_rows(labels, self.task.train.rows, most),
                self.clock.deadline(limit),
            )
        return member

    def _finalise(self, member: Member) -> None:
        """Let a member learn from the validation rows too; its old self keeps half a say."""
        member.final = True
        test, refit = self.task.test, member.refit
        assert test is not None
        assert refit is not None

        def renew() -> tuple[Predictor, Scores]:
            predict = refit()
            return predict, predict_blocks(predict, test, test.rows, self.clock.deadline())

        try:
            predict, raw = guard(renew, self._hard(2 * member.seconds + self._test_limit(member)))
            renewed = member.calibration(raw)
        except Exception as error:  # noqa: BLE001 - the member stays as it is
            if not isinstance(error, OutOfTimeError):
                _log(f"{member.name} failed on all rows: {traceback.format_exc(limit=-4)}")
            return
        if np.isfinite(renewed).all() and member.test is not None:
            member.test = np.asarray((fill_unknown(member.test) + renewed) / 2, np.float32)
            member.renewed = predict
            self._renewed = True
            _log(f"{self.clock.elapsed:.1f} s: {member.name} on all rows")

    def _predict_test(self, member: Member, deadline: Deadline) -> bool:
        """Fill in a member's missing test rows until ``deadline``; False when it is broken."""
        test = self.task.test
        assert test is not None
        if member.test is None:
            member.test = np.full((len(test), self.task.classes), np.nan, np.float32)
        missing = np.flatnonzero(np.isnan(member.test).any(axis=1))
        hard = self._hard(self._test_limit(member))
        try:
            raw = guard(lambda: predict_blocks(member.predict, test, missing, deadline), hard)
        except Exception:  # noqa: BLE001 - the blend goes on without this member
            _log(f"{member.name} cannot predict: {traceback.format_exc(limit=-4)}")
            return False
        known = ~np.isnan(raw).any(axis=1)
        member.test[missing[known]] = member.calibration(raw[known])
        return bool(np.isfinite(member.test[missing[known]]).all())

    def _test_limit(self, member: Member) -> float:
        """Seconds that the test rows may take, by what the training rows took."""
        assert self.task.test is not None
        assert member.step is not None
        times = max(1.0, len(self.task.test) / len(self.task.train))
        seconds = member.seconds * times + self._extraction_seconds(member.step)
        return config.STEP_PATIENCE * seconds

    # What to publish ------------------------------------------------------------------------

    def _drop(self, learners: set[str]) -> None:
        """Do without these learners from now on."""
        self._members = [m for m in self._members if m.learner not in learners]
        self._candidates = [c for c in self._candidates if c.learner.name not in learners]

    def _update_target(self) -> bool:
        """Choose the blend anew; True when it should be published now."""
        if not self._members:
            return False
        blend = self._select()
        stands = self._standing()
        if stands and not is_better(blend, stands, self.task.labels):
            self._pending, self._renewed = self._renewed, False
        else:
            self._target, self._renewed, self._pending = blend, False, True
        return self._pending

    def _standing(self) -> Blend | None:
        """What a new blend has to beat; None when that is nothing, or too little to measure.

        A first answer was validated on few rows: its learner's whole step stands in for it.
        """
        published = self._published.members
        if not published or any(m.poor for m in published):
            return None
        if not published[0].hasty:
            return self._published
        again = [m for m in self._members if m.learner == published[0].learner]
        return Blend(again[:1], [1.0]) if again else self._published

    _renewed = False  # a published member has learnt more since

    def _select(self) -> Blend:
        return select(self._members, self.task.labels) if self._members else Blend()

    def _is_incomplete(self, blend: Blend) -> bool:
        return any(m.test is None or bool(np.isnan(m.test).any()) for m in blend.members)

    def _trust(self, candidate: Candidate, step: Step, gained: float, gap: float) -> None:
        """Correct a learner's prior by what its step has brought (the first one decides most)."""
        expected = step.closes * candidate.trust * max(gap, config.GAP_FLOOR)
        low, high = config.TRUST_RANGE
        factor = 0.5 + 0.5 * gained / max(expected, 1e-6)
        candidate.trust = float(np.clip(candidate.trust * np.clip(factor, 0.3, 1.5), low, high))


def _log(message: str) -> None:
    print(f"solution: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the run's log
