"""What is counted after the storm, and how it is written down."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import psutil
from sqlalchemy import select

from service import collector
from service.db import Database
from service.executors.local import LocalExecutor
from service.integrity import audit
from service.models import Run, Submission
from service.storage import open_storage
from tests.chaos.people import KINDS

if TYPE_CHECKING:
    from tests.chaos.faults import Saboteur
    from tests.chaos.installation import Installation
    from tests.chaos.people import People

LEFT_SECONDS = 60.0  # for the last programs to go


@dataclass(frozen=True)
class Report:
    """``values`` are plain; ``is_good`` when nothing was lost, doubled, stuck or wrong."""

    values: dict[str, Any]

    @property
    def is_good(self) -> bool:
        v = self.values
        return not (v["lost"] or v["doubled"] or v["stuck"] or v["processes_left"] or v["flaws"])

    @classmethod
    def make(
        cls,
        installation: Installation,
        people: People,
        saboteur: Saboteur,
        seconds: float,
        *,
        is_small: bool,
    ) -> Report:
        """Look at what is there now that everything should have come to its end."""
        settings = installation.settings
        database, storage = (
            Database(settings.effective_database_url),
            open_storage(settings.effective_storage),
        )
        asked = {a.id: a.kind for a in people.asked}
        with database.read() as session:
            rows = {s.id: s for s in session.scalars(select(Submission))}
            runs = session.scalars(select(Run)).all()
        left = _wait_for_processes(installation)
        orphans = audit(settings, database, storage, orphan_seconds=0).flaws
        orphans = [flaw for flaw in orphans if flaw.kind == "orphan"]
        with mock.patch.object(collector, "ORPHAN_SECONDS", 0.0):  # a day later
            sweeps = collector.Collector(settings, database, storage, LocalExecutor(settings))
            for step in list(sweeps.list_steps()):
                step()
        found = audit(settings, database, storage, deep=True, orphan_seconds=0)
        database.close()
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for id_, kind in asked.items():
            outcomes[kind][_say_end(rows.get(id_))] += 1
        return cls(
            {
                "minutes": round(seconds / 60, 1),
                "database": "sqlite" if database.is_sqlite else "postgresql",
                "disk": "a small tmpfs" if is_small else "the machine's own, never filled",
                "machine": {
                    "cores": os.cpu_count(),
                    "load": [round(x, 1) for x in os.getloadavg()],
                },
                "submissions": len(asked),
                "runs": len(runs),
                "runs_ended": dict(Counter((r.outcome or {}).get("end", "none") for r in runs)),
                "faults": dict(sorted(saboteur.done.items())),
                "processes_started": dict(sorted(installation.starts.items())),
                "requests_sent_again": dict(people.unanswered),
                "outcomes": {kind: dict(outcomes[kind]) for kind in KINDS if kind in outcomes},
                "lost": len(asked.keys() - rows.keys()),
                "doubled": len(rows.keys() - asked.keys())
                + sum(flaw.kind == "doubled" for flaw in found.flaws),
                "stuck": sum(row.ended_at is None for row in rows.values()),
                "processes_left": left,
                "orphans_collected": len(orphans),
                "flaws": [list(flaw) for flaw in found.flaws],
            }
        )


def _wait_for_processes(installation: Installation) -> int:
    """How many are at work though nothing is to be done."""
    deadline = time.monotonic() + LEFT_SECONDS
    while (left := installation.find_processes()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return sum(process.status() != psutil.STATUS_ZOMBIE for process in left)


def _say_end(row: Submission | None) -> str:
    if row is None:
        return "lost"
    code = (row.error or {}).get("code")
    return row.state.value + (f" ({code})" if code else "")


def write(report: Report, path: Path) -> None:
    """``path`` with ``.json`` and ``.md``."""
    values = report.values
    path.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    machine = values["machine"]
    lines = [
        f"{values['submissions']} submissions in {values['minutes']} minutes of faults, over"
        f" {values['database']}, on {values['disk']}; {machine['cores']} cores, load"
        f" {machine['load'][0]} at the end. Written by `python -m tests.chaos --write`.",
        "",
        "| what | count |",
        "|---|---|",
        *(f"| {key} | {values[key]} |" for key in ("lost", "doubled", "stuck", "processes_left")),
        f"| statements of the audit that do not hold | {len(values['flaws'])} |",
        f"| objects of requests that were cut, collected | {values['orphans_collected']} |",
        f"| runs | {values['runs']} |",
        f"| requests sent again | {sum(values['requests_sent_again'].values())} |",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in values["faults"].items()),
        "",
        "| asked for | undisturbed | came to |",
        "|---|---|---|",
    ]
    for kind, ends in values["outcomes"].items():
        told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
        lines.append(f"| {kind} | {KINDS[kind][1]} | {told} |")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
