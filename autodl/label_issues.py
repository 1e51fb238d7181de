"""Labels that are likely wrong: confident learning (Northcutt et al. 2021) by ``cleanlab``.

A forest over quick features learns four fifths of the training examples and is asked for the rest,
five times over. Where it is sure of another class than the one given, the label is suspicious.
Where it cannot tell the classes apart, nothing is said, for it would be guesses.

``cleanlab`` and scikit-learn come with the extra ``labels`` and are imported when they are needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import Dataset
from autodl.decode import decode_labels
from autodl.errors import UsageError
from autodl.features import quick_features
from autodl.report import Finding

Ints = NDArray[np.int64]

SMALL_EXAMPLES = 2_000  # up to which labels are looked at unasked
MIN_EXAMPLES = 50
FOLDS = 5
TREES = 100
MIN_SKILL = 0.5  # of the way from always guessing the commonest class to knowing
MIN_MARGIN = 0.3  # between the probabilities of the likeliest class and of the given one


@dataclass(frozen=True)
class LabelIssues:
    """``state`` says whether labels were looked at (``checked``) or why not; the rest, what was
    seen: how many examples, their records and classes (given, likely), worst first."""

    state: str
    examples: int = 0
    records: tuple[int, ...] = ()
    given: tuple[int, ...] = ()
    likely: tuple[int, ...] = ()

    def findings(self, names: list[str], file: str) -> Iterator[Finding]:
        """A note about each suspicious label of the training subset, which lies at ``file``."""
        for record, given, likely in zip(self.records, self.given, self.likely, strict=True):
            yield Finding(
                "label-suspicious",
                "note",
                f"Labelled {names[given]}, the example looks like {names[likely]}.",
                f"Look: autodl show BUNDLE {record}. The label may be right and the example hard.",
                file,
                record,
            )


def find_label_issues(
    train: Dataset, readable: NDArray[np.bool_], wanted: bool | None, jobs: int | None = None
) -> LabelIssues:
    """Suspicious labels of the ``readable`` records of ``train``, which has one label an example.

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
    labels = np.stack([decode_labels(train.source.labels_only(i), width) for i in records.tolist()])
    if ((labels > 0).sum(1) != 1).any():
        return LabelIssues("not-one-label-each")
    classes = labels.argmax(1)
    enough = np.isin(classes, np.flatnonzero(np.bincount(classes) >= FOLDS))
    records, classes = records[enough], classes[enough]
    if len(records) < MIN_EXAMPLES or len(np.unique(classes)) < 2:
        return LabelIssues("too-few-examples")
    return _look(train, records, classes, jobs)


def _look(
    train: Dataset, records: NDArray[np.intp], classes: Ints, jobs: int | None
) -> LabelIssues:
    from cleanlab.filter import find_label_issues as find

    columns, given = np.unique(classes, return_inverse=True)
    features = quick_features(train, records, jobs)
    features = features[:, np.isfinite(features).any(0)]
    if not features.shape[1]:
        return LabelIssues("classes-not-told-apart", len(records))
    likelihood = _cross_validate(features, given, jobs)
    commonest = np.bincount(given).max() / len(given)
    skill = ((likelihood.argmax(1) == given).mean() - commonest) / (1 - commonest)
    if skill < MIN_SKILL:
        return LabelIssues("classes-not-told-apart", len(records))
    margin = likelihood.max(1) - likelihood[np.arange(len(given)), given]
    suspicious = find(given, likelihood, filter_by="both", n_jobs=1) & (margin >= MIN_MARGIN)
    worst = np.flatnonzero(suspicious)[np.argsort(-margin[suspicious], kind="stable")]
    return LabelIssues(
        "checked",
        len(records),
        tuple(records[worst].tolist()),
        tuple(columns[given[worst]].tolist()),
        tuple(columns[likelihood[worst].argmax(1)].tolist()),
    )


def _cross_validate(
    features: NDArray[np.float32], classes: Ints, jobs: int | None
) -> NDArray[np.float64]:
    """Probability of each class for each example by models that have not seen it."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    forest = ExtraTreesClassifier(TREES, random_state=0, n_jobs=jobs or -1)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    likelihood: NDArray[np.float64] = cross_val_predict(
        forest, features, classes, cv=folds, method="predict_proba"
    )
    return likelihood
