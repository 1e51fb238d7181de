"""Texts as the states of a sentence encoder's lower layers, and the upper layers that go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data import Floats
from ..machine import cores
from ..nets.runtime import open_session, require
from .frozen_text import FrozenMultilingual

BATCH = 16


class LowerLayers:
    """Multilingual-e5-small without its last ``upper`` layers.

    Raises WeightsError where it cannot be had.
    """

    def __init__(self, upper: int) -> None:
        require("onnx", "tensorflow")
        from ..nets.text_states import split_e5

        self._upper = upper
        self._encoder = FrozenMultilingual()
        model, self.body = split_e5(self._encoder.file, upper)
        self.layers = self._encoder.file.layers - upper
        self._session = open_session(model, cores())

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), (self._upper,)

    def __call__(self, texts: Sequence[str]) -> list[Floats]:
        """float16 (tokens, width) of each text."""
        tokens = self._encoder.tokenize(texts)
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        states: list[Floats] = [np.zeros((0, 0), np.float32)] * len(tokens)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            inputs = self._encoder.inputs([tokens[i] for i in batch])
            for row, found in zip(batch, self._session.run(None, inputs)[0], strict=True):
                states[row] = found[: len(tokens[row])].astype(np.float16)
        return states


class UpperLayers:
    """States of texts to logits."""

    def __init__(self, body: Any, head: Any) -> None:
        from ..nets.transformer import upper_model

        self._made_of = (body, head)
        self._session = open_session(upper_model(body, head), cores())

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is made: sessions are no part of a saved model."""
        return type(self), self._made_of

    def __call__(self, states: Sequence[Floats]) -> Floats:
        """float32 (n, C)."""
        from ..nets.transformer import pad

        order = np.argsort([len(s) for s in states], kind="stable")
        parts = []
        for start in range(0, len(order), BATCH):
            padded, mask = pad([states[i] for i in order[start : start + BATCH]])
            parts.append(self._session.run(None, {"states": padded, "mask": mask})[0])
        scores = np.concatenate(parts)
        scores[order] = scores.copy()
        return np.asarray(scores, np.float32)
