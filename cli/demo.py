"""``make demo``: from raw images to predictions, over HTTP and live, on this machine.

Real pieces only: our formatter, our service as a process of its own, our client. What was made
stays in one folder, which the next demo replaces; every process is ended, whatever happens.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from autodl.errors import PlatformError
from cli.follow import follow, number, talk, tell_result
from cli.main import main

if TYPE_CHECKING:
    from client import Client, Submission

DIGITS = Path(__file__).parents[1] / "demo" / "digits.py"
AUTODL = [sys.executable, "-m", "cli.main"]
START_SECONDS = 60.0
CANCEL_SECONDS = 15.0
STOP_SECONDS = 10.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    budget: Annotated[float, typer.Option(min=1, help="Seconds for the solution.")] = 60,
    solution: Annotated[Path | None, typer.Option(help="A folder with model.py.")] = None,
    folder: Annotated[Path, typer.Option(help="Replaced by what is made.")] = Path(".autodl-demo"),
) -> None:
    """Learn 1,797 handwritten digits, from PNG files to predictions."""
    console = talk()
    signal.signal(signal.SIGTERM, _exit_on_term)
    began = time.monotonic()
    folder = folder.absolute()
    _clear(folder)
    console.print("[bold]1[/] Writing scikit-learn's handwritten digits as PNG files")
    _run([sys.executable, str(DIGITS), str(folder / "digits")], "demo-digits-failed")
    console.print("[bold]2[/] autodl format digits digits.zip")
    bundle = folder / "digits.zip"
    _run([*AUTODL, "format", str(folder / "digits"), str(bundle)], "demo-format-failed")
    console.print("[bold]3[/] autodl serve")
    with _serving(folder, solution) as client:
        console.print(f"[bold]4[/] autodl submit digits.zip --budget {budget:g}")
        submission = _submit_and_follow(client, bundle, budget, solution, console)
        results = folder / "results"
        console.print("[bold]5[/] autodl download")
        for path in client.files(submission.id):
            client.download(submission.id, path, results / path)
    _report(submission, folder, time.monotonic() - began)


def _submit_and_follow(
    client: Client, bundle: Path, budget: float, solution: Path | None, console: Console
) -> Submission:
    submission = client.submit(
        bundle, name="digits", budget_seconds=budget, solution="demo" if solution else None
    )
    try:
        submission = follow(client, submission.id, console)
    except BaseException:
        _cancel(client, submission.id)
        raise
    tell_result(submission, console)
    if submission.result is None:
        console.print(client.log(submission.id)[-2000:], markup=False)
        raise typer.Exit(7)
    return submission


def _cancel(client: Client, submission_id: str) -> None:
    """End the run by the service while there is one; what is left after that is killed."""
    from client import ServiceError

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        client.cancel(submission_id)
        deadline = time.monotonic() + CANCEL_SECONDS
        while not client.get(submission_id).is_over and time.monotonic() < deadline:
            time.sleep(0.2)
    except ServiceError as error:
        talk().print(f"The service could not cancel the run: {error}", markup=False)


def _report(submission: Submission, folder: Path, seconds: float) -> None:
    result = submission.result
    assert result is not None
    predictions = folder / "results" / "predictions.csv"
    with predictions.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["subset"] == "unlabelled"]
    lines = (
        "",
        f"ALC {number(result.alc)}   final NAUC {number(result.nauc)}"
        f"   accuracy {number(result.accuracy)}   after {seconds:.0f} s in all",
        f"Predictions: {predictions}",
        f"  {len(rows)} unlabelled images among them; the first is {rows[0]['item']},"
        f" a {rows[0]['prediction']}.",
        f"Curve:       {folder / 'results' / 'curve.svg'}",
        f"The page:    AUTODL_DATA={folder / 'data'} make serve",
    )
    typer.echo("\n".join(lines))


@contextmanager
def _serving(folder: Path, solution: Path | None) -> Iterator[Client]:
    """A service as a process of its own, on a free port; ended with all its runs."""
    from client import Client
    from service.settings import inherited_environment

    data = folder / "data"
    # Nothing of this machine's own installation is touched, whatever AUTODL_ variables are set.
    environment = inherited_environment()
    if solution is not None:
        environment["AUTODL_SOLUTIONS"] = json.dumps({"demo": str(solution.absolute())})
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*AUTODL, "serve", "--port", "0", "--data", str(data), "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us; we end it when the run has ended
        )
        try:
            links = _read_links(process, folder / "serve.log")
            token = (data / "token").read_text(encoding="ascii").strip()
            with Client(links["url"], token) as client:
                yield client
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the rest is short, and must not be cut
            _stop(process)
            _end_runs(data)


def _read_links(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """What ``autodl serve --json`` prints when it is ready."""
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else b""
    if not line:
        tail = log.read_text(encoding="utf-8", errors="replace")[-1000:]
        raise PlatformError("demo-serve-failed", "The service did not start.", hint=tail)
    links: dict[str, str] = json.loads(line)
    return links


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _end_runs(data: Path) -> None:
    """End every run that still has processes; a service that was killed leaves them at work."""
    from service.executors.base import Phase
    from service.executors.local import LocalExecutor
    from service.settings import Settings

    executor = LocalExecutor(Settings(data=data))
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline:
        seen = executor.observe(())
        live = [o.run_id for o in seen if o.phase not in (Phase.ENDED, Phase.ABSENT)]
        if not live:
            return
        for run_id in live:
            executor.cancel(run_id)
        time.sleep(0.5)


def _run(command: list[str], code: str) -> None:
    """A step in a process of its own; what it says is shown only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlatformError(code, f"`{' '.join(command)}` failed.", hint=done.stderr[-2000:])


def _clear(folder: Path) -> None:
    """Make the folder anew; one that is not a demo's is left alone."""
    mark = folder / "demo"
    if folder.exists():
        if not mark.exists() and any(folder.iterdir()):
            raise PlatformError("output-not-empty", f"{folder} holds something else.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.touch()


def _exit_on_term(_number: int, _frame: object) -> None:
    raise typer.Exit(143)


if __name__ == "__main__":
    main(app)
