"""The facts of a dataset that a report shows: JSON values, ready for a terminal or a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodl.bundle import Bundle, find_bundle
from autodl.dataset import Dataset, open_subset
from autodl.predictions import read_labels
from autodl.survey import Survey


def describe(root: Path) -> dict[str, Any]:
    """The facts that metadata and labels give, without looking at the examples.

    Raises BundleError when the dataset cannot be opened.
    """
    bundle = find_bundle(root)
    subsets = {name: open_subset(path) for name, path in bundle.subsets.items()}
    summary = _outline(bundle, subsets)
    for name, dataset in subsets.items():
        facts: dict[str, Any] = {"examples": len(dataset)}
        if name == "train":
            labels = dataset.labels()
            facts["class_counts"] = (labels > 0).sum(0).tolist()
            summary["multi_label"] = bool(((labels > 0).sum(1) > 1).any())
        elif name == "test" and bundle.labels is not None:
            facts["class_counts"] = _counts(read_labels(bundle.labels, summary["classes"]))
        summary["subsets"][name] = facts
    return summary


def summarise(
    bundle: Bundle,
    subsets: Mapping[str, Dataset],
    surveys: Mapping[str, Survey],
    labels: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Facts by the names ``name``, ``layout``, ``modality``, ``classes``, ``label_names``,
    ``multi_label``, ``shape`` and ``subsets``; what cannot be read is left out."""
    summary = _outline(bundle, subsets)
    for name, seen in surveys.items():
        summary["subsets"][name] = _subset(subsets[name], seen)
    if "train" in surveys:
        summary["multi_label"] = any(count > 1 for count in surveys["train"].label_counts)
        summary["soft_labels"] = surveys["train"].soft > 0
    if "test" in surveys and labels is not None:
        summary["subsets"]["test"]["class_counts"] = _counts(labels)
    return summary


def _outline(bundle: Bundle, subsets: Mapping[str, Dataset]) -> dict[str, Any]:
    summary: dict[str, Any] = {"name": bundle.name, "layout": bundle.layout}
    dataset = subsets.get("train") or next(iter(subsets.values()), None)
    if dataset is None:
        return summary
    spec = dataset.metadata_
    summary |= {
        "modality": spec.domain,
        "classes": spec.output_dim,
        "label_names": dataset.get_class_labels(),
        "shape": list(dataset.metadata.get_tensor_shape()),
        "subsets": {},
    }
    if spec.channel_to_index_map:
        summary["vocabulary"] = len(spec.channel_to_index_map)
    return summary


def _counts(labels: NDArray[np.float64]) -> list[int]:
    """Examples of each class: the rows in which its column is 1."""
    counts: list[int] = (labels == 1).sum(0).tolist()
    return counts


def _subset(dataset: Dataset, seen: Survey) -> dict[str, Any]:
    readable = seen.shape[seen.readable]
    facts: dict[str, Any] = {
        "examples": len(dataset),
        "unreadable": len(seen) - len(readable),
        "class_counts": seen.class_counts.tolist(),
        "distinct": len(np.unique(seen.digest[seen.readable])),
    }
    for axis, name in enumerate(("steps", "rows", "columns")):
        if len(readable):
            values = readable[:, axis]
            facts[name] = [int(values.min()), int(np.median(values)), int(values.max())]
    if seen.columns is not None:
        facts["missing_values"] = int(seen.columns.missing.sum())
    return facts
