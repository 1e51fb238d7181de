"""Labels that are likely wrong: confident learning (Northcutt et al. 2021) by ``cleanlab``.

A forest over quick features learns four fifths of the training examples and is asked for the rest,
five times over. Where it is sure of another class than the one given, the label is suspicious; with
several labels an example, each of them is such a question of its own. Where it cannot tell the
classes apart, nothing is said, for it would be guesses.

``cleanlab`` and scikit-learn come with the extra ``labels`` and are imported when they are needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import Dataset
from autodl.decode import decode_labels
from autodl.errors import UsageError
from autodl.features import quick_features
from autodl.report import Finding

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SMALL_EXAMPLES = 2_000  # up to which labels are looked at unasked
MIN_EXAMPLES = 50
FOLDS = 5
TREES = 100
MIN_SKILL = 0.5  # of the way from always guessing the commonest class to knowing
MIN_MARGIN = 0.3  # between the probabilities of the likeliest class and of the given one


class LabelIssue(NamedTuple):
    """A record and the classes that it has and that are likely; None is the lack of the other."""

    record: int
    given: int | None
    likely: int | None


@dataclass(frozen=True)
class LabelIssues:
    """``state`` says whether labels were looked at (``checked``) or why not; the rest, what was
    seen: of how many examples, and what is suspicious, the worst first."""

    state: str
    examples: int = 0
    issues: tuple[LabelIssue, ...] = ()

    def findings(self, names: list[str], file: str) -> Iterator[Finding]:
        """A note about each suspicious label of the training subset, which lies at ``file``."""
        for record, given, likely in self.issues:
            if given is None:
                what = f"Not labelled {names[likely or 0]}, the example looks like it."
            elif likely is None:
                what = f"Labelled {names[given]}, the example does not look like it."
            else:
                what = f"Labelled {names[given]}, the example looks like {names[likely]}."
            yield Finding(
                "label-suspicious",
                "note",
                what,
                f"Look: autodl show BUNDLE {record}. The label may be right and the example hard.",
                file,
                record,
            )


def find_label_issues(
    train: Dataset, readable: Bools, wanted: bool | None, jobs: int | None = None
) -> LabelIssues:
    """Suspicious labels of the ``readable`` records of ``train``.

    ``wanted`` None looks at small datasets, where the extra is installed; True at any.
    Raises UsageError (``labels-extra-missing``) if ``wanted`` and not installed.
    """
    installed = all(map(importlib.util.find_spec, ("cleanlab", "sklearn")))
    if wanted and not installed:
        raise UsageError(
            "labels-extra-missing",
            "Looking for wrong labels needs cleanlab and scikit-learn, which are not installed.",
            hint="Install them with: pip install 'autodl-self-service[labels]'",
        )
    records = np.flatnonzero(readable)
    if wanted is False or not (wanted or len(records) <= SMALL_EXAMPLES):
        return LabelIssues("not-asked")
    if not installed:
        return LabelIssues("not-installed")
    if not len(records):
        return LabelIssues("too-few-examples")
    width = train.metadata_.output_dim
    given = [decode_labels(train.source.labels_only(i), width) > 0 for i in records.tolist()]
    labels = np.stack(given)
    single = bool((labels.sum(1) == 1).all())
    columns = np.flatnonzero(labels.sum(0) >= FOLDS)
    if single:
        enough = labels[:, columns].any(1)
        records, labels = records[enough], labels[enough]
    else:
        columns = columns[(~labels[:, columns]).sum(0) >= FOLDS]
    if len(records) < MIN_EXAMPLES or len(columns) < (2 if single else 1):
        return LabelIssues("too-few-examples")
    return _look(train, records, labels[:, columns], columns.tolist(), single, jobs)


def _look(
    train: Dataset,
    records: NDArray[np.intp],
    labels: Bools,
    columns: list[int],
    single: bool,
    jobs: int | None,
) -> LabelIssues:
    """``labels`` (n, k) are those of the ``records`` (n,), for the ``columns`` (k,) only."""
    features = quick_features(train, records, jobs)
    features = features[:, np.isfinite(features).any(0)]
    if not features.shape[1]:
        return LabelIssues("classes-not-told-apart", len(records))
    likelihood = _cross_validate(features, labels, single, jobs)
    if single:
        questions = [(labels.argmax(1), likelihood, list[int | None](columns))]
    else:
        questions = [
            (has.astype(np.int64), np.stack([1 - likely, likely], 1), [None, column])
            for has, likely, column in zip(labels.T, likelihood.T, columns, strict=True)
        ]
    answered = False
    found: list[tuple[float, LabelIssue]] = []
    for given, likely, names in questions:
        margins = _find_margins(given, likely)
        if margins is None:
            continue
        answered = True
        for at in np.flatnonzero(margins).tolist():
            issue = LabelIssue(int(records[at]), names[given[at]], names[likely[at].argmax()])
            found.append((-margins[at], issue))
    found.sort(key=lambda one: one[0])
    state = "checked" if answered else "classes-not-told-apart"
    return LabelIssues(state, len(records), tuple(issue for _, issue in found))


def _find_margins(given: Ints, likelihood: Floats) -> Floats | None:
    """Of each example, by how much another class is likelier than the given one, where that is
    suspicious, else 0; None if the classes cannot be told apart.

    ``given`` (n,) is the class, ``likelihood`` (n, classes) what others say of it.
    """
    from cleanlab.filter import find_label_issues as find

    commonest = np.bincount(given).max() / len(given)
    skill = ((likelihood.argmax(1) == given).mean() - commonest) / (1 - commonest)
    if skill < MIN_SKILL:
        return None
    margin = likelihood.max(1) - likelihood[np.arange(len(given)), given]
    suspicious = find(given, likelihood, filter_by="both", n_jobs=1) & (margin >= MIN_MARGIN)
    return np.where(suspicious, margin, 0)


def _cross_validate(
    features: NDArray[np.float32], labels: Bools, single: bool, jobs: int | None
) -> Floats:
    """(n, k): probability of each label for each example by models that have not seen it.

    The mean of a leaf's labels is their probability, be there one an example or several.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    forest = ExtraTreesRegressor(TREES, max_features="sqrt", random_state=0, n_jobs=jobs or -1)
    folds = (StratifiedKFold if single else KFold)(FOLDS, shuffle=True, random_state=0)
    parts = list(folds.split(features, labels.argmax(1)))
    likelihood = cross_val_predict(forest, features, labels.astype(np.float64), cv=parts)
    return np.asarray(likelihood, np.float64).reshape(labels.shape)
