"""The verb that does it all: format what is raw, check it, upload it, follow the run."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodl.bundle import looks_like_bundle
from autodl.errors import UsageError
from cli.connection import Json, TokenFile, Url, connect, find_url
from cli.format import (
    Group,
    Jobs,
    Kind,
    Label,
    MaxFrames,
    MaxSide,
    SampleRate,
    Seed,
    Separator,
    Test,
    Unlabelled,
    read_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from client import Submission
    from formatter.source import Options

INVALID_DATA = 3

Source = Annotated[
    Path, typer.Argument(help="Raw data, as autodl format takes it; or a bundle, also as zip.")
]
Watching = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the run to its end.")]
Checking = Annotated[
    bool, typer.Option("--check/--no-check", help="Check the data here, before the upload.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(submit)


def submit(
    source: Source,
    budget: Annotated[float | None, typer.Option(help="Seconds for the solution.")] = None,
    name: Annotated[str | None, typer.Option(help="The submission's name.")] = None,
    solution: Annotated[str | None, typer.Option(help="A solution that the service has.")] = None,
    watching: Watching = True,
    checking: Checking = True,
    review: Annotated[bool, typer.Option("--review", help="Hold it until autodl start.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Format and check only.")] = False,
    label: Label = "",
    separator: Separator = None,
    group: Group = None,
    test: Test = "0.2",
    seed: Seed = 0,
    max_side: MaxSide = None,
    max_frames: MaxFrames = 64,
    sample_rate: SampleRate = 16_000,
    kind: Kind = None,
    unlabelled: Unlabelled = None,
    jobs: Jobs = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Format, check, upload and follow: all in one go.

    Raw data are formatted first; a bundle is taken as it is. The options from --label to
    --jobs are those of autodl format, for raw data only. Ctrl-C ends the following; the run
    goes on.
    """
    from cli.follow import talk

    console = talk()
    options = read_options(
        label,
        test,
        separator=separator or None,
        group=group,
        seed=seed,
        max_side=max_side,
        max_frames=max_frames,
        sample_rate=sample_rate,
        kind=kind,
        unlabelled=unlabelled,
        jobs=jobs,
    )
    with _bundled(source, options, console) as bundle:
        if checking or dry_run:
            _check(bundle, console)
        if dry_run:
            console.print("The data are fit to be submitted. Nothing was sent (--dry-run).")
            return
        asked: dict[str, Any] = {"name": name or source.resolve().stem, "solution": solution}
        asked |= {"budget_seconds": budget} | ({"review": True} if review else {})
        watching = watching and not review
        submission = _send(bundle, asked, watching, url, token_file, console)
    _tell(submission, watching, as_json)


def _tell(submission: Submission, watching: bool, as_json: bool) -> None:
    """Print what is known of it; the exit code says how a followed run ended."""
    from cli.follow import exit_as

    if as_json:
        typer.echo(json.dumps(submission.raw, indent=1))
    elif not watching:
        typer.echo(submission.id)
    if watching:
        exit_as(submission)


def _send(
    bundle: Path,
    asked: dict[str, Any],
    watching: bool,
    url: str | None,
    token_file: Path | None,
    console: Console,
) -> Submission:
    """Upload the bundle and, if wanted, follow its run to the end."""
    from cli.follow import upload_bar, watch_submission

    with connect(url, token_file) as service:
        with upload_bar(console) as on_progress:
            submission = service.submit(bundle, on_progress=on_progress, **asked)
        console.print(f"Submitted as {submission.id}")
        console.print(f"See {find_url(url)}/submissions/{submission.id}")
        return watch_submission(service, submission.id, console) if watching else submission


@contextmanager
def _bundled(source: Path, options: Options, console: Console) -> Iterator[Path]:
    """The source as a bundle's zip; what had to be made for it is gone afterwards."""
    if not source.exists():
        raise UsageError(
            "path-missing",
            f"There is no {source}.",
            hint="Give a folder, a table or a bundle's zip.",
        )
    is_bundle = _is_bundle(source)
    if is_bundle and source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="autodl-") as folder:
        bundle = Path(folder) / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', source.stem) or 'dataset'}.zip"
        if is_bundle:
            from formatter.sink import zip_folder

            yield zip_folder(source, bundle)
        else:
            _format(source, bundle, options, console)
            yield bundle


def _is_bundle(source: Path) -> bool:
    """By names only; a file that pretends to be a zip is left to the check."""
    if source.is_dir():
        return looks_like_bundle(p.relative_to(source).as_posix() for p in _look_into(source))
    if source.suffix.lower() != ".zip":
        return False
    try:
        with zipfile.ZipFile(source) as archive:
            return looks_like_bundle(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True


def _look_into(folder: Path) -> Iterator[Path]:
    """What lies as deep as a bundle's own files do."""
    for pattern in ("*", "*/*", "*/*/*", "*/*/*/*"):
        yield from folder.glob(pattern)


def _format(source: Path, out: Path, options: Options, console: Console) -> None:
    from cli.format import progress
    from formatter.convert import convert

    with progress() as tell:
        summary = convert(source, out, options, tell)
    counts = ", ".join(f"{count:,} {subset}" for subset, count in summary.counts.items())
    console.print(
        f"Formatted {source.name}: {summary.kind}, {counts}; {len(summary.labels)} labels;"
        f" the split was {summary.split}.",
        markup=False,
    )
    for finding in summary.findings:
        console.print(f"warning: {finding}", markup=False)


def _check(bundle: Path, console: Console) -> None:
    """Exit with what is wrong, as the service would say it, before anything is sent."""
    from autodl.run import check_source
    from cli.follow import tell_findings

    with tempfile.TemporaryDirectory(prefix="autodl-") as folder:
        report, _ = check_source(bundle, Path(folder) / "bundle")
    tell_findings(report, console)
    if not report.ok:
        raise typer.Exit(INVALID_DATA)
