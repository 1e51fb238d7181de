"""Files in a folder that a solution may write to: nothing there is what it seems.

A solution can put links, pipes, devices, folders and trees of any depth at any name, also at the
names that are ours. Reading here never follows a link, and writing never writes through one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_plain(path: Path, *, within: Path | None = None) -> BinaryIO:
    """Open a regular file for reading; OSError for a link, a pipe or a device at its place.

    The folders of ``path`` below ``within`` (default: its parent) must not be links either.
    """
    root = path.parent if within is None else within
    *folders, name = path.relative_to(root).parts
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            deeper = os.open(folder, PLAIN | os.O_DIRECTORY, dir_fd=place)
            os.close(place)
            place = deeper
        file = os.fdopen(os.open(name, PLAIN, dir_fd=place), "rb")
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path.name} is not a regular file")
    return file


def copy_plain(path: Path, target: Path, *, within: Path) -> bool:
    """Copy a regular file out of such a folder; False where there is none at its place."""
    try:
        source = open_plain(path, within=within)
    except OSError:
        return False
    with source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    return True


def write_over(path: Path, data: bytes) -> None:
    """Write a file of ours; what stands at its name is replaced, or moved aside if a folder."""
    copy_over(BytesIO(data), path)


def copy_over(source: BinaryIO, path: Path) -> None:
    """Like ``write_over``, with what is read from ``source``."""
    part = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:  # "x" follows no link
            shutil.copyfileobj(source, file)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f".{secrets.token_hex(8)}"))
    part.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever is in it; ``shutil.rmtree`` fails on trees that are very deep."""
    subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


def measure_tree(folder: Path, limit_bytes: int, limit_files: int) -> tuple[int, int]:
    """Bytes on disk and files under a folder; stops counting where either is over its limit."""
    used = files = 0
    folders = [str(folder)]
    while folders and used <= limit_bytes and files <= limit_files:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue  # gone meanwhile, or deeper than a path can say: its entry was counted
    return used, files
