"""A run as one job of a cluster: what only its node knows, then the supervisor.

``python -m service.worker.job TASK LEVEL``, where TASK is the supervisor's and LEVEL the least
isolation with which the operator lets solutions run: which node it will be is not known before.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from autodl import sandbox
from service.executors.base import End, Phase
from service.settings import read_gpus
from service.worker import supervisor
from service.worker.program import read_json, write_json


def main() -> None:
    """Supervise the run here, unless this node may not carry it out."""
    folder = Path(sys.argv[1]).parent
    if supervisor.read_status(folder) is None:  # a job that was begun before begins nothing
        if not _holds(folder, sys.argv[2]):
            return
        task = read_json(folder / "solve.json")
        assert task is not None, "the executor writes it first"
        write_json(folder / "solve.json", task | {"gpu": read_gpus()})
    supervisor.main()


def _holds(folder: Path, wanted: str) -> bool:
    reached = sandbox.level(sandbox.strength())
    if sandbox.suffices(reached, wanted):
        return True
    status = supervisor.Status(
        pid=os.getpid(),
        phase=Phase.ENDED,
        end=End.INFRA,
        message=f"The node would hold solutions by {reached!r}; the operator asked for {wanted!r}.",
        started_at=datetime.now(UTC).isoformat(),
    )
    write_json(folder / "status.json", status.model_dump(mode="json"))
    return False


if __name__ == "__main__":
    main()
