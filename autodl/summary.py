"""The facts of a dataset that a report shows: JSON values, ready for a terminal or a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodl.bundle import Bundle, find_bundle
from autodl.dataset import Dataset, open_subset
from autodl.metadata import DataSpecification, Format
from autodl.predictions import read_labels
from autodl.survey import Survey

SAMPLE_RATE = 16_000  # of the challenge's speech; the format itself keeps none
BINS = 20


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
    ``multi_label``, ``balance`` (of the classes, 1 if even), ``shape`` and ``subsets``; what cannot
    be read is left out."""
    summary = _outline(bundle, subsets)
    for name, seen in surveys.items():
        summary["subsets"][name] = _subset(subsets[name], seen)
    if "train" in surveys:
        summary["multi_label"] = any(count > 1 for count in surveys["train"].label_counts)
        summary["soft_labels"] = surveys["train"].soft > 0
        summary["balance"] = _balance(surveys["train"].class_counts)
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
        "modality": _modality(spec),
        "classes": spec.output_dim,
        "label_names": dataset.get_class_labels(),
        "shape": list(dataset.metadata.get_tensor_shape()),
        "subsets": {},
    }
    if spec.channel_to_index_map:
        summary["vocabulary"] = len(spec.channel_to_index_map)
    return summary


def describe_label_issues(state: str, count: int) -> str:
    """In words, whether wrong labels were looked for, and how many examples are suspicious."""
    return {
        "checked": f"{count:,} may be wrong (see the findings)." if count else "none looks wrong.",
        "not-asked": "not looked at for mistakes; --labels does.",
        "not-installed": "not looked at for mistakes, for cleanlab is not installed:"
        " pip install 'autodl-self-service[labels]'.",
        "too-few-examples": "too few examples to look for mistakes.",
        "classes-not-told-apart": "quick features cannot tell the classes apart, so no mistake can"
        " be told either.",
    }[state]


def _modality(spec: DataSpecification) -> str:
    """The domain, but for series of several channels, which formats 1.8 takes for video."""
    is_series = spec.domain == "video" and spec.matrix_spec[0].format is not Format.COMPRESSED
    return "series" if is_series and 1 in _sides(spec) else spec.domain


def _sides(spec: DataSpecification) -> tuple[int, int]:
    return spec.matrix_spec[0].row_count, spec.matrix_spec[0].col_count


def _balance(counts: NDArray[np.int64]) -> float | None:
    """Entropy of the classes' shares, over that of even shares; None for less than two classes."""
    if len(counts) < 2 or not counts.any():
        return None
    shares = counts[counts > 0] / counts.sum()
    return round(float(-(shares * np.log(shares)).sum() / np.log(len(counts))), 3)


def _counts(labels: NDArray[np.float64]) -> list[int]:
    """Examples of each class: the rows in which its column is 1."""
    counts: list[int] = (labels == 1).sum(0).tolist()
    return counts


def _histogram(values: NDArray[np.int32]) -> dict[str, list[float]]:
    """``edges`` (k + 1) and ``counts`` (k) of equally wide bins."""
    counts, edges = np.histogram(values, BINS)
    return {"edges": np.round(edges, 1).tolist(), "counts": counts.tolist()}


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
            if facts[name][0] < facts[name][2]:
                facts.setdefault("histograms", {})[name] = _histogram(values)
    if dataset.metadata_.domain == "speech" and facts.get("steps", [0])[-1] >= SAMPLE_RATE // 2:
        facts["seconds"] = [round(steps / SAMPLE_RATE, 2) for steps in facts["steps"]]
    if seen.columns is not None:
        facts["missing_values"] = int(seen.columns.missing.sum())
    return facts
