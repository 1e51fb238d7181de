"""The report of a dataset as one self-contained HTML page, with a few examples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodl.report import Report

if TYPE_CHECKING:
    from autodl.gallery import Example

SHOWN_CLASSES = 100

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
    from autodl.gallery import pick_examples  # loads NumPy; the service only draws with us

    title = escape(str(report.summary.get("name", "Dataset")))
    parts = [_verdict(report), *_findings(report), *_facts(report.summary)]
    parts += _classes(report.summary)
    parts += _examples(pick_examples(root, report))
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
        from autodl.summary import describe_label_issues  # as above

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


def _examples(examples: Iterable[Example]) -> Iterator[str]:
    """Those that findings name, then the others."""
    for title, is_named in (("Look at these", True), ("Examples", False)):
        figures = [_figure(example) for example in examples if example.is_named is is_named]
        if figures:
            yield f'<h2>{title}</h2><div class="examples">{"".join(figures)}</div>'


def _figure(example: Example) -> str:
    name = escape(example.item or str(example.record))
    if example.kind == "error":
        return f'<figure class="error">{name}: {escape(str(example.content))}</figure>'
    caption = escape(", ".join(example.labels))
    return f"<figure>{_content(example)}<figcaption>{name}: {caption}</figcaption></figure>"


def _content(example: Example) -> str:
    match example.kind, example.content:
        case "picture", str(data):
            return f'<img src="data:image/jpeg;base64,{escape(data)}" alt="">'
        case "wave", list(outline):
            return (
                f'<svg viewBox="0 0 {len(outline)} 101" preserveAspectRatio="none">'
                f'<path d="{draw_wave(outline)}" stroke="#1a5fb4"/></svg>'
            )
        case "values", list(values):
            return ", ".join("?" if value is None else f"{value:g}" for value in values)
    return escape(str(example.content))


def draw_wave(outline: Iterable[Any]) -> str:
    """The path of a wave's (low, high) in a box 101 high, a step wide each."""
    return "".join(
        f"M{x} {50 - 50 * high:.1f}V{50.5 - 50 * low:.1f}" for x, (low, high) in enumerate(outline)
    )
