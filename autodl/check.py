"""check: everything that is wrong with a dataset, and what is in it.

Every record is read and every finding is collected; bad data never raise. What a dataset must
fulfil is the original reader's and scorer's need (AutoDL formats 1, 2 and 8); what it should
fulfil (no duplicates across subsets, enough examples) are warnings and notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.advice import class_findings, column_findings, size_findings
from autodl.bundle import ITEMS_NAME, Bundle, find_bundle, read_items
from autodl.dataset import Dataset, find_shards, open_subset
from autodl.duplicates import duplicate_findings
from autodl.errors import BundleError
from autodl.label_issues import find_label_issues
from autodl.language import find_languages
from autodl.metadata import (
    METADATA_NAME,
    DataSpecification,
    find_unknown_field,
    mend_escapes,
    read_metadata_text,
)
from autodl.predictions import read_labels
from autodl.report import Finding, Findings, Report
from autodl.summary import summarise
from autodl.survey import Survey, survey

__all__ = ["Finding", "Report", "check"]

Labels = NDArray[np.float64]


def check(root: Path, jobs: int | None = None, with_label_issues: bool | None = None) -> Report:
    """Read the whole dataset in the folder ``root`` with ``jobs`` threads (all cores).

    ``with_label_issues`` looks for wrong labels, or not; None: where the dataset is small. Raises
    UsageError (``labels-extra-missing``) if that is asked for and cannot be done.
    """
    findings = Findings(root)
    try:
        bundle = find_bundle(root)
    except BundleError as error:
        findings.add_error(error)
        return Report(findings.sorted())
    _check_name(bundle, findings)
    subsets = _open_subsets(bundle, findings)
    labels = _check_labels(bundle, subsets, findings)
    for name, dataset in subsets.items():
        if name != "train" and "train" in subsets:
            _check_same(subsets["train"], dataset, name, findings)
    surveys = {name: _survey(dataset, findings, jobs) for name, dataset in subsets.items()}
    files = {name: findings.relative(str(path)) for name, path in bundle.subsets.items()}
    for name, dataset in subsets.items():
        _check_subset(name, dataset, surveys[name], findings)
    if "train" in surveys:
        train = subsets["train"], surveys["train"]
        findings.extend(class_findings(*train, labels, files["train"]))
        findings.extend(column_findings(*train, files["train"]))
    findings.extend(size_findings({name: len(d) for name, d in subsets.items()}, files))
    items = {name: _check_items(dataset, findings) for name, dataset in subsets.items()}
    findings.extend(duplicate_findings(surveys, files, items))
    summary = summarise(bundle, subsets, surveys, labels)
    if "train" in surveys:
        readable = surveys["train"].readable
        if subsets["train"].metadata_.domain == "text" and readable.any():
            summary["languages"] = find_languages(subsets["train"], np.flatnonzero(readable))
        issues = find_label_issues(subsets["train"], readable, with_label_issues, jobs)
        findings.extend(issues.findings(summary["label_names"], files["train"]))
        summary["label_issues"] = {"state": issues.state, "count": len(issues.issues)}
    named = [_name_item(finding, subsets, files, items) for finding in findings.sorted()]
    return Report(tuple(named), summary)


def _check_name(bundle: Bundle, findings: Findings) -> None:
    if "." in bundle.name:
        findings.add(
            Finding(
                "dataset-name-dotted",
                "error",
                f"The dataset's name {bundle.name} contains a dot.",
                "Rename the .data folder and the .solution file: predictions are found by name.",
                f"{bundle.name}.data",
            )
        )
    elif bundle.layout != "automl" and bundle.labels and bundle.labels.stem != bundle.name:
        findings.add(
            Finding(
                "labels-name",
                "warning",
                f"The labels are called {bundle.labels.stem}, the dataset {bundle.name}.",
                "The original scoring program would not find the predictions; use one name.",
                bundle.labels.name,
            )
        )


def _open_subsets(bundle: Bundle, findings: Findings) -> dict[str, Dataset]:
    """The subsets that can be opened; what keeps the others closed goes to ``findings``."""
    subsets = {}
    for name, path in bundle.subsets.items():
        try:
            if bundle.layout == "tfrecord":
                _check_metadata_text(path / METADATA_NAME, findings)
                _check_shards(path, name, findings)
            dataset = open_subset(path)
        except BundleError as error:
            findings.add_error(error)
            continue
        _check_specification(dataset, findings)
        subsets[name] = dataset
    return subsets


def _check_metadata_text(path: Path, findings: Findings) -> None:
    text = read_metadata_text(path)
    file = findings.relative(str(path))
    unknown = find_unknown_field(text)
    if unknown is not None:
        findings.add(
            Finding(
                "metadata-field-unknown",
                "warning",
                f"The format knows no field {unknown[0]}; it is passed over.",
                "The original reader refuses the dataset; remove the line.",
                file,
                line=unknown[1],
            )
        )
    mended = mend_escapes(text)
    if mended != text:
        pairs = enumerate(zip(text.split("\n"), mended.split("\n"), strict=True), 1)
        findings.add(
            Finding(
                "metadata-escape-latin1",
                "warning",
                "A name holds a letter escaped as Latin-1, which is read as it was meant.",
                "The original reader refuses the dataset; write the letter itself, in UTF-8.",
                file,
                line=next(line for line, (one, other) in pairs if one != other),
            )
        )
    if not any("sample_count" in line for line in text.splitlines()[:3]):
        findings.add(
            Finding(
                "metadata-sample-count-place",
                "note",
                "sample_count does not stand in the first three lines.",
                "Some published solutions look for it only there.",
                file,
            )
        )


def _check_shards(path: Path, name: str, findings: Findings) -> None:
    shards = find_shards(path)
    if len(shards) > 1 and name != "train":
        findings.add(
            Finding(
                "test-in-several-shards",
                "warning",
                f"The subset lies in {len(shards)} files; they are read in the order of names.",
                "Rows of labels and predictions follow the records: write one file.",
                findings.relative(str(path)),
            )
        )


def _check_specification(dataset: Dataset, findings: Findings) -> None:
    """What is odd about the metadata, though examples can be decoded by them."""
    spec, path = dataset.metadata_, dataset.source.path
    file = findings.relative(str(path / METADATA_NAME if path.is_dir() else path))
    if len(spec.matrix_spec) > 1:
        findings.add(
            Finding(
                "several-matrices",
                "warning",
                f"Each step has {len(spec.matrix_spec)} matrices; only the first is read.",
                "Put the data into one matrix, as every published dataset does.",
                file,
            )
        )
    columns = list(spec.label_to_index_map.values())
    if len(set(columns)) < len(columns) or any(not 0 <= c < spec.output_dim for c in columns):
        findings.add(
            Finding(
                "label-names",
                "warning",
                "label_to_index_map names a label twice, or one that does not exist.",
                f"Each name stands for one column from 0 to {spec.output_dim - 1}.",
                file,
            )
        )


def _check_same(train: Dataset, other: Dataset, name: str, findings: Findings) -> None:
    """Compare the metadata of two subsets; they may differ in sample_count only."""
    first, second = (
        train.metadata_,
        replace(other.metadata_, sample_count=train.metadata_.sample_count),
    )
    if first == second:
        return
    hard = first.output_dim != second.output_dim or (
        first.matrix_spec[0].format is not second.matrix_spec[0].format
        or first.matrix_spec[0].channels != second.matrix_spec[0].channels
    )
    fields = [
        f for f in DataSpecification.__dataclass_fields__ if getattr(first, f) != getattr(second, f)
    ]
    findings.add(
        Finding(
            "metadata-differ",
            "error" if hard else "warning",
            f"The metadata of train and {name} differ in {', '.join(fields)}.",
            "Solutions see the metadata of train only; the others must be equal to it.",
            findings.relative(str(other.source.path)),
        )
    )


def _check_labels(
    bundle: Bundle, subsets: Mapping[str, Dataset], findings: Findings
) -> Labels | None:
    """The test labels if they are sound by themselves and fit the test subset."""
    if bundle.labels is None:
        findings.add(
            Finding(
                "labels-missing",
                "error",
                "There is no .solution file with the labels of the test subset.",
                f"Add {bundle.name}.solution: a line per test record, a 0 or 1 per label.",
                f"{bundle.name}.solution",
            )
        )
        return None
    test = subsets.get("test")
    known = next(iter(subsets.values()), None) if test is None else test
    try:
        labels = read_labels(bundle.labels, known.metadata_.output_dim if known else None)
    except BundleError as error:
        findings.add_error(error)
        return None
    file = bundle.labels.name
    if test is not None and len(labels) != len(test):
        findings.add(
            Finding(
                "labels-count",
                "error",
                f"There are {len(labels)} lines of labels but {len(test)} test records.",
                "Line i holds the labels of test record i; blank lines do not count.",
                file,
            )
        )
        return None
    if not (((labels == 1).any(0)) & ((labels < 1).any(0))).any():
        findings.add(
            Finding(
                "labels-one-class",
                "warning",
                "No label is both present and absent in the test subset: every score will be 0.",
                "Take test examples of at least two classes.",
                file,
            )
        )
    if not np.isin(labels, (0, 1)).all():
        row = int(np.argmax(~np.isin(labels, (0, 1)).all(1)))
        findings.add(
            Finding(
                "labels-not-binary",
                "warning",
                f"Row {row} holds a number other than 0 and 1.",
                "Scoring counts 1 as true and everything less as false.",
                file,
            )
        )
    return labels


def _survey(dataset: Dataset, findings: Findings, jobs: int | None) -> Survey:
    last: Survey | None = None
    for item in survey(dataset, jobs):
        if isinstance(item, Survey):
            last = item
        else:
            file = None if item.file is None else findings.relative(item.file)
            findings.add(replace(item, file=file))
    assert last is not None  # a survey always ends with one
    return last


def _check_subset(name: str, dataset: Dataset, seen: Survey, findings: Findings) -> None:
    file = findings.relative(str(dataset.source.path))
    claimed = dataset.metadata_.sample_count
    if not len(dataset):
        findings.add(
            Finding(
                "subset-empty",
                "error" if name != "unlabelled" else "warning",
                f"The subset {name} has no records.",
                "Each subset needs at least one example; leave an empty unlabelled part out.",
                file,
            )
        )
    elif claimed != len(dataset):
        findings.add(
            Finding(
                "sample-count-wrong",
                "warning",
                f"The metadata claim {claimed} records; there are {len(dataset)}.",
                "Correct sample_count: solutions size their predictions by it.",
                file,
            )
        )
    labelled = len(dataset) - seen.label_counts[0] - int((~seen.readable).sum())
    if name != "train" and labelled > 0:
        findings.add(
            Finding(
                "labels-in-test-records",
                "warning",
                f"{labelled} records of {name} carry labels, which a solution can read.",
                "Leave label_index and label_score of test records empty.",
                file,
            )
        )


def _check_items(dataset: Dataset, findings: Findings) -> list[str]:
    """What the records are called; empty where that is not known."""
    try:
        items = read_items(dataset.source.path)
    except BundleError as error:
        findings.add_error(error)
        return []
    if items is not None and len(items) != len(dataset):
        findings.add(
            Finding(
                "items-count",
                "warning",
                f"items.csv names {len(items)} items; there are {len(dataset)} records.",
                "One line per record, in record order.",
                findings.relative(str(dataset.source.path / ITEMS_NAME)),
            )
        )
        return []
    return items or []


def _name_item(
    finding: Finding,
    subsets: Mapping[str, Dataset],
    files: Mapping[str, str],
    items: Mapping[str, list[str]],
) -> Finding:
    """The finding with the name of its record, where one file has all records of the subset."""
    if finding.record is None or finding.file is None:
        return finding
    for name, dataset in subsets.items():
        place = dataset.source.path
        is_whole = finding.file == files[name]
        is_only_shard = finding.file.startswith(f"{files[name]}/") and len(find_shards(place)) == 1
        if (is_whole or is_only_shard) and finding.record < len(items[name]):
            return replace(finding, item=items[name][finding.record])
    return finding
