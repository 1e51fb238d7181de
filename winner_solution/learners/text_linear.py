"""Linear support vector machines on TF-IDF, straight from token codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from .. import config
from ..budget import Deadline
from ..data import Subset, Task
from ..features.text import Codes, Pieces, TfIdf, count_grams, is_spelled, letters_of, words_of
from ..split import Rows
from ..svm import fit_svm
from .base import Predictor, Scores, Step

WORDS, RICH, RATIOS = 1, 2, 3
Counter = Callable[[Codes], list[sparse.csr_matrix]]


class TextLinear:
    """First single words; then also pairs of words, and runs of letters; then by log-count ratios.

    The last is for few classes only.
    """

    name = "text-linear"

    def __init__(self) -> None:
        self._words: Pieces | None = None
        self._letters: Pieces | None = None

    def steps(self, task: Task) -> Sequence[Step]:
        """Each step is on all texts (the engine starts with a part of the first)."""
        n = len(task.train)
        look = task.train.tokens(task.train.rows[:: max(1, n // 50)])
        tokens = n * (1 + float(np.mean([len(codes) for codes in look])))
        columns = 1 if task.classes == 2 and not task.multilabel else task.classes
        words = 0.02 + 4e-5 * n + tokens * (1e-7 + 2e-7 * columns)
        rich = 0.1 + 4e-5 * n + tokens * (3e-6 + 2e-6 * columns)
        steps = [Step(words, 0.6, rows=n, size=WORDS), Step(rich, 0.25, rows=n, size=RICH)]
        if task.classes <= config.RATIO_MAX_CLASSES:
            steps.append(Step(rich, 0.08, rows=n, size=RATIOS))
        return steps

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """One support vector machine a class, by coordinate descent."""
        count = self._counter(task, step.size)
        blocks = count(_head(task.train, rows))
        weighers = [TfIdf.of(block) for block in blocks]
        x, exclusive = _join(blocks, weighers), not task.multilabel
        head = fit_svm(x, task.labels[rows], exclusive, deadline, ratios=step.size == RATIOS)

        def predict(subset: Subset, rows: Rows) -> Scores:
            return head(_join(count(_head(subset, rows)), weighers))

        return predict

    def _counter(self, task: Task, kind: int) -> Counter:
        """The sparse blocks of a kind, as a function of texts."""
        vocabulary, size = task.shape.vocabulary, config.TEXT_HASHES
        if not vocabulary:
            orders = (1,) if kind == WORDS else (1, 2, 3)
            return lambda texts: [count_grams(texts, orders, size)]
        if self._words is None:
            self._words = words_of(vocabulary)
        words = self._words
        if kind == WORDS:
            longest = config.TEXT_MAX_TOKENS
            return lambda texts: [count_grams(words.expand(texts, longest), (1,), size)]
        if self._letters is None:
            self._letters = letters_of(vocabulary, spaced=not is_spelled(vocabulary))
        letters = self._letters

        def count(texts: Codes) -> list[sparse.csr_matrix]:
            return [
                count_grams(words.expand(texts, config.TEXT_MAX_TOKENS), (1, 2), size),
                count_grams(
                    letters.expand(texts, config.TEXT_MAX_LETTERS), config.TEXT_LETTER_RUNS, size
                ),
            ]

        return count


def _join(blocks: list[sparse.csr_matrix], weighers: list[TfIdf]) -> sparse.csr_matrix:
    """Blocks side by side, each weighed and of length 1."""
    return sparse.hstack([w(b) for w, b in zip(weighers, blocks, strict=True)], format="csr")


def _head(subset: Subset, rows: Rows) -> Codes:
    """Token codes, the padding (-1) and what is beyond the longest useful text left out."""
    return [c[c >= 0][: config.TEXT_MAX_TOKENS] for c in subset.tokens(rows)]
