"""What a test left running."""

from contextlib import suppress

import psutil


def descendants() -> set[psutil.Process]:
    """This process's, but for the backends of the suite's PostgreSQL, which come and go."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name() != "postgres":
                found.add(process)
    return found
