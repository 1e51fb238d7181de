"""What the machine at hand offers: cores, memory, and how fast it counts."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

REFERENCE_SECONDS = 0.03  # of ``measure_speed``'s work on one free core of the reference machine
PLENTY = 1 << 62  # bytes, where nothing is known of a limit
_LIMITS = (  # of control groups: the limit, what is used, and what of that can be given back
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, its control group, its limits."""
    free = PLENTY
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    for limit, used, cache in _LIMITS:
        with suppress(OSError, ValueError):  # no such group, or "max"
            free = min(free, _group(limit) - _group(used) + _cache(Path(used).parent, cache))
    return min(free, _address_space())


def measure_speed() -> float:
    """Seconds here for what takes one second on the reference machine: products, sorts, copies.

    On one core: threads of a product wait for each other on a busy machine, up to forty times.
    """
    rng = np.random.default_rng(0)
    left, values = rng.random((256, 256), np.float32), rng.random(200_000)
    taken = []
    with threadpool_limits(1, "blas"):
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(10):
                left @ left
            np.sort(values)
            [value * 2 for value in values[:100_000].tolist()]
            taken.append(time.perf_counter() - start)
    return float(np.clip(min(taken) / REFERENCE_SECONDS, 0.2, 10.0))


def _group(name: str) -> int:
    return int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))


def _cache(folder: Path, name: str) -> int:
    """Bytes of files that the group keeps in memory, and gives back when asked."""
    text = Path("/sys/fs/cgroup", folder, "memory.stat").read_text(encoding="ascii")
    found = [line.split()[1] for line in text.splitlines() if line.split()[0] == name]
    return int(found[0]) if found else 0


def _address_space() -> int:
    """What RLIMIT_AS leaves; it counts addresses, used or not."""
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return int(limit - pages * resource.getpagesize())
    return PLENTY
