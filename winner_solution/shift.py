"""Folds that are as hard as the test part: what is alike stays together where the test part is new.

Clips of one recording or scans of one patient are near-copies of each other. Folds that mix them
promise what the test part, of other recordings, will not keep. Whether that is so can be seen
without any label: the test examples are then farther from their nearest training example than
validation examples are. Folds of whole clusters are chosen so that both distances are alike
(Milà et al. 2022, "Nearest neighbour distance matching"; Linnenbrink et al. 2024, "kNNDM").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist

from . import config
from .split import Floats, Fold, Rows, assign_parts

if TYPE_CHECKING:
    from .budget import Deadline
    from .data import Task


def folds_for(task: Task, deadline: Deadline) -> list[Fold]:
    """``matched_folds`` of a task whose test examples and ``look`` are known.

    The folds of the task where its features are not there at the deadline, or its rows too many.
    """
    assert task.test is not None
    assert task.look is not None
    most = config.SHIFT_MAX_ROWS
    if len(task.train) > config.SHIFT_TRAIN_ROWS:
        return task.folds
    some = task.test.rows[:: max(1, len(task.test) // most)]
    known = task.test.ready(task.look, some, deadline)
    if len(task.train.ready(task.look, task.train.rows, deadline)) < len(task.train):
        return task.folds
    test = task.test.features(task.look, known)
    train = task.train.features(task.look, task.train.rows)
    return matched_folds(train, test, task.labels, task.folds)


def matched_folds(
    train: Floats, test: Floats, labels: Floats, folds: list[Fold], seed: int = config.SEED
) -> list[Fold]:
    """``folds``, or others of whole clusters where the test part is farther than they say.

    ``train`` (n, F) and ``test`` (m, F) are features of all training rows and of some test rows,
    ``labels`` (n, C). The new folds are as many as the old ones, and of about the same sizes.
    """
    if len(test) < config.SHIFT_MIN_ROWS or len(train) < config.SHIFT_MIN_ROWS:
        return folds
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 0, scale, np.inf)
    train, test = (
        np.clip((x - mean) / scale, -config.SHIFT_LIMIT, config.SHIFT_LIMIT) for x in (train, test)
    )
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(train))[: config.SHIFT_MAX_ROWS])
    among, across = cdist(train[sample], train[sample]), cdist(test, train[sample])
    parts = max(4, len(folds))
    fold_of = assign_parts(labels[sample], parts, seed)
    near, far = _nearest(among, across, fold_of)
    farther = (near[:, None] < far).mean() + (near[:, None] == far).mean() / 2
    error = np.sqrt((1 / len(train) + 1 / len(test)) / 12)  # of the rank test, were both alike
    if farther - 0.5 < max(config.SHIFT_LEAST, config.SHIFT_ERRORS * error):
        return folds
    tree = linkage(train[sample], "average")
    best, best_distance = fold_of, _distance(near, far)
    for share in config.SHIFT_CLUSTERS:
        cluster = fcluster(tree, max(parts, round(share * len(sample))), "maxclust")
        tried = deal_clusters(cluster, labels[sample], parts)
        distance = _distance(*_nearest(among, across, tried))
        if distance < best_distance:
            best, best_distance = tried, distance
    if best is fold_of:
        return folds
    part = best[cdist(train, train[sample]).argmin(axis=1)]
    numbers = range(parts) if len(folds) > 1 else range(1)
    made = [Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in numbers]
    return [fold for fold in made if len(fold.learn) and len(fold.validate)]


def deal_clusters(cluster: NDArray[np.integer], labels: Floats, parts: int) -> Rows:
    """Part 0..parts-1 of each row: whole clusters, the largest first, classes kept even."""
    total = labels.sum(axis=0)
    weight = np.concatenate([labels / np.maximum(total, 1), np.ones((len(labels), 1))], axis=1)
    weight[:, -1] *= labels.shape[1] / len(labels)  # sizes count as much as all classes together
    held = np.zeros((parts, weight.shape[1]))
    part = np.zeros(len(labels), np.intp)
    numbers, sizes = np.unique(cluster, return_counts=True)
    for number in numbers[np.argsort(-sizes, kind="stable")]:
        rows = np.flatnonzero(cluster == number)
        added = weight[rows].sum(axis=0)
        chosen = int(np.argmin(((held + added) ** 2 - held**2).sum(axis=1)))
        held[chosen] += added
        part[rows] = chosen
    return part


def _nearest(among: Floats, across: Floats, part: Rows) -> tuple[Floats, Floats]:
    """Distances to the nearest learning row: of validation rows, and of test rows, all parts."""
    near, far = [], []
    for number in np.unique(part):
        learn = part != number
        if learn.any():
            near.append(among[np.ix_(~learn, learn)].min(axis=1))
            far.append(across[:, learn].min(axis=1))
    return np.concatenate(near), np.concatenate(far)


def _distance(left: Floats, right: Floats) -> float:
    """Wasserstein distance of two samples of log distances, by quantiles."""
    at = np.linspace(0.025, 0.975, 39)
    left, right = (np.quantile(np.log(np.maximum(x, 1e-6)), at) for x in (left, right))
    return float(np.abs(left - right).mean())
