"""A submission's events as lines of talk on stderr, and an upload's bar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from autodl.report import Report
    from client import Client, Event, Submission
    from client.transfer import Progress

SHOWN_FINDINGS = 10
SEVERITY_STYLES = {"error": "red", "warning": "yellow", "note": "dim"}
INVALID_DATA, RUN_FAILED, INTERRUPTED = 3, 7, 130
SECOND_THOUGHT_SECONDS = 3.0
STYLES = {"succeeded": "green", "rejected": "red", "failed": "red"}


def talk() -> Console:
    """A console on stderr; without colour where it is no terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def upload_bar(console: Console) -> Iterator[Progress]:
    """A progress bar for ``Client.submit``; nothing at all where it is no terminal."""
    if not console.is_terminal:
        yield lambda sent, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("upload")
        yield lambda sent, total: bar.update(task, completed=sent, total=total)


def follow(client: Client, submission_id: str, console: Console) -> Submission:
    """Tell every event until the end; the submission as it then is."""
    return client.wait(submission_id, lambda event: _tell(event, console))


def _tell(event: Event, console: Console) -> None:
    data = event.data
    if event.kind == "state":
        style = STYLES.get(data["state"], "bold")
        console.print(f"[{style}]{data['state']:<10}[/] {escape(data['cause'])}")
    elif event.kind == "queue":
        position = data["queue_position"]
        place = f" (place {position} in the queue)" if position else ""
        console.print(f"[dim]{'':<10} {escape(data['status_reason'])}{place}[/]")
    elif event.kind == "point":
        console.print(
            f"[cyan]{'point':<10}[/] {data['seconds']:8.2f} s   NAUC {number(data['nauc'])}"
            f"   accuracy {number(data['accuracy'])}   ALC so far {number(data['alc'])}"
        )


def number(value: Any) -> str:
    """A score with four digits; a dash where it is not defined."""
    return "     –" if value is None else f"{value:6.4f}"


def tell_result(submission: Submission, console: Console) -> None:
    """How it ended: the figures, or whose fault it was and what to do."""
    if (result := submission.result) is not None:
        figures = {"ALC": result.alc, "NAUC": result.nauc, "accuracy": result.accuracy}
        text = "   ".join(f"{name} {number(value).strip()}" for name, value in figures.items())
        console.print(f"[green bold]{text}[/]   ({result.points} predictions)")
    if (error := submission.error) is not None:
        place = "".join(
            (
                f"{error.file}: " if error.file else "",
                f"record {error.record}: " if error.record is not None else "",
                f"line {error.line}: " if error.line is not None else "",
            )
        )
        console.print(f"[red]{escape(place + error.message)}[/] {escape(f'[{error.code}]')}")
        if error.hint:
            console.print(escape(error.hint))


def tell_findings(report: Report, console: Console) -> None:
    """What a check found, the first of it."""
    for finding in report.findings[:SHOWN_FINDINGS]:
        place = f"{finding.where}: " if finding.where else ""
        style = SEVERITY_STYLES[finding.severity]
        text = escape(f"{place}{finding.message} {finding.hint} [{finding.code}]")
        console.print(f"[{style}]{finding.severity}[/] {text}")
    if (more := len(report.findings) - SHOWN_FINDINGS) > 0:
        console.print(f"... and {more} more findings: see them with `autodl check`.")


def watch_submission(client: Client, submission_id: str, console: Console) -> Submission:
    """Follow to the end. Ctrl-C ends the following; a second one, soon after, the run."""
    try:
        submission = follow(client, submission_id, console)
    except KeyboardInterrupt as stop:
        console.print(f"The run goes on. Follow it again with: autodl watch {submission_id}")
        if console.is_terminal:
            _offer_cancel(client, submission_id, console)
        raise typer.Exit(INTERRUPTED) from stop
    tell_result(submission, console)
    return submission


def _offer_cancel(client: Client, submission_id: str, console: Console) -> None:
    console.print(f"Ctrl-C once more within {SECOND_THOUGHT_SECONDS:g} s cancels the run.")
    try:
        time.sleep(SECOND_THOUGHT_SECONDS)
    except KeyboardInterrupt:
        client.cancel(submission_id)
        console.print("It is being canceled; what was predicted is kept.")


def exit_as(submission: Submission) -> None:
    """The run's end as an exit code."""
    if submission.state == "rejected":
        raise typer.Exit(INVALID_DATA)
    if submission.state != "succeeded":
        raise typer.Exit(RUN_FAILED)
