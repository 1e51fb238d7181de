"""The verb that predicts with a saved model, without a service."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from autodl.errors import BundleError, UsageError
from cli.run import Weights

SUFFIXES = (".csv", ".parquet", ".json")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(predict)


def predict(
    data: Annotated[
        Path, typer.Argument(help="A bundle (folder or zip), or what `autodl format` takes.")
    ],
    model: Annotated[Path, typer.Option(help="A run's model/ folder, or model.zip.")],
    out: Annotated[
        Path | None,
        typer.Option(help="NAME.csv, .parquet or .json.  [default: CSV on stdout]"),
    ] = None,
    solution: Annotated[
        str | None, typer.Option(help="Who saved the model.  [default: as the model says]")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="Which GPU to use, as CUDA numbers them.")] = None,
    weights: Weights = None,
    as_json: Annotated[bool, typer.Option("--json", help="Without --out, JSON on stdout.")] = False,
) -> None:
    """Predict the test and unlabelled part of a dataset with a saved model.

    The same rows get the predictions of the run that learnt the model.
    """
    from autodl.offline import find_solution_of, predict_offline
    from autodl.solutions import resolve
    from autodl.solve import Equipment
    from cli.follow import talk

    suffix = (".json" if as_json else ".csv") if out is None else out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            "output-kind",
            f"{suffix or 'a file without an ending'} is no table that can be written.",
            hint=f"End the name in {', '.join(SUFFIXES)}.",
        )
    folder = find_solution_of(model) if solution is None else resolve(solution)
    with tempfile.TemporaryDirectory(prefix="predicting-") as scratch:
        bundle = _formatted(data, Path(scratch) / "bundle")
        made = Path(scratch) / "tables"
        rows = predict_offline(model, bundle, folder, made, equipment=Equipment.of(gpu, weights))
        table = (made / f"predictions{suffix}").read_bytes()
    if out is None:
        sys.stdout.buffer.write(table)
    else:
        out.write_bytes(table)
    talk().print(f"Predicted {rows} rows.")


def _formatted(data: Path, target: Path) -> Path:
    """The data themselves if they are a bundle, else what the formatter makes of them."""
    from autodl.bundle import find_bundle

    if not data.exists():
        raise UsageError("path-missing", f"there is no {data}.", hint="Check the name.")
    if data.suffix.lower() == ".zip":
        return data
    try:
        find_bundle(data)
    except BundleError:
        from formatter.convert import convert

        convert(data, target)
        return target
    return data
