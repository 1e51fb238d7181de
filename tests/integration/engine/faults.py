"""Faults to inject into a run: what is done, and what its owner must be told. One row a fault.

``family`` is whose fault it was (the user's data, the solution, the platform), ``code`` says which
(``docs/errors.md``). A row about a solution holds the lines of its ``model.py`` that differ from a
good one's; any other what is done to the run before a program, or in its place.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.engine.test_faults import Scene

MODEL = """
import ctypes, os, signal, socket, sys, threading, time
import numpy as np
{top}

class Model:
    done_training = False

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        {constructor}

    def train(self, dataset, remaining_time_budget=None):
        {train}

    def test(self, dataset, remaining_time_budget=None):
        {test}
"""
GOOD = "return np.full((len(dataset), self.classes), 0.5)"


@dataclass(frozen=True)
class Fault:
    """``sabotage`` changes the scene; ``ends`` says of programs that do not run how they ended."""

    name: str
    family: str
    code: str
    top: str = ""
    constructor: str = "pass"
    train: str = "self.done_training = True"
    test: str = GOOD
    kind: str = "solve"
    sabotage: Callable[[Scene], None] = lambda scene: None
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The solution's code."""
        return MODEL.format(
            top=self.top, constructor=self.constructor, train=self.train, test=self.test
        )


def _solution(name: str, code: str, **lines: Any) -> Fault:
    return Fault(name, "solution", code, **lines)


def _data(name: str, code: str, sabotage: Callable[[Scene], None], **more: Any) -> Fault:
    return Fault(name, "data", code, kind="check", sabotage=sabotage, **more)


def _platform(name: str, code: str, sabotage: Callable[[Scene], None] | None = None, **more: Any):
    return Fault(name, "platform", code, sabotage=sabotage or (lambda scene: None), **more)


