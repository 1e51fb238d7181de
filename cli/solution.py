"""The verbs about solutions: is one what was frozen, and does it still work on this machine?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from autodl.verify import Check

STYLES = {"good": "green", "absent": "yellow", "bad": "bold red"}

solution_app = typer.Typer(help="Look at a solution.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(solution_app, name="solution")


@solution_app.callback()
def _group() -> None:
    """Look at a solution."""


@solution_app.command()
def verify(
    solution: Annotated[
        str, typer.Option(help="winner, or a folder with model.py and MANIFEST.")
    ] = "winner",
    golden: Annotated[
        bool, typer.Option(help="Also learn the golden datasets, about ten seconds each.")
    ] = True,
    record: Annotated[
        bool, typer.Option("--record", help="Write what the golden datasets give as expected.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a frozen solution: its code, its pretrained weights, and what it reaches.

    Exit code 7 where something is bad; weights that are not installed are no fault.
    """
    from rich.console import Console

    from autodl.solutions import resolve
    from autodl.verify import record_golden
    from autodl.verify import verify as look

    folder = resolve(solution)
    if record:
        record_golden(folder)
    console = Console(highlight=False, soft_wrap=True)
    checks = []
    for check in look(folder, golden):
        checks.append(check)
        if not as_json:
            _print(check, console)
    bad = sum(check.state == "bad" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not bad, "checks": [asdict(check) for check in checks]}))
    else:
        console.print(f"{len(checks)} checks, {bad} bad.")
    raise typer.Exit(7 if bad else 0)


def _print(check: Check, console: Console) -> None:
    style = STYLES[check.state]
    console.print(f"{check.part:8} {check.name:28} [{style}]{check.state:7}[/] {check.message}")
