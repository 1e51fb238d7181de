"""Run the whole service under faults at random, then count: nothing lost, doubled or stuck.

    make chaos                                              # 20 minutes and 500 submissions, SQLite
    python -m tests.chaos --postgresql --write              # the database is killed as well
    AUTODL_DATABASE_URL=postgresql://... python -m tests.chaos --minutes 5

Everything is on this machine and bound to 127.0.0.1; what it keeps is removed at the end, unless
something was wrong. Ends with 1 then. ``--write`` keeps the report in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.faults import FAULTS, Saboteur
from tests.chaos.installation import Installation, enter_namespace, postgresql, small_disk
from tests.chaos.people import People, make_bundle
from tests.chaos.report import Report, write

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/results"
OPEN = 10  # submissions at a time: more than there are slots, so that some always wait
DISK_MEGABYTES = 1024
DRAIN_SECONDS = 600.0
LONGEST = 4  # times the minutes that were asked for, if there are too few submissions by then


def storm(
    folder: Path, *, seconds: float, submissions: int, fault_seconds: float, seed: int,
    with_postgresql: bool, database_url: str = "",
) -> Report:  # fmt: skip
    """Submit and sabotage for so long and so often, let everything come to its end, and count."""
    with ExitStack() as stack:
        is_small = stack.enter_context(small_disk(folder / "disk", DISK_MEGABYTES))
        cluster = stack.enter_context(postgresql()) if with_postgresql else None
        data = folder / "disk/data"
        data.mkdir()
        installation = Installation(data, cluster, database_url)
        stack.callback(installation.stop)
        installation.start()
        names = [
            n for n in FAULTS if (is_small or n != "disk full") and (cluster or "data" not in n)
        ]
        people = People(installation, make_bundle(folder), seed)
        saboteur = Saboteur(installation, names, fault_seconds, seed)
        saboteur.start()
        began = time.monotonic()
        while not _is_enough(time.monotonic() - began, seconds, len(people.asked), submissions):
            waiting = people.count_open()
            if waiting is not None and waiting < OPEN and len(people.asked) < submissions * 2:
                people.submit(min(OPEN - waiting, 4))
            else:
                time.sleep(0.3)
        saboteur.stop()
        stormed = time.monotonic() - began
        people.wait_for_all(DRAIN_SECONDS)
        return Report.make(installation, people, saboteur, stormed, is_small=is_small)


def _is_enough(seconds: float, wanted: float, count: int, submissions: int) -> bool:
    return seconds >= wanted and (count >= submissions or seconds >= LONGEST * wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--submissions", type=int, default=500)
    parser.add_argument("--fault-seconds", type=float, default=6.0, help="between two, on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true", help="a server of its own, killed too")
    parser.add_argument("--write", action="store_true", help="keep the report")
    options = parser.parse_args()
    enter_namespace()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    report = storm(
        folder,
        seconds=options.minutes * 60,
        submissions=options.submissions,
        fault_seconds=options.fault_seconds,
        seed=options.seed,
        with_postgresql=options.postgresql,
        database_url=os.environ.get("AUTODL_DATABASE_URL", ""),  # noqa: TID251 a program's own
    )
    print(json.dumps(report.values, indent=1))
    if options.write:
        write(report, RESULTS / f"chaos{'_postgresql' * options.postgresql}")
    if report.is_good:
        shutil.rmtree(folder)
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    main()
