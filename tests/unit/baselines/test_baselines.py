"""Each baseline takes every kind of data, beats chance, and predicts the same once it is saved."""

import keras
import numpy as np
import pytest

from autodl.solutions import BUNDLED, find_bundled, packages_of
from baselines.base import Baseline
from baselines.constant.model import Model as Constant
from baselines.finetune.model import Model as FineTune
from baselines.linear.model import Model as Linear
from baselines.pretrained.model import Model as Pretrained
from baselines.resnet50v2.model import Model as ResNet
from tests.unit.winner_solution.fakes import drive, generate
from winner_solution.metric import nauc

DOMAINS = ("table", "sparse", "text", "series", "audio", "image", "video")


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("domain", DOMAINS)
def test_the_linear_baseline_learns_every_kind_of_data(tmp_path, domain, multilabel) -> None:
    train = generate(domain, 200, 3, seed=1, multilabel=multilabel)
    test = generate(domain, 60, 3, seed=2, multilabel=multilabel)
    model = Linear(train.metadata)
    for _ in range(5):
        model.train(train, remaining_time_budget=600)
        scores = model.test(test, remaining_time_budget=600)
    assert scores.shape == (60, 3)
    assert nauc(test.labels(), scores) > 0.15
    model.save(tmp_path)
    assert Linear.load(tmp_path).test(test) == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("domain", ["image", "video", "audio", "table"])
def test_the_pretrained_baseline_looks_at_pictures_and_sounds(tmp_path, domain) -> None:
    train, test = generate(domain, 120, 3, seed=1), generate(domain, 40, 3, seed=2)
    model = Pretrained(train.metadata)
    for _ in range(4):
        model.train(train, remaining_time_budget=600)
        scores = model.test(test, remaining_time_budget=600)
    assert nauc(test.labels(), scores) > 0.3
    model.save(tmp_path)
    assert Pretrained.load(tmp_path).test(test) == pytest.approx(scores, abs=1e-5)


class Small(ResNet):
    """The same around a network of one layer."""

    def build(self):
        layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()]
        side = self.side
        return keras.Sequential(
            [keras.Input((side, side, 3)), *layers, keras.layers.Dense(self.classes)]
        )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("baseline", "domain"), [(Small, "text"), (Small, "image"), (FineTune, "image")]
)
def test_the_deep_baselines_learn_and_are_saved(tmp_path, baseline, domain) -> None:
    train, test = generate(domain, 40, 3, seed=1), generate(domain, 20, 3, seed=2)
    model = baseline(train.metadata)
    first = model.network.get_weights()[0]
    model.train(train, remaining_time_budget=600)
    scores = model.test(test, remaining_time_budget=600)
    assert scores.shape == (20, 3)
    assert np.isfinite(scores).all()
    assert not np.array_equal(model.network.get_weights()[0], first)
    model.save(tmp_path)
    assert baseline.load(tmp_path).test(test) == pytest.approx(scores, abs=1e-5)


@pytest.mark.timeout(900)
def test_the_network_from_scratch_is_resnet50v2() -> None:
    network = ResNet.__new__(ResNet)
    network.classes = 10
    assert network.build().count_params() == 23_564_800 + 10 * 2049


def test_the_constant_baseline_knows_nothing(tmp_path) -> None:
    train, test = generate("table", 20, 3), generate("table", 10, 3)
    (scores,), _ = drive(Constant, train, test, 5)
    assert scores.tolist() == [[0.5] * 3] * 10
    Constant(train.metadata).save(tmp_path)
    assert Constant.load(tmp_path).test(test).tolist() == scores.tolist()


class Slow(Baseline):
    """Learns nothing, and notes how much it was to learn."""

    def __init__(self, metadata):
        super().__init__(metadata)
        self.steps = []

    def learn(self, dataset, steps):
        self.steps.append(steps)

    def predict(self, dataset):
        return np.zeros((len(dataset), self.classes), np.float32)


def test_learning_doubles_while_the_next_call_fits(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("baselines.base.time.monotonic", lambda: now[0])
    data = generate("table", 10, 2)
    model = Slow(data.metadata)

    def learn(dataset, steps):
        model.steps.append(steps)
        now[0] += steps

    model.learn = learn
    while not model.done_training:
        model.train(data, remaining_time_budget=100 - now[0])
        model.test(data, remaining_time_budget=100 - now[0])
    assert model.steps == [1, 2, 4, 8, 16, 32]  # 63 s; 64 more might take 80, and 37 are left


def test_every_baseline_is_found_by_its_name_with_the_packages_it_needs() -> None:
    for name in set(BUNDLED) - {"winner"}:
        folder = find_bundled(name)
        assert folder is not None
        assert (folder / "model.py").is_file()
        assert [p.name for p in packages_of(folder)] == ["winner_solution", "baselines"]
