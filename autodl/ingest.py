"""Ingestion: drive a solution against a dataset inside the time budget (AutoDL formats 3).

    python -m autodl.ingest --dataset DIR --solution DIR --output DIR --budget S --construction S

With ``--model DIR`` a saved model predicts once, and nothing is learnt.

Runs in a child process, for the solution's code shares it. It talks through files only, so that
nothing the solution prints can disturb it: ``start.txt``, ``NAME.predict_K`` and ``end.txt`` as in
the contest, ``labelled/dataset.predict`` for the unlabelled rows, and ``ingestion.json`` with the
reason of a failure. The exit code is always 0, as in the contest; ``autodl/run.py`` supervises.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from autodl.bundle import find_bundle
from autodl.dataset import Dataset, concatenate, open_subset
from autodl.errors import AutoDLError, BundleError, SolutionError
from autodl.model_api import SAVED, UNFINISHED
from autodl.predictions import write_predictions
from autodl.verdict import LESS_DISK, LESS_MEMORY, describe

if TYPE_CHECKING:
    from autodl.model_api import Model, Predictor

# Bound before any foreign code runs, which could replace the names in `time`.
_monotonic, _epoch = time.monotonic, time.time

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GPU_FAILED = re.compile(r"CUDA|cuDNN|CUBLAS|device-side assert|ResourceExhaustedError")
SEE_API = "autodl/model_api.py says what a solution must have."
NESTED = ("AutoDL_sample_code_submission", "sample_code_submission")  # folders in old submissions


@dataclass(frozen=True)
class Task:
    """What the model is given: ``test`` holds the test rows, then the unlabelled ones."""

    name: str
    train: Dataset
    test: Dataset
    test_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """What ``Model.test`` must return: (test and unlabelled rows, classes)."""
        return len(self.test), self.train.get_metadata().get_output_size()


def open_task(root: Path) -> Task:
    """Open the public part of a bundle. Raises BundleError."""
    bundle = find_bundle(root)
    test = open_subset(bundle.test)
    rows = len(test)
    if bundle.unlabelled is not None:
        test = concatenate(test, open_subset(bundle.unlabelled))
    return Task(bundle.name, open_subset(bundle.train), test, rows)


class Journal:
    """Writes the protocol's files; its clock starts with ``start``.

    Times are epoch seconds as the format demands, but made of one look at the wall clock and
    the monotonic clock since, so that a clock that is set meanwhile changes nothing.
    """

    def __init__(self, output: Path, task_name: str, budget_seconds: float) -> None:
        self.predictions = 0
        self._output = output
        self._task_name = task_name
        self._budget_seconds = budget_seconds
        self._offset = _epoch() - _monotonic()
        self._start = _monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return _monotonic() - self._start

    @property
    def remaining_seconds(self) -> float:
        """What is left of the budget; negative when it is overrun."""
        return self._budget_seconds - self.seconds

    def start(self) -> None:
        """Start the clock and say so in ``start.txt``."""
        self._start = _monotonic()
        head = {
            "ingestion_pid": os.getpid(),
            "task_name": self._task_name.partition(".")[0],
            "time_budget": self._budget_seconds,
            "start_time": self._offset + self._start,
        }
        _write(self._output / "start.txt", "".join(f"{k}: {v}\n" for k, v in head.items()))

    def predict(self, scores: np.ndarray[Any, Any], test_rows: int) -> None:
        """Stamp the time, then write the test rows and the unlabelled ones after them."""
        stamp = f"{self.predictions}: {self._offset + _monotonic()}\n"
        with (self._output / "start.txt").open("ab", buffering=0) as file:
            file.write(stamp.encode())
        name = f"{self._task_name}.predict_{self.predictions}"
        write_predictions(scores[:test_rows], self._output / name)
        if len(scores) > test_rows:
            folder = self._output / "labelled"
            folder.mkdir(exist_ok=True)
            write_predictions(scores[test_rows:], folder / "dataset.predict")
        self.predictions += 1

    def end(self, error: AutoDLError | None, notes: Mapping[str, Any]) -> None:
        """Write ``ingestion.json``, then ``end.txt``, whose presence is the sign of the end."""
        reason = {
            "success": error is None,
            "error": None if error is None else describe(error),
            "predictions": self.predictions,
            "seconds": self.seconds,
            **notes,
        }
        _write(self._output / "ingestion.json", json.dumps(reason) + "\n")
        tail = {
            "ingestion_duration": self.seconds,
            "ingestion_success": int(error is None),
            "end_time": self._offset + _monotonic(),
        }
        _write(self._output / "end.txt", "".join(f"{k}: {v}\n" for k, v in tail.items()))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def guest(what: str, code: str) -> Iterator[None]:
    """Turn whatever the solution's code raises into a SolutionError; the traceback is logged."""
    try:
        yield
    except (BundleError, SolutionError):
        raise
    except BaseException as error:
        traceback.print_exc()
        if isinstance(error, MemoryError):
            message = f"{what} ran out of memory."
            raise SolutionError("solution-out-of-memory", message, hint=LESS_MEMORY) from error
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            message = f"{what} filled the disk."
            raise SolutionError("solution-disk-full", message, hint=LESS_DISK) from error
        reason = f"{type(error).__name__}: {error}"[:500]
        hint = "The log holds the traceback."
        if GPU_FAILED.search(reason):
            message = f"the GPU failed or its memory ran out: {what} raised {reason}"
            hint += " Smaller batches or a smaller network often help."
            raise SolutionError("solution-gpu-failed", message, hint=hint) from error
        raise SolutionError(code, f"{what} raised {reason}", hint=hint) from error


