"""Support vector machines on sparse tables: as many columns as there are, none made dense."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from .. import config
from ..budget import Deadline
from ..data import Floats, Subset, Task
from ..split import Rows
from ..svm import fit_svm
from .base import Predictor, Scores, Step

SCALED, ROWS_OF_ONE = 1, 2


class SparseLinear:
    """First with columns at one scale, then also with rows of one length, as texts have them."""

    name = "sparse-linear"

    def steps(self, task: Task) -> Sequence[Step]:
        """Two steps, for sparse tables only."""
        if not task.shape.sparse:
            return []
        n = len(task.train)
        look = task.train.sparse_table(task.train.rows[:: max(1, n // 50)])
        values = n * (1 + look.nnz / look.shape[0])
        columns = 1 if task.classes == 2 and not task.multilabel else task.classes
        seconds = 0.05 + 4e-5 * n + values * (1e-7 + 5e-7 * columns)
        return [Step(seconds, 0.5, rows=n, size=SCALED), Step(seconds, 0.2, rows=n, size=2)]

    def fit(self, task: Task, step: Step, rows: Rows, deadline: Deadline) -> Predictor:
        """Learn the scale of each column, then the margins."""
        table = task.train.sparse_table(rows)
        mean_square = np.asarray(table.multiply(table).mean(axis=0)).ravel()
        scale = np.zeros(table.shape[1], np.float32)
        seen = mean_square > 0
        scale[seen] = 1 / np.sqrt(mean_square[seen])
        prepare = _prepare_rows if step.size == ROWS_OF_ONE else _prepare_columns
        x = prepare(table, scale)
        head = fit_svm(x, task.labels[rows], not task.multilabel, deadline)

        def predict(subset: Subset, rows: Rows) -> Scores:
            return head(prepare(subset.sparse_table(rows), scale))

        return predict


def _prepare_columns(table: sparse.csr_matrix, scale: Floats) -> sparse.csr_matrix:
    """Columns of mean square 1, all together small enough for a penalty of 1."""
    x = table @ sparse.diags(np.minimum(scale, config.SPARSE_MAX_SCALE))
    return x.tocsr() / np.float32(np.sqrt(max(1, (scale > 0).sum())))


def _prepare_rows(table: sparse.csr_matrix, scale: Floats) -> sparse.csr_matrix:
    """Signed square roots of the scaled values, each row of length 1."""
    x = (table @ sparse.diags(scale)).tocsr()
    x.data = np.sign(x.data) * np.sqrt(np.abs(x.data))
    length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    x.data /= np.repeat(np.maximum(length, 1e-9), np.diff(x.indptr))
    return x
