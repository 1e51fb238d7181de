"""The verbs that look at a dataset: check, describe and show."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodl.errors import BundleError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from autodl.report import Report

INVALID_DATA = 3
BAR_WIDTH = 30
SHOWN_CLASSES = 20
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
BARS = "▁▂▃▄▅▆▇█"

Source = Annotated[Path, typer.Argument(help="A dataset: its folder or its zip.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(check)
    app.command()(describe)
    app.command()(show)


def check(
    source: Source,
    html: Annotated[Path | None, typer.Option(help="Also write the report as a page.")] = None,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels", help="Look for wrong labels; if not given, in small datasets."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a whole dataset and report what is wrong with it, and what is in it."""
    from autodl.check import check as check_dataset
    from autodl.page import render_page
    from autodl.report import Findings, Report

    try:
        with _opened(source) as root:
            report = check_dataset(root, with_label_issues=labels)
            page = "" if html is None else render_page(root, report)
    except BundleError as error:  # of the archive: a dataset's own faults are in its report
        findings = Findings(source)
        findings.add_error(error)
        report = Report(findings.sorted())
        page = render_page(source, report)
    if html is not None:
        html.write_text(page, encoding="utf-8")
    if as_json:
        typer.echo(report.to_json())
    else:
        console = _console()
        _print_summary(report.summary, console)
        _print_findings(report, console)
    if not report.ok:
        raise typer.Exit(INVALID_DATA)


def describe(source: Source, as_json: Json = False) -> None:
    """Say what a dataset is, from its metadata and labels."""
    import json

    from autodl.summary import describe as describe_dataset

    with _opened(source) as root:
        summary = describe_dataset(root)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _print_summary(summary, _console())


def show(
    source: Source,
    number: Annotated[int, typer.Argument(help="Which example, counted from 0.")],
    subset: Annotated[str, typer.Option(help="train, test or unlabelled.")] = "train",
    out: Annotated[
        Path | None, typer.Option(help="Write a picture (.png, .gif), sound (.wav) or text file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Its labels and shape as JSON.")] = False,
) -> None:
    """Show one example: a picture, a waveform, a text or a row."""
    from autodl.bundle import find_bundle
    from autodl.dataset import open_subset
    from cli.show import describe_example, show_example, write_example

    with _opened(source) as root:
        subsets = find_bundle(root).subsets
        if subset not in subsets:
            raise UsageError(
                "subset-unknown",
                f"The dataset has no subset {subset}.",
                hint=f"It has {', '.join(subsets)}.",
            )
        dataset = open_subset(subsets[subset])
        if not 0 <= number < len(dataset):
            raise UsageError(
                "example-unknown",
                f"There is no example {number}.",
                hint=f"The subset has examples 0 to {len(dataset) - 1}.",
            )
        if out is not None:
            write_example(dataset, number, out)
        if as_json:
            typer.echo(json.dumps(describe_example(dataset, number)))
        elif out is None:
            show_example(dataset, number, _console())


@contextmanager
def _opened(source: Path) -> Iterator[Path]:
    """The folder of a dataset, unpacked for the time being if it is a zip."""
    from autodl.bundle import unpack_zip

    if not source.exists():
        raise UsageError("path-missing", f"There is no {source}.", hint="Give a folder or a zip.")
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="autodl-") as folder:
        unpack_zip(source, Path(folder) / "bundle")
        yield Path(folder) / "bundle"


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _print_summary(summary: Any, console: Console) -> None:
    from rich.table import Table

    if "subsets" not in summary:
        return
    kind = "multi-label" if summary.get("multi_label") else "one label each"
    shape = " x ".join("?" if size < 0 else str(size) for size in summary["shape"])
    console.print(f"[bold]{summary['name']}[/]  {summary['modality']}, {summary['layout']} layout")
    console.print(f"{summary['classes']} classes, {kind}; an example is {shape}")
    table = Table("subset", "examples", "steps", "rows", "columns", "missing", box=None)
    for name, facts in summary["subsets"].items():
        sizes = (_span(facts.get(axis)) for axis in ("steps", "rows", "columns"))
        missing = facts.get("missing_values")
        table.add_row(
            name, f"{facts['examples']:,}", *sizes, "" if missing is None else f"{missing:,}"
        )
    console.print(table)
    for line in _details(summary):
        console.print(line)
    _print_classes(summary, console)


def _details(summary: Any) -> Iterator[str]:
    """What only some datasets have: lengths, languages, a look at the labels."""
    from autodl.summary import describe_label_issues

    train = summary["subsets"].get("train", {})
    if "seconds" in train:
        low, middle, high = train["seconds"]
        yield f"At 16 kHz these last {low:g} to {high:g} s, median {middle:g} s."
    for axis, histogram in train.get("histograms", {}).items():
        low, high = histogram["edges"][0], histogram["edges"][-1]
        top = max(histogram["counts"])
        bars = "".join(
            BARS[-(-(len(BARS) - 1) * count // top)] if count else " "
            for count in histogram["counts"]
        )
        yield f"{axis} of train: {low:,.0f} {bars} {high:,.0f}"
    if summary.get("languages"):
        shares = (f"{name} {share:.0%}" for name, share in summary["languages"].items())
        yield f"Language: {', '.join(shares)}"
    issues = summary.get("label_issues")
    if issues is not None:
        yield f"Labels: {describe_label_issues(**issues)}"


def _span(values: list[int] | None) -> str:
    if values is None:
        return ""
    low, middle, high = values
    return f"{low:,}" if low == high else f"{low:,} to {high:,} (median {middle:,})"


def _print_classes(summary: Any, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    counts = summary["subsets"].get("train", {}).get("class_counts")
    if not counts:
        return
    tests = summary["subsets"].get("test", {}).get("class_counts", [0] * len(counts))
    table = Table("class", "train", "test", "", box=None)
    order = sorted(range(len(counts)), key=lambda c: -counts[c])
    for column in order[:SHOWN_CLASSES]:
        bar = "█" * round(BAR_WIDTH * counts[column] / max(1, *counts))
        name = escape(summary["label_names"][column])
        table.add_row(name, f"{counts[column]:,}", f"{tests[column]:,}", f"[blue]{bar}[/]")
    console.print(table)
    if len(order) > SHOWN_CLASSES:
        console.print(f"and {len(order) - SHOWN_CLASSES} more classes")


def _print_findings(report: Report, console: Console) -> None:
    from rich.markup import escape

    for finding in report.findings:
        style = STYLES[finding.severity]
        place = f"{escape(finding.where)}: " if finding.where else ""
        console.print(f"[{style}]{finding.severity}[/] {place}{escape(finding.message)}")
        console.print(f"        {escape(finding.hint)} [dim]\\[{finding.code}][/]")
    errors = sum(finding.severity == "error" for finding in report.findings)
    console.print(
        "[green]Good to run.[/]" if not errors else f"[red]{errors} errors to mend first.[/]"
    )