def load_solution(folder: Path) -> type[Model]:
    """Import ``model.py`` of a solution folder and return its ``Model``.

    A folder with ``__init__.py`` is imported as a package, or as a part of the packages around it,
    any other as the contest did.
    """
    nested = (folder / name for name in NESTED)
    folder = next((f for f in nested if (f / "model.py").is_file()), folder)
    if not (folder / "model.py").is_file():
        raise SolutionError("solution-missing", "the solution has no model.py.", hint=SEE_API)
    package: list[str] = []
    while (folder / "__init__.py").is_file():
        package.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    with guest("importing model.py", "solution-import"):
        module = importlib.import_module(".".join([*package, "model"]))
    model: type[Model] | None = getattr(module, "Model", None)
    if model is None:
        raise SolutionError("solution-api", "model.py defines no class Model.", hint=SEE_API)
    return model


class _TooLong(BaseException):
    """Raised by the alarm; not an Exception, so that foreign handlers let it pass."""


@contextmanager
def alarm(allowance_seconds: float) -> Iterator[None]:
    """Raise SolutionError (``solution-construction-timeout``) when the body takes longer.

    Interrupts Python code only; the supervisor ends what native code holds up.
    """

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, allowance_seconds, 1.0)  # again if it is swallowed
        yield
    except SolutionError as error:
        if isinstance(error.__cause__, _TooLong):
            raise SolutionError(
                "solution-construction-timeout",
                f"importing model.py and Model(metadata) took over {allowance_seconds:g} s.",
                hint="Move work from the constructor to train, or make it shorter.",
            ) from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def construct(solution: Path, task: Task, allowance_seconds: float) -> Model:
    """Import the solution and make its Model within the construction allowance.

    Raises SolutionError when it takes longer, raises, or lacks ``train`` or ``test``.
    """
    with alarm(allowance_seconds), guest("Model(metadata)", "solution-construction"):
        model = load_solution(solution)(task.train.get_metadata())
    for method in ("train", "test"):
        if not callable(getattr(model, method, None)):
            raise SolutionError("solution-api", f"Model has no method {method}.", hint=SEE_API)
    if not hasattr(model, "done_training"):
        log("Model has no attribute done_training: it goes on until the budget ends.")
    return model


