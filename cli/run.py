"""The verbs that need no service: run a solution on a bundle, and score predictions."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autodl.errors import SolutionError

if TYPE_CHECKING:
    from rich.console import Console

    from autodl.run import RunResult
    from autodl.score import Point

EXIT_CODES = {"succeeded": 0, "rejected": 3, "failed": 7}

Weights = Annotated[
    str | None,
    typer.Option(help="A folder of pretrained weights for the solution; `none` turns all off."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class Program(StrEnum):
    """Whose scoring rules to follow (``autodl.score.RULES``)."""

    default = "default"
    kit = "kit"
    master = "master"
    speech = "speech"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(run)
    app.command()(score)


def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle: its folder or its zip.")],
    budget: Annotated[float, typer.Option(help="Seconds for the solution.", min=0.1)] = 1200.0,
    solution: Annotated[
        str,
        typer.Option(
            help="winner, constant, linear, resnet50v2, pretrained, finetune, or a folder."
        ),
    ] = "winner",
    out: Annotated[
        Path | None, typer.Option(help="An empty folder for predictions, curve, scores and log.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="Which GPU to use, as CUDA numbers them.")] = None,
    weights: Weights = None,
    memory_gib: Annotated[float | None, typer.Option(help="Limit of memory in GiB.")] = None,
    as_json: Json = False,
) -> None:
    """Check a bundle, let a solution learn it, and score it as it goes."""
    from rich.console import Console

    from autodl.run import run as run_bundle
    from autodl.solutions import resolve
    from autodl.solve import Equipment
    from autodl.verdict import Limits
    from cli.follow import talk
    from cli.metrics import print_metrics

    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    console = talk()
    console.print(f"Checking {bundle.name}, then {budget:g} s for the solution.", markup=False)
    limits = Limits(memory_bytes=None if memory_gib is None else int(memory_gib * (1 << 30)))
    result = run_bundle(
        bundle,
        resolve(solution),
        budget,
        out,
        lambda point: _tell_point(point, console),
        equipment=Equipment.of(gpu, weights),
        limits=limits,
    )
    _tell_end(result, console)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    elif result.curve.points:
        if result.metrics is not None:
            print_metrics(
                result.metrics.to_json() | {"alc": result.curve.alc},
                Console(highlight=False, soft_wrap=True),
            )
        last = result.curve.points[-1]
        typer.echo(f"ALC {last.alc:.4f}  NAUC {last.nauc:.4f}  accuracy {last.accuracy:.4f}")
    raise typer.Exit(EXIT_CODES[result.status])


def score(
    labels: Annotated[Path, typer.Argument(help="The test labels: NAME.solution.")],
    predictions: Annotated[Path, typer.Argument(help="A folder that an ingestion wrote.")],
    rules: Annotated[
        Program, typer.Option(help="Follow one of the contest's programs at the edges.")
    ] = Program.default,
    as_json: Json = False,
) -> None:
    """Score the predictions of an ingestion that has ended."""
    from autodl.predictions import read_labels, read_start
    from autodl.score import RULES, LearningCurve, follow
    from cli.follow import talk

    start = read_start(predictions / "start.txt")
    if start is None:
        raise SolutionError(
            "ingestion-not-started",
            f"{predictions} holds no start.txt with a budget and a start time.",
            hint="Give the output folder of an ingestion.",
        )
    truth = read_labels(labels)
    budget = start.budget_seconds
    points = list(follow(predictions, truth, budget, lambda: True, rules=RULES[rules]))
    curve = LearningCurve(budget, points, RULES[rules])
    console = talk()
    for point in points:
        _tell_point(point, console)
    if as_json:
        typer.echo(json.dumps(curve.to_json()))
    else:
        typer.echo(f"ALC {curve.alc:.10g}")


def _tell_point(point: Point, console: Console) -> None:
    values = {key: value for key, value in asdict(point).items() if value is not None}
    console.print(
        "[cyan]{seconds:8.2f} s[/]   NAUC {nauc:7.4f}   accuracy {accuracy:6.4f}"
        "   ALC so far {alc:7.4f}".format_map(values)
    )


def _tell_end(result: RunResult, console: Console) -> None:
    from rich.markup import escape

    from cli.follow import tell_findings

    tell_findings(result.report, console)
    for note in result.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    if result.outcome is not None:
        used = result.outcome.peak_rss_bytes / (1 << 20)
        console.print(f"[dim]{result.outcome.seconds:.1f} s, {used:.0f} MiB of memory[/]")
        if result.outcome.model is not None:
            console.print(f"[dim]No model is kept. {escape(result.outcome.model)}[/]")
    if result.error is not None and result.status != "rejected":
        console.print(f"[red]{result.status}[/] " + escape(f"{result.error} [{result.error.code}]"))
