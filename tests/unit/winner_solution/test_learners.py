"""One harness for every learner: shapes, rare and absent classes, several labels, no time."""

import time

import numpy as np
import pytest

from winner_solution import config
from winner_solution.budget import Deadline, OutOfTimeError
from winner_solution.data import Subset, Task, open_task
from winner_solution.domain import Shape
from winner_solution.features.frozen_audio import FrozenSound
from winner_solution.features.frozen_image import FrozenFrames, FrozenImage
from winner_solution.features.generic import Generic
from winner_solution.features.hydra import Hydra
from winner_solution.features.intervals import Intervals
from winner_solution.features.mel import MelCourse, MelStatistics
from winner_solution.features.motion import Motion, Stills
from winner_solution.features.patches import Patches
from winner_solution.features.pixels import TinyPixels
from winner_solution.features.series import Course, MiniRocket
from winner_solution.learners.boosting import Boosting
from winner_solution.learners.convnet import ConvNet
from winner_solution.learners.forest import Forest
from winner_solution.learners.frozen import ByLength
from winner_solution.learners.frozen_video import MOTION, PLACE, TREND, FrozenVideo
from winner_solution.learners.kernel import Kernel
from winner_solution.learners.linear import Linear
from winner_solution.learners.perceptrons import Perceptrons
from winner_solution.learners.sparse_linear import SparseLinear
from winner_solution.learners.table_linear import TableLinear
from winner_solution.learners.text_linear import TextLinear
from winner_solution.metric import nauc
from winner_solution.nets.views import MelView, PictureView
from winner_solution.portable import decode, encode

from .fakes import FakeDataset, generate, one_hot

LEARNERS = {
    "boosting": ("table", lambda: Boosting()),
    "boosting-additive": ("table", lambda: Boosting("boosting-additive")),
    "perceptrons": ("table", lambda: Perceptrons()),
    "forest": ("table", lambda: Forest()),
    "table-linear": ("table", lambda: TableLinear()),
    "kernel": ("table", lambda: Kernel()),
    "kernel-mel": ("audio", lambda: Kernel(MelStatistics())),
    "kernel-patches": ("image", lambda: Kernel(Patches(16, 32), 1e-3)),
    "forest-course": ("series", lambda: Forest(Course(16))),
    "sparse-linear": ("sparse", lambda: SparseLinear()),
    "text-linear": ("text", lambda: TextLinear()),
    "pixels": ("image", lambda: Linear(TinyPixels(16), 1e-4)),
    "patches": ("image", lambda: Linear(Patches(16, 32), 1e-3)),
    "patches-video": (
        "video",
        lambda: FrozenVideo(FrozenFrames(Patches(16, 16), 3), 1e-3, closes=0.5),
    ),
    "trend-video": (
        "video",
        lambda: FrozenVideo(FrozenFrames(Patches(16, 16), 3), 1e-3, 0.1, (TREND,)),
    ),
    "convnet": ("image", lambda: ConvNet(PictureView(16))),
    "convnet-mel": ("audio", lambda: ConvNet(MelView())),
    "course": ("series", lambda: Linear(Course(16), 1e-4)),
    "forest-intervals": ("series", lambda: Forest(Intervals(16))),
    "kernel-intervals-mel": ("audio", lambda: Kernel(Intervals(24, of_mel=True))),
    "hydra": ("series", lambda: Linear(Hydra(24), 1e-4)),
    "minirocket": ("series", lambda: Linear(MiniRocket(24, 500), 1e-4)),
    "mel-statistics": ("audio", lambda: Linear(MelStatistics(), 1e-3)),
    "mel-course": ("audio", lambda: Linear(MelCourse(), 1e-3)),
    "minirocket-mel": ("audio", lambda: Linear(MiniRocket(32, 500, of_mel=True), 1e-3)),
    "motion": ("video", lambda: Linear(Motion(12, 4), 1e-3)),
    "stills": ("video", lambda: Linear(Stills(12, 4), 1e-3)),
    "generic-table": ("table", lambda: Linear(Generic(), 1e-4)),
    "generic-sparse": ("sparse", lambda: Linear(Generic(), 1e-4)),
    "boosting-sparse": ("sparse", lambda: Boosting()),
    "generic-text": ("text", lambda: Linear(Generic(), 1e-4)),
    "generic-video": ("video", lambda: Linear(Generic(), 1e-4)),
    "frozen-image": ("image", lambda: Linear(FrozenImage("mobilenet-v2", 32), 1e-3)),
    "kernel-frozen-image": ("image", lambda: Kernel(FrozenImage("mobilenet-v2", 32), 1e-3)),
    "frozen-video": (
        "video",
        lambda: FrozenVideo(FrozenFrames(FrozenImage("mobilenet-v2", 32), 3), 1e-3, closes=0.5),
    ),
    "frozen-sound": ("audio", lambda: ByLength(FrozenSound(), 1e-7, longest=10**6)),
}
LATER = Deadline(time.monotonic() + 1e6)

every = pytest.mark.parametrize(("domain", "make"), LEARNERS.values(), ids=LEARNERS.keys())
LIGHT = {name: learner for name, learner in LEARNERS.items() if not name.startswith("convnet")}
every_light = pytest.mark.parametrize(("domain", "make"), LIGHT.values(), ids=LIGHT.keys())


