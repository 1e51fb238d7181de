"""The report of a dataset as one self-contained HTML page, with a few examples to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autodl.bundle import find_bundle
from autodl.dataset import Dataset, open_subset
from autodl.decode import decode_labels, decode_tensor
from autodl.errors import BundleError
from autodl.images import Pixels, decode_image
from autodl.report import Report
from autodl.summary import describe_label_issues
from autodl.text import decode_tokens

EXAMPLES = 24
THUMBNAIL_PIXELS = 128
SHOWN_CLASSES = 100
SHOWN_LETTERS = 300
SHOWN_VALUES = 20
LOOKED_AT = ("label-suspicious", "similar-examples", "duplicates-with-other-labels")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem .2rem 0; text-align: left }}
.error {{ color: #b00020 }} .warning {{ color: #8a5a00 }} .note {{ color: #1a5fb4 }}
.bar {{ background: #1a5fb4; height: .8rem; display: inline-block }}
.examples {{ display: flex; flex-wrap: wrap; gap: 1rem }} figure {{ margin: 0; max-width: 16rem }}
figcaption {{ font-size: .85rem }} svg {{ width: 16rem; height: 4rem }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""


def render_page(root: Path, report: Report) -> str:
    """The page of ``report`` about the dataset in ``root``."""
    title = escape(str(report.summary.get("name", "Dataset")))
    parts = [_verdict(report), *_findings(report), *_facts(report.summary)]
    parts += _classes(report.summary)
    if "train" in report.summary.get("subsets", {}):
        parts += _examples(root, report)
    return _PAGE.format(title=title, body="\n".join(parts))


def _verdict(report: Report) -> str:
    if report.ok:
        return "<p>This dataset is good to run.</p>"
    errors = sum(finding.severity == "error" for finding in report.findings)
    return f'<p class="error">{errors} errors must be mended first.</p>'


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        return
    yield "<h2>Findings</h2><table><tr><th>kind<th>where<th>what</tr>"
    for finding in report.findings:
        yield (
            f'<tr><td class="{finding.severity}">{finding.severity}<td>{escape(finding.where)}'
            f"<td>{escape(finding.message)} {escape(finding.hint)}"
            f" <small>[{finding.code}]</small></tr>"
        )
    yield "</table>"


def _facts(summary: Mapping[str, Any]) -> Iterator[str]:
    if "subsets" not in summary:
        return
    shape = " &times; ".join("?" if size < 0 else str(size) for size in summary["shape"])
    yield f"<h2>Contents</h2><p>{summary['modality']}, {summary['classes']} classes, {shape}</p>"
    axes = ("steps", "rows", "columns")
    yield "<table><tr><th>subset<th>examples<th>steps<th>rows<th>columns<th>missing values</tr>"
    for name, facts in summary["subsets"].items():
        sizes = "".join(f"<td>{_span(facts.get(axis))}" for axis in axes)
        missing = facts.get("missing_values", "")
        yield f"<tr><td>{name}<td>{facts['examples']}{sizes}<td>{missing}</tr>"
    yield "</table>"
    yield from _details(summary)


def _details(summary: Mapping[str, Any]) -> Iterator[str]:
    """What only some datasets have: lengths, languages, a look at the labels."""
    train = summary["subsets"].get("train", {})
    if "seconds" in train:
        low, middle, high = train["seconds"]
        yield f"<p>At 16 kHz these last {low:g} to {high:g} s, median {middle:g} s.</p>"
    for axis, histogram in train.get("histograms", {}).items():
        low, high = histogram["edges"][0], histogram["edges"][-1]
        yield f"<p>{axis} of train, from {low:g} to {high:g}:<br>{_bars(histogram['counts'])}</p>"
    if summary.get("languages"):
        shares = (f"{escape(name)} {share:.0%}" for name, share in summary["languages"].items())
        yield f"<p>Language: {', '.join(shares)}</p>"
    if "label_issues" in summary:
        yield f"<p>Labels: {escape(describe_label_issues(**summary['label_issues']))}</p>"


def _bars(counts: list[int]) -> str:
    """A histogram."""
    top, bars = max(counts), ""
    for x, count in enumerate(counts):
        height = round(100 * count / top, 1)
        bars += f'<rect x="{x}" y="{100 - height:g}" width=".9" height="{height}"/>'
    box = f'viewBox="0 0 {len(counts)} 100" preserveAspectRatio="none"'
    return f'<svg {box} fill="#1a5fb4">{bars}</svg>'


def _span(values: list[int] | None) -> str:
    if values is None:
        return ""
    low, middle, high = values
    return str(low) if low == high else f"{low} to {high}, median {middle}"


def _classes(summary: Mapping[str, Any]) -> Iterator[str]:
    subsets = summary.get("subsets", {})
    counts = subsets.get("train", {}).get("class_counts")
    if not counts:
        return
    tests = subsets.get("test", {}).get("class_counts", [0] * len(counts))
    yield "<h2>Classes</h2><table><tr><th>class<th>train<th>test<th></tr>"
    for column in range(min(len(counts), SHOWN_CLASSES)):
        share = 100 * counts[column] / max(1, *counts)
        yield (
            f"<tr><td>{escape(summary['label_names'][column])}<td>{counts[column]}"
            f'<td>{tests[column]}<td style="width: 20rem">'
            f'<span class="bar" style="width: {share:.1f}%"></span></tr>'
        )
    yield "</table>"


def _examples(root: Path, report: Report) -> Iterator[str]:
    """A few training examples, and those that findings name."""
    try:
        dataset = open_subset(find_bundle(root).train)
    except BundleError:
        return  # the findings say why
    named = [f.record for f in report.findings if f.code in LOOKED_AT and f.record is not None]
    if named:
        yield from _figures("Look at these", dataset, named)
    step = max(1, len(dataset) // EXAMPLES)
    yield from _figures("Examples", dataset, range(0, len(dataset), step)[:EXAMPLES])


def _figures(title: str, dataset: Dataset, records: Iterable[int]) -> Iterator[str]:
    yield f'<h2>{title}</h2><div class="examples">'
    for index in records:
        try:
            yield _example(dataset, index)
        except BundleError as error:
            yield f'<figure class="error">{index}: {escape(error.message)}</figure>'
    yield "</div>"


def _example(dataset: Dataset, index: int) -> str:
    record = dataset.record(index)
    names = dataset.get_class_labels()
    labels = decode_labels(record, len(names))
    caption = escape(", ".join(names[column] for column in np.flatnonzero(labels)))
    if record.compressed:  # of a video one frame is enough
        middle = record.compressed[len(record.compressed) // 2]
        content = _picture(decode_image(middle, dataset.metadata.get_num_channels()))
    else:
        content = _numbers(dataset, decode_tensor(record, dataset.metadata_))
    return f"<figure>{content}<figcaption>{index}: {caption}</figcaption></figure>"


def _numbers(dataset: Dataset, example: NDArray[np.float32]) -> str:
    match dataset.metadata_.domain:
        case "image" | "video" if len(example):
            frame = np.clip(np.nan_to_num(example[len(example) // 2]), 0, 1)
            return _picture(np.round(frame * 255).astype(np.uint8))
        case "text":
            return escape(decode_tokens(example, dataset.metadata_)[:SHOWN_LETTERS])
        case "speech":
            return _waveform(example.reshape(-1))
    values = example.reshape(-1)[:SHOWN_VALUES].tolist()
    return escape(", ".join(f"{value:g}" for value in values))


def _picture(pixels: Pixels) -> str:
    image = Image.fromarray(pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0])
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    packed = io.BytesIO()
    image.save(packed, "JPEG")
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="">'


def _waveform(values: NDArray[np.float32]) -> str:
    finite = np.nan_to_num(values)
    top = float(np.abs(finite).max(initial=0)) or 1.0
    parts = np.array_split(finite, min(200, max(1, len(finite))))
    lines = "".join(
        f"M{x} {50 - 50 * float(part.max(initial=-top)) / top:.1f}"
        f"V{50.5 - 50 * float(part.min(initial=top)) / top:.1f}"
        for x, part in enumerate(parts)
        if len(part)
    )
    return (
        f'<svg viewBox="0 0 {len(parts)} 101" preserveAspectRatio="none">'
        f'<path d="{lines}" stroke="#1a5fb4"/></svg>'
    )
