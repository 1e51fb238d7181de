"""What the engine thinks a step costs."""

import pytest

from winner_solution.budget import Clock, CostModel
from winner_solution.controller import Engine
from winner_solution.data import open_task
from winner_solution.domain import Shape
from winner_solution.features.frozen_image import FrozenFrames
from winner_solution.features.motion import Motion
from winner_solution.features.patches import Patches
from winner_solution.features.series import Course
from winner_solution.learners.base import Step
from winner_solution.learners.linear import Linear

from .fakes import generate

ROW_SECONDS = 0.01


@pytest.fixture
def engine() -> Engine:
    train, test = generate("series", 80, 2, seed=1), generate("series", 20, 2, seed=2)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(test)
    return Engine(task, [], Clock(60.0), CostModel())


def test_a_step_costs_its_fits_and_the_features_that_are_missing(engine: Engine) -> None:
    course = Course(16)
    learner, task = Linear(course, ROW_SECONDS), engine.task
    (step,) = learner.steps(task)
    fits = step.seconds * (1 + len(task.folds) / 2)
    assert engine._seconds(learner, step) == pytest.approx(fits + 100 * ROW_SECONDS)
    task.train.features(course, task.train.rows)
    assert engine._seconds(learner, step) == pytest.approx(fits + 20 * ROW_SECONDS)
    task.test.features(course, task.test.rows)
    assert engine._seconds(learner, step) == pytest.approx(fits)


def test_steps_that_are_not_cross_validated_cost_one_fit(engine: Engine) -> None:
    learner = Linear(Course(16), ROW_SECONDS)
    assert engine._seconds(learner, Step(2.0, 0.5, rows=80, folds=False)) == 2.0


def test_training_that_ends_by_the_clock_costs_the_same_on_every_machine(engine: Engine) -> None:
    learner, step = (
        Linear(Course(16), ROW_SECONDS),
        Step(2.0, 0.5, 80, folds=False, clock_seconds=8),
    )
    fast = Engine(engine.task, [], Clock(60.0), CostModel(speed=0.25))
    assert engine._seconds(learner, step) == 10.0
    assert fast._seconds(learner, step) == 8.5


def test_a_row_costs_the_pictures_that_are_decoded_for_it() -> None:
    train = generate("video", 20, 2, seed=1)
    task = open_task(train, Shape.of(train.metadata))
    assert task.picture_seconds > 0  # measured
    task.picture_seconds = 0.1
    engine = Engine(task, [], Clock(60.0), CostModel(speed=2.0))
    for extractor, pictures in ((Motion(12, 4), 4), (FrozenFrames(Patches(16, 16), 3), 3)):
        (step,) = Linear(extractor, ROW_SECONDS).steps(task)
        assert engine._extraction_seconds(step) == pytest.approx(
            20 * (2.0 * ROW_SECONDS + pictures * 0.1)
        )


def test_no_picture_is_decoded_for_a_series(engine: Engine) -> None:
    assert engine.task.picture_seconds == 0
