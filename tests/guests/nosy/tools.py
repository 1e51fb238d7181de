"""Where the nosy guest's goals lie, and how it calls the kernel; nothing here is a door."""

import ctypes
import os
import platform
import sys
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
DATASET = Path(sys.argv[sys.argv.index("--dataset") + 1])
OUTPUT = Path(sys.argv[sys.argv.index("--output") + 1])
LABELS = DATASET.parent / "labels/toy.solution"
PORT = int((DATASET / "port").read_text()) if (DATASET / "port").exists() else 9


def call(function, *arguments):
    """Call the C library; OSError as errno says."""
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def system_call(number, *arguments):
    """Call the kernel by x86-64's number, which is another call elsewhere."""
    if platform.machine() != "x86_64":
        raise OSError("numbers of another machine")
    return call(LIBC.syscall, ctypes.c_long(number), *arguments)


def first(find):
    """What is found for the first process that lets it be found."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                return find(int(folder.name))
            except OSError:
                continue
    raise FileNotFoundError


def read_descriptors():
    """Where this process's descriptors lead, but to the terminal's three."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            targets += [str(link.readlink())] if int(link.name) > 2 else []
        except OSError:
            continue
    return targets
