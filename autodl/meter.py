"""What a solution uses of memory, processors, disk and GPU: over time, and against limits."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from autodl.processes import Member, ProcessTree
from autodl.untrusted import measure_tree
from autodl.verdict import MAX_FILES, End, Limits

SCHEMA = "autodl-resources/1"
MAX_SAMPLES = 600
INTERVAL_SECONDS, MEASURE_SECONDS = 1.0, 0.25


class Sample(NamedTuple):
    """One look. Seconds count from the start of the solution's process."""

    seconds: float
    memory_bytes: int
    cpu_seconds: float  #: of all its processes, so far
    processes: int
    disk_bytes: int  #: below its output folder
    disk_free_bytes: int  #: of the file system that this folder is on
    gpu_memory_bytes: int | None = None  #: on the device, whoever holds it
    gpu_load: float | None = None  #: share of the time since the last look, 0 to 1


class Usage:
    """Samples at even distances: where they become many, each second one goes."""

    def __init__(self) -> None:
        self.interval_seconds = INTERVAL_SECONDS
        self.samples: list[Sample] = []

    def is_due(self, seconds: float) -> bool:
        """Whether it is time for the next look."""
        return not self.samples or seconds >= self.samples[-1].seconds + self.interval_seconds

    def add(self, sample: Sample) -> None:
        """Keep it."""
        self.samples.append(sample)
        if len(self.samples) > MAX_SAMPLES:
            del self.samples[1::2]
            self.interval_seconds *= 2

    def to_json(self, budget_from_seconds: float) -> dict[str, Any]:
        """A list a quantity; ``budget_from_seconds`` is when the budget began on the same clock."""
        columns = zip(*self.samples, strict=True) if self.samples else ([] for _ in Sample._fields)
        return {
            "schema": SCHEMA,
            "interval_seconds": self.interval_seconds,
            "budget_from_seconds": round(budget_from_seconds, 3),
            **{name: list(column) for name, column in zip(Sample._fields, columns, strict=True)},
        }


class Meter(threading.Thread):
    """Measures what the solution uses; ``breach`` names the first limit that it passed.

    ``usage`` is what it used over time. In a thread of its own, for measuring can take seconds in
    the middle of a fork bomb, and the clock must not wait for it.
    """

    def __init__(self, tree: ProcessTree, output: Path, limits: Limits, gpu: str | None) -> None:
        super().__init__(name="meter", daemon=True)
        self.breach: End | None = None
        self.peak_bytes = 0
        self.usage = Usage()
        self._read_gpu = open_gpu(gpu)
        self._tree = tree
        self._output = output
        self._limits = limits
        self._over = threading.Event()

    def run(self) -> None:
        """Measure until a limit is passed or ``stop`` is called."""
        began = time.monotonic()
        while self.breach is None:
            members = self._tree.members()
            used_bytes, self.breach = self._measure(members)
            if self.usage.is_due(seconds := time.monotonic() - began):
                disk_bytes, files = measure_tree(self._output, self._limits.disk_bytes, MAX_FILES)
                if disk_bytes > self._limits.disk_bytes or files > MAX_FILES:
                    self.breach = self.breach or "disk_full"
                self._keep(seconds, members, used_bytes, disk_bytes)
            if self._over.wait(MEASURE_SECONDS):
                return

    @property
    def disk_bytes(self) -> int:
        """The most that was seen on disk."""
        return max((sample.disk_bytes for sample in self.usage.samples), default=0)

    @property
    def free_bytes(self) -> int:
        """The least that was seen to be left there, now included."""
        now = shutil.disk_usage(self._output).free
        return min([now, *(sample.disk_free_bytes for sample in self.usage.samples)])

    def stop(self) -> None:
        """Measure no more."""
        self._over.set()

    def _keep(
        self, seconds: float, members: list[Member], used_bytes: int, disk_bytes: int
    ) -> None:
        free_bytes = shutil.disk_usage(self._output).free
        cpu_seconds = sum(process.cpu_seconds for process in members)
        if self.usage.samples:  # what a process used that nobody collected stays used
            cpu_seconds = max(cpu_seconds, self.usage.samples[-1].cpu_seconds)
        self.usage.add(
            Sample(
                round(seconds, 2),
                used_bytes,
                round(cpu_seconds, 2),
                len(members),
                disk_bytes,
                free_bytes,
                *self._read_gpu(),
            )
        )

    def _measure(self, members: list[Member]) -> tuple[int, End | None]:
        """Bytes of memory, and the limit that is passed."""
        limits, tree = self._limits, self._tree
        if len(members) > limits.processes or sum(p.threads for p in members) > limits.threads:
            return tree.memory_bytes(members), "too_many_processes"
        used = tree.memory_bytes(members, limits.memory_bytes)
        self.peak_bytes = max(self.peak_bytes, used)
        unlinked = tree.unlinked_bytes(members)
        if limits.memory_bytes is not None and max(used, unlinked) > limits.memory_bytes:
            return used, "out_of_memory"
        return used, "disk_full" if unlinked > limits.disk_bytes else None


def open_gpu(name: str | None) -> Callable[[], tuple[int | None, float | None]]:
    """A reader of the memory in use and the load of a device, by its index or UUID.

    It gives None for both where there is no such device, or no driver that tells.
    """
    with suppress(ImportError):
        import pynvml

        with suppress(pynvml.NVMLError):
            if name:
                pynvml.nvmlInit()
                find = pynvml.nvmlDeviceGetHandleByIndex if name.isdigit() else None
                handle = find(int(name)) if find else pynvml.nvmlDeviceGetHandleByUUID(name)
                return lambda: _read(pynvml, handle)
    return lambda: (None, None)


def _read(pynvml: Any, handle: Any) -> tuple[int | None, float | None]:
    memory = load = None
    with suppress(pynvml.NVMLError):
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    with suppress(pynvml.NVMLError):  # part of a device (MIG) has no load of its own
        load = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    return memory, load