def _fail(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


SOLUTION = [
    _solution("syntax error", "solution-import", top="def ("),
    _solution("import error", "solution-import", top="import no_such_library"),
    _solution("missing weights", "solution-construction", constructor="np.load('weights.npy')"),
    _solution("raises in its constructor", "solution-construction", constructor="1 / 0"),
    _solution("no class Model", "solution-api", test="pass\n\ndel Model"),
    _solution("no method train", "solution-api", test=f"{GOOD}\n\ndel Model.train"),
    _solution("no model.py", "solution-missing", sabotage=lambda s: s.model.unlink()),
    _solution(
        "constructor that takes too long",
        "solution-construction-timeout",
        constructor="time.sleep(60)",
        sabotage=lambda s: s.set(construction_seconds=0.5),
    ),
    _solution("raises in train", "solution-train", train="raise ValueError('no luck')"),
    _solution("raises in test", "solution-test", test="raise ValueError('no luck')"),
    _solution("ends itself", "solution-train", train="sys.exit(3)"),
    _solution("leaves without a word", "solution-exited", train="os._exit(3)"),
    _solution("segmentation fault", "solution-crashed", train="ctypes.string_at(0)"),
    _solution("abort", "solution-crashed", train="os.abort()"),
    _solution("kill -9", "solution-killed", train="os.kill(os.getpid(), 9)"),
    _solution(
        "CUDA error",
        "solution-gpu-failed",
        train="raise RuntimeError('CUDA error: device-side assert triggered')",
    ),
    _solution(
        "GPU out of memory",
        "solution-gpu-failed",
        train="raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')",
    ),
    _solution("network", "solution-train", train="socket.create_connection(('127.0.0.1', 80))"),
    _solution("MemoryError", "solution-out-of-memory", train="bytearray(1 << 60)"),
    _solution(
        "out of memory",
        "solution-out-of-memory",
        train="self.held = [np.ones(1 << 21) for _ in range(256)]",
        sabotage=lambda s: s.set(memory_bytes=300 << 20),
    ),
    _solution(
        "fills the disk",
        "solution-disk-full",
        train="open('big', 'wb').write(bytes(64 << 20)); time.sleep(60)",
        sabotage=lambda s: s.limit(disk_bytes=16 << 20),
    ),
    _solution(
        "fork bomb",
        "solution-too-many-processes",
        train="[os.fork() or time.sleep(60) for _ in range(100)]; time.sleep(60)",
        sabotage=lambda s: s.limit(processes=20),
    ),
    _solution(
        "thread bomb",
        "solution-too-many-processes",
        train="[threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
        " for _ in range(300)]; time.sleep(60)",
        sabotage=lambda s: s.limit(threads=100),
    ),
    _solution(
        "out of time before its first point",
        "no-prediction",
        train="time.sleep(60)",
        sabotage=lambda s: s.set(budget_seconds=1.0),
    ),
    _solution(
        "prints without end",
        "no-prediction",
        train="while True: sys.stdout.write('0123456789abcdef' * 4096)",
        sabotage=lambda s: s.set(budget_seconds=1.0),
    ),
    _solution("stops without a prediction", "no-prediction", test="return None"),
    _solution("wrong shape", "prediction-shape", test="return np.zeros((3, 1))"),
    _solution("a list of nothing", "prediction-shape", test="return []"),
    _solution(
        "NaN",
        "prediction-nan",
        test="self.done_training = True; return np.full((len(dataset), self.classes), np.nan)",
    ),
    _solution(
        "words instead of numbers",
        "prediction-not-numbers",
        test="return np.full((len(dataset), self.classes), 'yes')",
    ),
    _solution(
        "its driver had to be stopped",
        "solution-died",
        ends={"solve": {"exit_code": -signal.SIGKILL, "timed_out": True}},
    ),
]

DATA = [
    _data("no zip", "not-a-zip", lambda s: s.send(b"no zip at all", "data.zip")),
    _data("half a zip", "zip-damaged", lambda s: s.send(s.content[: len(s.content) // 2])),
    _data("no labels", "labels-missing", lambda s: s.send_without("toy.solution")),
    _data("a cut record", "record-truncated", lambda s: s.send_cut(".tfrecord", 40)),
    _data("a decoder that crashes", "check-crashed", lambda s: s.check_by("os.abort()")),
    _data("a decoder out of memory", "check-out-of-memory", lambda s: s.check_by("sys.exit(3)")),
    _data(
        "a check without end",
        "check-timed-out",
        lambda s: None,
        ends={"solve": {"exit_code": -signal.SIGKILL, "timed_out": True}},
    ),
]

PLATFORM = [
    _platform("stored bundle gone", "bundle-lost", lambda s: s.stored.unlink()),
    _platform("stored bundle altered", "bundle-altered", lambda s: s.stored.write_bytes(b"PK")),
    _platform("store away", "storage-unavailable", lambda s: s.break_store()),
    _platform("store answers 503", "storage-unavailable", lambda s: s.answer(503)),
    _platform("store answers 404", "bundle-lost", lambda s: s.answer(404)),
    _platform(
        "no disk to unpack to",
        "disk-unavailable",
        lambda s: s.patch("service.worker.stage.unpack_zip", _fail(errno.ENOSPC)),
    ),
    _platform(
        "a disk that fails",
        "disk-unavailable",
        lambda s: s.patch("service.worker.stage.unpack_zip", _fail(errno.EIO)),
    ),
    _platform("no disk for a result", "disk-unavailable", ends={"solve": {"exit_code": 5}}),
    _platform(
        "disk filled by others",
        "disk-unavailable",
        lambda s: s.patch("autodl.meter.Meter.free_bytes", 0),
        train="raise OSError(28, 'No space left on device')",
    ),
    _platform("stage killed", "program-died", ends={"stage": {"exit_code": -signal.SIGKILL}}),
    _platform(
        "a solution's driver killed",
        "program-died",
        ends={"solve": {"exit_code": -signal.SIGKILL}},
    ),
    _platform(
        "our own solution killed",
        "program-died",
        lambda s: s.patch("service.worker.solve.is_bundled", lambda _: True),
        train="os.kill(os.getpid(), 9)",
    ),
    _platform(
        "a check's driver killed",
        "program-died",
        kind="check",
        ends={"solve": {"exit_code": -signal.SIGKILL}},
    ),
    _platform(
        "a check that leaves no report",
        "check-died",
        lambda s: s.check_by("sys.exit(0)"),
        kind="check",
    ),
    _platform("scorer killed", "scoring-failed", ends={"score": {"exit_code": -signal.SIGKILL}}),
    _platform(
        "less isolation than the operator asks for",
        "isolation-too-weak",
        lambda s: s.patch("autodl.sandbox.level", lambda *_: "none"),
    ),
    _platform(
        "no confinement",
        "confinement-failed",
        lambda s: s.patch("autodl.sandbox.read_exit_code", lambda *_: s.confinement_failed),
        train="os._exit(1)",
    ),
    _platform(
        "database away",
        "database-unavailable",
        lambda s: s.patch("service.worker.publish.open_reporter", s.open_without_database),
    ),
]

FAULTS = [*SOLUTION, *DATA, *PLATFORM]