def restore(solution: Path, folder: Path, allowance_seconds: float) -> Predictor:
    """Import the solution and let it load a model that it has saved. Raises SolutionError."""
    with alarm(allowance_seconds), guest("Model.load", "solution-construction"):
        model = load_solution(solution)
        if not callable(getattr(model, "load", None)):
            raise SolutionError("solution-api", "Model has no method load.", hint=SEE_API)
        loaded: Predictor = model.load(folder)  # type: ignore[attr-defined]
        return loaded


def save(model: Model, output: Path) -> None:
    """Let the solution write its model, where it can. The run has ended, whatever happens here."""
    if not callable(getattr(model, "save", None)):
        return
    part = output / UNFINISHED
    try:
        part.mkdir()
        with guest("Model.save", "solution-save"):
            model.save(part)  # type: ignore[attr-defined]
        part.rename(output / SAVED)
    except (SolutionError, OSError) as error:
        log(f"no model is kept: {error}")


def drive(model: Model, task: Task, journal: Journal) -> None:
    """Call train and test in turn until the model is done or the budget has ended (3.3)."""
    while not _is_done(model):
        with guest("Model.train", "solution-train"):
            model.train(task.train, remaining_time_budget=journal.remaining_seconds)
        if not predict(model, task, journal) or journal.remaining_seconds <= 0:
            return


def predict(model: Predictor, task: Task, journal: Journal) -> bool:
    """Call test once; False when it returns None, which ends the run."""
    with guest("Model.test", "solution-test"):
        scores = model.test(task.test, remaining_time_budget=journal.remaining_seconds)
    if scores is None:
        return False
    journal.predict(_as_scores(scores, task.shape), task.test_rows)
    return True


def _is_done(model: Model) -> bool:
    with guest("Model.done_training", "solution-train"):
        return bool(getattr(model, "done_training", False))


def _as_scores(scores: Any, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return what ``Model.test`` gave as float64 of the right shape, or raise SolutionError."""
    with guest("reading what Model.test returned", "prediction-not-numbers"):
        found = tuple(int(n) for n in getattr(scores, "shape", ()))
        if found == shape:
            return np.array(scores, np.float64)  # a copy: the solution may keep the original
    raise SolutionError(
        "prediction-shape",
        f"Model.test returned {found or type(scores).__name__}, expected is an array of {shape}.",
        hint="Return one row per example of the test dataset and one column per class.",
    )


def ingest(options: argparse.Namespace) -> None:
    """Run one ingestion to its end; what fails is told in ``ingestion.json`` (formats 3.4)."""
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    notes: dict[str, Any] = {"confinement": options.confinement}
    try:
        task = open_task(options.dataset.absolute())
    except BundleError as error:
        Journal(output, options.dataset.name, options.budget).end(error, notes)
        return
    journal = Journal(output, task.name, options.budget)
    failure: AutoDLError | None = None
    learner: Model | None = None
    try:
        solution, allowance = options.solution.absolute(), options.construction
        try:
            if options.model is None:
                learner = construct(solution, task, allowance)
            else:
                loaded = restore(solution, options.model.absolute(), allowance)
        finally:  # the contest's programs wait for the start even where there is no model
            notes["construction_seconds"] = journal.seconds
            journal.start()
        if learner is None:
            predict(loaded, task, journal)
        else:
            drive(learner, task, journal)
    except (BundleError, SolutionError) as error:
        failure = error
        log(f"ingestion ends: {error}")
    journal.end(failure, notes)
    if learner is not None and journal.predictions:
        save(learner, output)


def log(message: str) -> None:
    """Write a line to the log, which is what this process prints."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def main() -> None:
    """Read the command line and ingest; leaves at once, whatever threads the solution keeps."""
    parser = argparse.ArgumentParser(prog="autodl.ingest", description=ingest.__doc__)
    for name in ("dataset", "solution", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=1200.0)
    parser.add_argument("--construction", type=float, default=1200.0)
    parser.add_argument("--confinement", type=json.loads, default={}, help="what holds this run")
    parser.add_argument("--model", type=Path, help="a saved model, to predict with")
    ingest(parser.parse_args())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
