"""What was formatted, for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from formatter.convert import Summary

SHOWN_LABELS = 20
BAR_WIDTH = 24


def print_summary(summary: Summary, console: Console) -> None:
    """Counts, classes with their balance, findings, and what to do next."""
    counts = ", ".join(f"{count:,} {subset}" for subset, count in summary.counts.items())
    several = "several labels an example" if summary.multi_label else "one label an example"
    console.print(f"[bold]{summary.name}[/bold]: {summary.kind}, {counts}")
    console.print(f"{len(summary.labels)} labels, {several}; the split was {summary.split}.")
    table = Table(box=None, show_header=False, padding=(0, 1))
    largest = max(summary.labels.values(), default=1) or 1
    for label, count in list(summary.labels.items())[:SHOWN_LABELS]:
        table.add_row(label, f"{count:,}", "█" * round(BAR_WIDTH * count / largest))
    console.print(table)
    if len(summary.labels) > SHOWN_LABELS:
        console.print(f"... and {len(summary.labels) - SHOWN_LABELS} more labels")
    for finding in summary.findings[:SHOWN_LABELS]:
        console.print(f"[yellow]warning[/yellow] {finding}")
    if summary.out is None:
        console.print("Nothing was written (--dry-run).")
    else:
        size = f"{summary.bytes / 1e6:,.1f} MB"
        console.print(f"Written: {summary.out} ({size}). Next: autodl check {summary.out}")
