"""The verb that turns raw files into a bundle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autodl.errors import UsageError

if TYPE_CHECKING:
    from formatter.source import Options

Source = Annotated[Path, typer.Argument(help="A folder of files, a table, or a bundle.")]
Out = Annotated[Path | None, typer.Argument(help="NAME.zip, or a folder.")]
Label = Annotated[str, typer.Option(help="The label column; several 0/1 columns as a,b,c.")]
Separator = Annotated[str | None, typer.Option(help="Between several labels in one cell.")]
Group = Annotated[str | None, typer.Option(help="Rows of equal values here are never split apart.")]
Test = Annotated[
    str, typer.Option(help="Share of the test part, where the source is not split; or the part.")
]
Seed = Annotated[int, typer.Option(help="Of the split and of the training order.")]
MaxSide = Annotated[
    int | None, typer.Option(min=1, help="Make images and frames at most this many pixels.")
]
MaxFrames = Annotated[int, typer.Option(min=0, help="Of each video, evenly spaced; 0 keeps all.")]
SampleRate = Annotated[int, typer.Option(min=1000, help="Of audio, in Hz.")]
Kind = Annotated[
    Literal["image", "audio", "video", "tabular", "series", "text"] | None,
    typer.Option(help="What the source is, where it is not found out rightly."),
]
Resplit = Annotated[bool, typer.Option("--resplit", help="Split an existing bundle anew.")]
To = Annotated[
    Literal["tfrecord", "autospeech"], typer.Option(help="Layout; autospeech is for sounds.")
]
Unlabelled = Annotated[
    Path | None, typer.Option(help="Unlabelled files or rows to be predicted, in their order.")
]
Name = Annotated[str | None, typer.Option(help="The dataset's name.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; one a core if not given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and report; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("format")(format_source)


def format_source(
    source: Source,
    out: Out = None,
    label: Label = "",
    separator: Separator = None,
    group: Group = None,
    test: Test = "0.2",
    seed: Seed = 0,
    max_side: MaxSide = None,
    max_frames: MaxFrames = 64,
    sample_rate: SampleRate = 16_000,
    kind: Kind = None,
    resplit: Resplit = False,
    to: To = "tfrecord",
    unlabelled: Unlabelled = None,
    name: Name = None,
    jobs: Jobs = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a bundle of raw files: split if need be, labels kept, ready to upload.

    A source split into train/ and test/ (or train.csv and test.csv) stays as it is split.
    """
    from rich.console import Console

    from formatter.convert import convert
    from formatter.report import print_summary

    if out is None and not dry_run:
        raise UsageError(
            "output-missing",
            "Where shall the bundle go?",
            hint="Give a name after the source, for example my_bundle.zip, or --dry-run.",
        )
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
        resplit=resplit,
        to=to,
        unlabelled=unlabelled,
        name=name,
        jobs=jobs,
    )
    with progress() as tell:
        summary = convert(source, None if dry_run else out, options, tell)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(summary), ensure_ascii=False))
    else:
        print_summary(summary, Console())


def read_options(label: str, test: str, **others: Any) -> Options:
    """The options as the formatter takes them: of ``label`` the columns, of ``test`` the share or
    the place, the ``others`` as they are."""
    from formatter.source import Options

    columns = tuple(part.strip() for part in label.split(",") if part.strip())
    try:
        return Options(label=columns, test=float(test), **others)
    except ValueError:
        return Options(label=columns, test_part=Path(test), **others)


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, shown only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Formatting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
