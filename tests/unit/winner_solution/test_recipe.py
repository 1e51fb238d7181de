"""A saved model predicts as the engine did, and its file can hold nothing but a model."""

import json

import numpy as np
import pytest

from winner_solution import portfolio
from winner_solution.model import Model
from winner_solution.portable import PortableError, decode, encode
from winner_solution.recipe import MODEL, load_recipe

from .fakes import FakeDataset, generate

DOMAINS = ("table", "sparse", "text", "series", "audio", "image", "video")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without networks, whose loading takes longer than these runs."""
    monkeypatch.setattr(portfolio, "load_framework", lambda: False)
    monkeypatch.setattr(portfolio, "frozen_learners", lambda domain, shape: [])


def learn(train, test, calls=3):
    model, predictions = Model(train.metadata), None
    for _ in range(calls):
        if not model.done_training:
            model.train(train, remaining_time_budget=300)
            newest = model.test(test, remaining_time_budget=300)
            predictions = predictions if newest is None else newest
    return model, predictions


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_saved_model_predicts_the_same_rows_the_same(tmp_path, domain, multilabel) -> None:
    train = generate(domain, 90, 3, seed=1, multilabel=multilabel)
    test = generate(domain, 40, 3, seed=2, multilabel=multilabel)
    model, expected = learn(train, test)
    model.save(tmp_path)
    found = Model.load(tmp_path).test(test)
    assert found == pytest.approx(expected, abs=1e-6)
    rows = FakeDataset(test._examples[:9], test._labels[:9], test.metadata)
    assert Model.load(tmp_path).test(rows) == pytest.approx(expected[:9], abs=1e-6)


@pytest.mark.usefixtures("light")
def test_what_has_learnt_nothing_yet_gives_the_shares_of_the_classes(tmp_path) -> None:
    train, test = generate("table", 40, 2, seed=1), generate("table", 20, 2, seed=2)
    model, _ = learn(train, test, calls=1)
    model._engine.recipe = type(model._engine.recipe)(
        model._engine.recipe.shape, None, model._engine.recipe.share
    )
    model.save(tmp_path)
    assert Model.load(tmp_path).test(test) == pytest.approx(
        np.tile(train.labels().mean(axis=0), (20, 1))
    )


@pytest.mark.parametrize(
    "value",
    [
        {"function": ["portable", "decode", 0], "cells": [], "defaults": None, "keywords": None},
        {"object": ["weights", "json"], "state": {}},
        {"object": ["..os", "environ"], "state": {}},
        {"class": ["portable", "importlib.import_module"]},
        {"object": ["recipe", "Recipe"], "state": {"__class__": 1}},
        {"library": "os", "state": None},
        {"ref": 7},
        [],
    ],
)
def test_a_file_cannot_name_what_is_no_model(tmp_path, value) -> None:
    (tmp_path / MODEL).write_text(json.dumps(value))
    np.savez(tmp_path / "arrays.npz")
    with pytest.raises(PortableError):
        load_recipe(tmp_path)


def test_examples_are_never_written() -> None:
    train = generate("table", 40, 2)

    def predict(subset, rows):
        return train

    with pytest.raises(PortableError, match="FakeDataset is no part"):
        encode([train])
    with pytest.raises(PortableError, match="no part of a model"):
        encode(predict)


def test_values_come_back_as_they_were() -> None:
    shared = [1.5, float("-inf"), np.float32(0.1), None, True]
    value = {"a": (shared, shared), 3: b"bytes", "set": frozenset({1, 2}), "x": np.eye(2)[:, 0]}
    found = decode(*encode(value))
    assert found["a"][0] is found["a"][1]
    assert found["a"][0] == shared
    assert type(found["a"][0][2]) is np.float32
    assert (found[3], found["set"]) == (b"bytes", frozenset({1, 2}))
    assert np.array_equal(found["x"], [1, 0])
