"""What Slurm says of a run's job, as the reconciler wants to hear it.

The controller knows whether a job waits or works and, for a few minutes, how it ended; accounting
knows the end for longer. How far the programs are stands in the status of the run's supervisor,
which also has the last word where it came to write one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.executors.base import End, Observation, Phase
from service.worker.supervisor import Status

# The same fields in both: number, name, state, why, submitted, started, nodes, working folder.
SEPARATOR = "\x1f"  # which no sane name has in it
SQUEUE_FORMAT = SEPARATOR.join(("%i", "%j", "%T", "%r", "%V", "%S", "%N", "%Z"))
SACCT_FORMAT = "JobIDRaw,JobName,State,Reason,Submit,Start,NodeList,WorkDir"
FIELDS = 8

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
STARTING = frozenset({"CONFIGURING"})
WORKING = {
    "RUNNING": "The job has started.",
    "SUSPENDED": "The cluster has suspended the job.",
    "STOPPED": "The cluster has stopped the job for a while.",
    "COMPLETING": "The job is coming to its end.",
    "SIGNALING": "The job is being ended.",
    "STAGE_OUT": "The job is coming to its end.",
    "RESIZING": "The job has started.",
}
ENDS = {
    "TIMEOUT": (End.TIMEOUT, "The run took longer than all its limits together."),
    "OUT_OF_MEMORY": (End.OOM, "The run used more memory than it may."),
    "NODE_FAIL": (End.NODE_LOST, "The run's node went away."),
    "BOOT_FAIL": (End.INFRA, "The run's node did not start."),
    "PREEMPTED": (End.KILLED, "The cluster took the run's place away for a job that goes first."),
    "DEADLINE": (End.KILLED, "The cluster ended the job at a deadline of its own."),
    "REVOKED": (End.KILLED, "The cluster withdrew the job."),
    "CANCELLED": (End.KILLED, "Somebody canceled the job in the cluster."),
}
# Why a job waits, in words, where patience will not help.
STUCK = {
    "PartitionTimeLimit": "The cluster's partition allows no job as long as this one",
    "PartitionNodeLimit": "The cluster's partition has no node like the job's",
    "BadConstraints": "The cluster has no node like the job's",
    "InvalidAccount": "The cluster does not know the job's account",
    "InvalidQOS": "The cluster does not know the job's quality of service",
    "QOSNotAllowed": "The job's quality of service is not allowed here",
    "AssocMaxWallDurationPerJobLimit": "The account may run no job as long as this one",
    "QOSMaxWallDurationPerJobLimit": "The quality of service allows no job as long as this one",
    "DependencyNeverSatisfied": "The job waits for one that never ends well",
    "JobHeldAdmin": "An operator of the cluster holds the job back",
    "JobHeldUser": "The job is held back",
    "launch failed requeued held": "The job could not be started and is held back",
}


@dataclass(frozen=True)
class Job:
    """One line of ``squeue`` or ``sacct``."""

    number: str
    name: str
    state: str
    reason: str
    submitted_at: datetime | None
    started_at: datetime | None
    nodes: str
    folder: Path

    @property
    def run_id(self) -> str:
        """The run that it is of, if it is of one."""
        return self.folder.name if self.name == f"adl-{self.folder.name}" else ""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is at work any more, or ever will be."""
        return self.state not in WAITING | STARTING | WORKING.keys()


def read_jobs(text: str) -> Iterator[Job]:
    """Parse lines of ``SQUEUE_FORMAT`` or ``SACCT_FORMAT``, whose times are UTC.

    Jobs of others may be called anything; what cannot be read is none of ours.
    """
    for line in text.splitlines():
        fields = line.split(SEPARATOR)
        if len(fields) != FIELDS:
            continue
        number, name, state, reason, submitted, started, nodes, folder = fields
        yield Job(
            number=number,
            name=name,
            state=state.split()[0],  # "CANCELLED by 1000"
            reason="" if reason == "None" else reason,
            submitted_at=_read_time(submitted),
            started_at=_read_time(started),
            nodes=nodes,
            folder=Path(folder),
        )


def _read_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None  # "N/A", "Unknown": it has not started


def observe_job(
    run_id: str, job: Job | None, status: Status | None, *, canceled: bool
) -> Observation:
    """One observation out of the job (None: nobody knows it) and what its supervisor wrote."""
    seen = Observation(
        run_id=run_id,
        phase=Phase.ABSENT,
        started_at=datetime.fromisoformat(status.started_at) if status else None,
        message=status.message if status else "",
        where=f"job {job.number} on {job.nodes or 'no node yet'}" if job else "",
    )
    if status is not None and status.phase is Phase.ENDED and status.end is not End.KILLED:
        return seen.model_copy(update={"phase": Phase.ENDED, "end": status.end})
    if job is None or job.is_over:
        return seen.model_copy(update=_judge(job, status, canceled=canceled))
    if job.state in WAITING and job.reason in STUCK:
        # as one that has its place and does not begin, which is given up after a while
        why = {"message": f"{STUCK[job.reason]}.", "started_at": job.submitted_at}
        return seen.model_copy(update={"phase": Phase.STARTING} | why)
    if job.state in WAITING:
        message = f"Waiting in the cluster's queue ({job.reason or 'no reason is known'})."
        return seen.model_copy(update={"phase": Phase.QUEUED, "message": message})
    if job.state in STARTING:
        why = {"message": "The cluster prepares the run's node.", "started_at": job.started_at}
        return seen.model_copy(update={"phase": Phase.STARTING} | why)
    alive = status is not None and status.phase is Phase.RUNNING and job.state == "RUNNING"
    message = seen.message if alive else WORKING[job.state]
    return seen.model_copy(update={"phase": Phase.RUNNING, "message": message})


def _judge(job: Job | None, status: Status | None, *, canceled: bool) -> dict[str, object]:
    """What to conclude of a run whose job is over, and whose supervisor did not say how."""
    if canceled:
        return {"phase": Phase.ENDED, "end": End.CANCELED, "message": "The run was canceled."}
    if (
        status is not None
        and status.phase is Phase.ENDED
        and (job is None or job.state not in ENDS)
    ):
        return {"phase": Phase.ENDED, "end": status.end}
    if job is None:
        message = "Neither the cluster's controller nor its accounting knows the job."
        return {"phase": Phase.ABSENT, "message": message}
    why = f" ({job.reason})" if job.reason else ""
    if job.state in ENDS:
        end, message = ENDS[job.state]
    elif status is None:
        end, message = End.INFRA, f"The job ended before it began: {job.state.lower()}{why}."
    else:
        end, message = End.KILLED, f"The run's supervisor was killed: {job.state.lower()}{why}."
    return {"phase": Phase.ENDED, "end": end, "message": message}
