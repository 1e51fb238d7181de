"""The verbs for submissions that a service has: watch, status, list, cancel, results, and so on."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autodl.errors import UsageError
from cli.connection import Json, TokenFile, Url, connect, find_url

if TYPE_CHECKING:
    from client import Submission

Id = Annotated[str, typer.Argument(metavar="ID", help="A submission's id.")]


class Table(StrEnum):
    """In what the predictions are written."""

    csv = "csv"
    parquet = "parquet"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(watch)
    app.command()(status)
    app.command("list")(list_submissions)
    app.command()(start)
    app.command()(cancel)
    app.command()(rerun)
    app.command()(predictions)
    app.command()(download)
    app.command()(delete)
    app.command()(share)
    app.command()(quota)
    app.command()(queue)


def watch(
    submission_id: Id,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Follow a submission to its end.

    With --json, one event a line. Ctrl-C ends the following, not the run.
    """
    from cli.follow import exit_as, talk, watch_submission

    with connect(url, token_file) as service:
        if as_json:
            for event in service.events(submission_id):
                line = {"event": event.kind, "id": event.id, "data": event.data}
                typer.echo(json.dumps(line))
            submission = service.get(submission_id)
        else:
            submission = watch_submission(service, submission_id, talk())
    exit_as(submission)


def status(
    submission_id: Id,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Tell how far a submission is."""
    with connect(url, token_file) as service:
        _show(service.get(submission_id), as_json)


def list_submissions(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """List your submissions, newest first.

    A line each: id, time (UTC), state, ALC, name.
    """
    from cli.follow import number

    found: list[Submission] = []
    with connect(url, token_file) as service:
        cursor = None
        while len(found) < limit:
            page = service.list_submissions(limit=min(100, limit - len(found)), cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        typer.echo(json.dumps([s.raw for s in found], indent=1))
        return
    for s in found:
        alc = number(s.result.alc if s.result else None)
        typer.echo(f"{s.id}  {s.created_at:%Y-%m-%d %H:%M}  {s.state:<10}  {alc}  {s.name}")


def start(
    submission_id: Id,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Let a submission run that is held for a look at its data."""
    with connect(url, token_file) as service:
        _show(service.start(submission_id), as_json)


def cancel(
    submission_id: Id,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Ask for an early end; what was predicted until then is kept."""
    with connect(url, token_file) as service:
        _show(service.cancel(submission_id), as_json)


def rerun(
    submission_id: Id,
    watching: Annotated[
        bool, typer.Option("--watch/--no-watch", help="Follow the run to its end.")
    ] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Run the same data again: a new submission.

    Solution and budget are the same, too. Prints the new id.
    """
    from cli.follow import exit_as, talk, watch_submission

    with connect(url, token_file) as service:
        submission = service.rerun(submission_id)
        if watching:
            submission = watch_submission(service, submission.id, talk())
    typer.echo(json.dumps(submission.raw, indent=1) if as_json else submission.id)
    if watching:
        exit_as(submission)


def predictions(
    submission_id: Id,
    out: Annotated[Path | None, typer.Option(help="A file; by default stdout.")] = None,
    table: Annotated[Table, typer.Option("--format", help="In what they are written.")] = Table.csv,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Fetch the predictions as a table."""
    name = f"predictions.{Table.json if as_json else table}"
    with connect(url, token_file) as service, tempfile.TemporaryDirectory() as folder:
        target = out or Path(folder) / name
        service.download(submission_id, name, target)
        if out is None:
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)


def download(
    submission_id: Id,
    paths: Annotated[list[str] | None, typer.Argument(help="Files; by default all.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder; by default one of its id.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Fetch the results' files.

    Each one's SHA-256 is verified. What was cut goes on where it was, also when asked again.
    """
    folder = out or Path(submission_id)
    with connect(url, token_file) as service:
        wanted = paths or service.files(submission_id)
        targets = [service.download(submission_id, path, folder / path) for path in wanted]
    if as_json:
        typer.echo(json.dumps([str(target) for target in targets], indent=1))
    else:
        typer.echo("\n".join(map(str, targets)))


def delete(
    submission_id: Id,
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Remove a submission and all that came of it.

    There is no way back.
    """
    with connect(url, token_file) as service:
        if not sure:
            submission = service.get(submission_id)
            if not sys.stdin.isatty():
                raise UsageError(
                    "confirmation-missing",
                    "What is deleted cannot be had back.",
                    hint="Say that you are sure: --yes.",
                )
            typer.confirm(f"Delete {submission.name!r} ({submission.state})?", abort=True, err=True)
        service.delete(submission_id)
    if as_json:
        typer.echo(json.dumps({"id": submission_id, "deleted": True}))


def quota(url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """Show what you may use, and have used."""
    with connect(url, token_file) as service:
        found = service.quota()
    if as_json:
        typer.echo(json.dumps(found.raw, indent=1))
        return
    for name, item in (
        ("submissions today", found.submissions_per_day),
        ("compute minutes today", found.compute_minutes_per_day),
        ("GiB stored", found.stored_bytes),
        ("runs at once", found.parallel_runs),
    ):
        unit = 1024**3 if name == "GiB stored" else 1
        limit = "no limit" if item.limit is None else f"of {item.limit / unit:g}"
        typer.echo(f"{name:<22} {item.used / unit:8.4g} {limit}")
    typer.echo(f"A day's numbers begin anew at {found.resets_at:%Y-%m-%d %H:%M} UTC.", err=True)


def queue(
    budget: Annotated[
        float | None, typer.Option(min=1, help="Seconds of learning.  [default: the service's]")
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Tell when a submission would start, and when yours will.

    A line each: place in the queue (1 is next), seconds from now in four cases of five, id.
    """
    with connect(url, token_file) as service:
        found = service.queue(budget_seconds=budget)
    if as_json:
        typer.echo(json.dumps(found.raw, indent=1))
        return
    for place in (*found.yours, found.next):
        interval = f"{place.low_seconds:g} to {place.high_seconds:g} s"
        typer.echo(f"{place.position:>4}  {interval:<18}  {place.submission_id or 'a new one'}")
    summary = f"{found.running} run, {found.waiting} wait; {found.slots} can run at once."
    typer.echo(summary, err=True)


def share(
    submission_id: Id,
    days: Annotated[float, typer.Option(help="How long the link is good.", min=0.001)] = 7.0,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke every link instead.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Make a link with which others can read it.

    Whoever has the link sees the submission and its results, and can change nothing.
    """
    with connect(url, token_file) as service:
        if revoke:
            links = service.list_shares(submission_id)
            for link in links:
                service.revoke_share(submission_id, link.id)
            if as_json:
                typer.echo(json.dumps({"revoked": [link.id for link in links]}))
            else:
                typer.echo(f"{len(links)} links open nothing any more.", err=True)
            return
        made = service.share(submission_id, seconds=days * 86400)
    address = find_url(url) + (made.url or "")
    if as_json:
        values = {"id": made.id, "url": address, "expires_at": made.expires_at.isoformat()}
        typer.echo(json.dumps(values))
    else:
        typer.echo(address)


def _show(submission: Submission, as_json: bool) -> None:
    from cli.follow import talk, tell_result

    if as_json:
        typer.echo(json.dumps(submission.raw, indent=1))
        return
    typer.echo(f"{submission.state}: {submission.status_reason}")
    tell_result(submission, talk())