SEVERAL_STEPS = (
    *("boosting", "boosting-sparse", "forest", "forest-course", "forest-intervals"),
    *("kernel", "perceptrons", "table-linear", "sparse-linear", "text-linear"),
)


@pytest.fixture(autouse=True)
def short_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "NET_CYCLES", ((4, 0.3),))
    monkeypatch.setattr(config, "MEL_PICTURE_STEPS", 16)
    monkeypatch.setattr(config, "MLP_STEPS_RANGE", (60, 100))


def open_generated(domain: str, n: int, classes: int, **more: object) -> Task:
    train = generate(domain, n, classes, seed=1, **more)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(generate(domain, 40, classes, seed=2, **more))
    return task


def learn(task: Task, make, rows=None):
    learner = make()
    step = learner.steps(task)[-1]
    return learner.fit(task, step, task.train.rows if rows is None else rows, LATER)


@every
def test_a_learner_beats_chance_on_what_it_is_for(domain: str, make) -> None:
    task = open_generated(domain, 160, 3)
    scores = learn(task, make)(task.test, task.test.rows)
    assert scores.shape == (40, 3)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert nauc(task.test.labels(), scores) > 0.3


@every
def test_a_learner_takes_several_labels(domain: str, make) -> None:
    task = open_generated(domain, 120, 3, multilabel=True)
    assert task.multilabel
    scores = learn(task, make)(task.test, task.test.rows)
    assert scores.shape == (40, 3)
    assert np.isfinite(scores).all()


@every_light
def test_a_learner_takes_a_class_with_one_example_and_one_with_none(domain: str, make) -> None:
    task = open_generated(domain, 120, 4)
    few = np.flatnonzero(task.labels[:, 1])[1:]
    rows = np.setdiff1d(task.train.rows, [*few, *np.flatnonzero(task.labels[:, 2])])
    scores = learn(task, make, rows)(task.test, task.test.rows[:5])
    assert scores.shape == (5, 4)
    assert np.isfinite(scores).all()


@every_light
def test_a_learner_takes_rows_of_one_class_only(domain: str, make) -> None:
    task = open_generated(domain, 120, 2)
    rows = np.flatnonzero(task.labels[:, 0])
    scores = learn(task, make, rows)(task.test, task.test.rows[:5])
    assert np.isfinite(scores).all()


@every
def test_what_a_learner_has_fitted_survives_being_saved(domain: str, make) -> None:
    task = open_generated(domain, 120, 3)
    predict = learn(task, make)
    again = decode(*encode(predict))
    expected = predict(task.test, task.test.rows)
    test = Subset(task.test.dataset, task.shape)  # with no features in its cache
    test.frame = task.train.frame
    assert again(test, test.rows) == pytest.approx(expected, abs=1e-5)


@every
def test_a_learner_without_time_stops_or_says_so(domain: str, make) -> None:
    task = open_generated(domain, 120, 3)
    learner = make()
    step = learner.steps(task)[0]
    start = time.monotonic()
    try:
        predict = learner.fit(task, step, task.train.rows, Deadline(start - 1))
    except OutOfTimeError:
        return
    assert np.isfinite(predict(task.test, task.test.rows)).all()
    assert time.monotonic() - start < 5


@every
def test_steps_are_planned_with_a_cost_and_a_hope(domain: str, make) -> None:
    steps = make().steps(open_generated(domain, 120, 3))
    assert steps
    assert all(step.seconds > 0 and 0 < step.closes < 1 and step.rows > 0 for step in steps)


@pytest.mark.parametrize("name", SEVERAL_STEPS)
def test_more_budget_does_not_hurt(name: str) -> None:
    domain, make = LEARNERS[name]
    task = open_generated(domain, 160, 3)
    learner = make()
    scores = []
    steps = learner.steps(task)
    assert len(steps) > 1
    for step in (steps[0], steps[-1]):
        predict = learner.fit(task, step, task.train.rows, LATER)
        scores.append(nauc(task.test.labels(), predict(task.test, task.test.rows)))
    assert scores[1] >= scores[0] - 0.1


def test_clips_that_differ_by_their_direction_alone_are_told_apart() -> None:
    def reversible(n: int, seed: int) -> FakeDataset:
        clips = generate("video", n, 1, seed=seed)
        backwards = np.random.default_rng(seed).integers(2, size=n)
        examples = [clips.encoded(i)[:: 1 - 2 * back] for i, back in enumerate(backwards)]
        return FakeDataset(examples, one_hot(backwards, 2), clips.metadata)

    train, test = reversible(120, 1), reversible(60, 2)
    task = open_task(train, Shape.of(train.metadata))
    task.attach_test(test)
    frames = FrozenFrames(Patches(16, 16), 4)
    both, ahead = (
        learn(task, lambda parts=parts: FrozenVideo(frames, 1e-3, 0.5, parts))
        for parts in ((PLACE, MOTION), (TREND,))
    )
    truth = task.test.labels()
    assert nauc(truth, both(task.test, task.test.rows)) < 0.5
    assert nauc(truth, ahead(task.test, task.test.rows)) > 0.8
