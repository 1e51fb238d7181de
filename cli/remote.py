"""The verbs that talk to a service: submit, watch, status, list, cancel, predictions, download."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autodl.errors import UsageError

if TYPE_CHECKING:
    from client import Client, Submission

RUN_FAILED, INVALID_DATA, INTERRUPTED = 7, 3, 130
PREDICTIONS = "predictions.csv"

Url = Annotated[str, typer.Option("--url", envvar="AUTODL_URL", help="The service's address.")]
TokenFile = Annotated[
    Path,
    typer.Option("--token-file", envvar="AUTODL_TOKEN_FILE", help="A file with your token."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A submission's id.")]
DEFAULT_URL = "http://127.0.0.1:8000"
LOCAL_TOKEN = Path(".autodl/token")  # that of a service started in this folder


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(submit)
    app.command()(watch)
    app.command()(status)
    app.command("list")(list_submissions)
    app.command()(cancel)
    app.command()(predictions)
    app.command()(download)


def submit(
    bundle: Annotated[Path, typer.Argument(help="A bundle's zip, as `autodl format` makes it.")],
    budget: Annotated[float | None, typer.Option(help="Seconds for the solution.")] = None,
    name: Annotated[str | None, typer.Option(help="The submission's name.")] = None,
    solution: Annotated[str | None, typer.Option(help="A solution that the service has.")] = None,
    watching: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """Upload a bundle and ask for a run."""
    from cli.follow import talk, upload_bar

    console = talk()
    with _connect(url, token_file) as client:
        with upload_bar(console) as on_progress:
            submission = client.submit(
                bundle,
                name=name,
                budget_seconds=budget,
                solution=solution,
                on_progress=on_progress,
            )
        console.print(f"Submitted as {submission.id}")
        console.print(f"See {url.rstrip('/')}/submissions/{submission.id}")
        if watching:
            submission = _watch(client, submission.id)
    if as_json:
        typer.echo(json.dumps(submission.raw, indent=1))
    elif not watching:
        typer.echo(submission.id)
    if watching:
        _exit(submission)


def watch(
    submission_id: Id,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """Follow a submission to its end; with --json, one event a line."""
    with _connect(url, token_file) as client:
        if as_json:
            for event in client.events(submission_id):
                line = {"event": event.kind, "id": event.id, "data": event.data}
                typer.echo(json.dumps(line))
            submission = client.get(submission_id)
        else:
            submission = _watch(client, submission_id)
    _exit(submission)


def status(
    submission_id: Id,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """Tell how far a submission is."""
    with _connect(url, token_file) as client:
        _show(client.get(submission_id), as_json)


def list_submissions(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """List your submissions, newest first."""
    from cli.follow import number

    found: list[Submission] = []
    with _connect(url, token_file) as client:
        cursor = None
        while len(found) < limit:
            page = client.list_submissions(limit=min(100, limit - len(found)), cursor=cursor)
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


def cancel(
    submission_id: Id,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """Ask for an early end; what was predicted until then is kept."""
    with _connect(url, token_file) as client:
        _show(client.cancel(submission_id), as_json)


def predictions(
    submission_id: Id,
    out: Annotated[Path | None, typer.Option(help="A file; by default stdout.")] = None,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
) -> None:
    """Fetch the predictions as CSV."""
    with _connect(url, token_file) as client, tempfile.TemporaryDirectory() as folder:
        target = out or Path(folder) / PREDICTIONS
        client.download(submission_id, PREDICTIONS, target)
        if out is None:
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)


def download(
    submission_id: Id,
    paths: Annotated[list[str] | None, typer.Argument(help="Files; by default all.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder; by default one of its id.")] = None,
    url: Url = DEFAULT_URL,
    token_file: TokenFile = LOCAL_TOKEN,
    as_json: Json = False,
) -> None:
    """Fetch the results' files; each one's digest is verified."""
    folder = out or Path(submission_id)
    with _connect(url, token_file) as client:
        wanted = paths or client.files(submission_id)
        targets = [client.download(submission_id, path, folder / path) for path in wanted]
    if as_json:
        typer.echo(json.dumps([str(target) for target in targets], indent=1))
    else:
        typer.echo("\n".join(map(str, targets)))


def _connect(url: str, token_file: Path) -> Client:
    from client import Client

    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "token-not-found",
            "There is no token to show to the service.",
            hint="Give --token-file or AUTODL_TOKEN_FILE, or start a service here: autodl serve",
            file=str(token_file),
        ) from error
    return Client(url, token)


def _watch(client: Client, submission_id: str) -> Submission:
    from cli.follow import follow, talk, tell_result

    console = talk()
    try:
        submission = follow(client, submission_id, console)
    except KeyboardInterrupt as stop:
        console.print(f"The run goes on. Follow it again with: autodl watch {submission_id}")
        raise typer.Exit(INTERRUPTED) from stop
    tell_result(submission, console)
    return submission


def _show(submission: Submission, as_json: bool) -> None:
    from cli.follow import talk, tell_result

    if as_json:
        typer.echo(json.dumps(submission.raw, indent=1))
        return
    typer.echo(f"{submission.state}: {submission.status_reason}")
    tell_result(submission, talk())


def _exit(submission: Submission) -> None:
    """The run's end as an exit code."""
    if submission.state == "rejected":
        raise typer.Exit(INVALID_DATA)
    if submission.state != "succeeded":
        raise typer.Exit(RUN_FAILED)
