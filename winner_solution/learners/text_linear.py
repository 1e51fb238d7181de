"""Linear support vector machines on TF-IDF, straight from token codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from sklearn.svm import LinearSVC

from .. import config
from ..budget import Deadline
from ..data import Subset, Task
from ..features.text import Codes, TfIdf, count_grams, letters_of
from ..split import Rows
from .base import Predictor, Scores, Step

WORDS, RICH = 1, 2
Counter = Callable[[Codes], list[sparse.csr_matrix]]


class TextLinear:
    """First single tokens; then also runs of tokens, and runs of letters inside tokens."""

    name = "text-linear"

    def __init__(self) -> None:
        self._letters: sparse.csr_matrix | None = None

    def steps(self, task: Task) -> Sequence[Step]:
        """Two steps, each on all texts (the engine starts with a part of the first)."""
        n = len(task.train)
        look = task.train.tokens(task.train.rows[:: max(1, n // 50)])
        tokens = n * (1 + float(np.mean([len(codes) for codes in look])))
        columns = 1 if task.classes == 2 and not task.multilabel else task.classes
        words = 0.02 + 4e-5 * n + tokens * (1e-7 + 2e-7 * columns)
        rich = 0.1 + 4e-5 * n + tokens * (3e-6 + 2e-6 * columns)
        return [Step(words, 0.6, rows=n, size=WORDS), Step(rich, 0.25, rows=n, size=RICH)]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """One support vector machine a class, by coordinate descent."""
        count = self._counter(task, step.size)
        blocks = count(_head(task.train, rows))
        weighers = [TfIdf.of(block) for block in blocks]
        x = _join(blocks, weighers)
        labels = task.labels[rows] > 0.5
        weights = np.zeros((x.shape[1], task.classes), np.float32)
        bias = np.full(task.classes, -2, np.float32)
        model = LinearSVC(C=config.TEXT_SVM_C, tol=1e-3, max_iter=300, dual=True)
        twins = task.classes == 2 and not task.multilabel
        for column in [1] if twins else range(task.classes):
            deadline.check()
            y = labels[:, column]
            if y.any() and not y.all():
                model.random_state = config.SEED
                model.fit(x, y)
                weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
        if twins:
            weights[:, 0], bias[0] = -weights[:, 1], -bias[1]

        def predict(subset: Subset, rows: Rows) -> Scores:
            x = _join(count(_head(subset, rows)), weighers)
            return np.asarray(x @ weights + bias, np.float32)

        return predict

    def _counter(self, task: Task, kind: int) -> Counter:
        """The sparse blocks of a kind, as a function of texts."""
        vocabulary = task.shape.vocabulary
        size = min(max(len(vocabulary), 2), config.TEXT_MAX_COLUMNS)
        if not vocabulary:
            size = config.TEXT_HASHES
        if kind == WORDS:
            return lambda texts: [count_grams(texts, 1, size)]
        hashes = config.TEXT_HASHES
        orders = (2, 3) if _is_spelled(vocabulary) else (2,)
        if self._letters is None and vocabulary and not _is_spelled(vocabulary):
            self._letters = letters_of(vocabulary[:size], hashes)
        letters = self._letters

        def count(texts: Codes) -> list[sparse.csr_matrix]:
            words = count_grams(texts, 1, size)
            grams = [count_grams(texts, order, hashes) for order in orders]
            return [words, *grams] + ([] if letters is None else [(words @ letters).tocsr()])

        return count


def _join(blocks: list[sparse.csr_matrix], weighers: list[TfIdf]) -> sparse.csr_matrix:
    """Blocks side by side, each weighed and of length 1."""
    return sparse.hstack([w(b) for w, b in zip(weighers, blocks, strict=True)], format="csr")


def _head(subset: Subset, rows: Rows) -> Codes:
    """Token codes, the padding (-1) and what is beyond the longest useful text left out."""
    return [c[c >= 0][: config.TEXT_MAX_TOKENS] for c in subset.tokens(rows)]


def _is_spelled(vocabulary: tuple[str, ...]) -> bool:
    """Whether tokens are single characters (Chinese is formatted so)."""
    few = vocabulary[:1000]
    return bool(few) and float(np.mean([len(token) <= 1 for token in few])) > 0.9
