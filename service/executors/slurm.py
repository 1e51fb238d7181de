"""Runs on a Slurm cluster: a batch job each, whose script is the run's supervisor.

The folder of a run lies where this machine and the nodes both see it. All that is asked of Slurm
goes through its own commands; nothing is kept in our memory. A job's name is the run's, and it is
looked up before a job is submitted; its working folder says which service it belongs to.
"""

from __future__ import annotations

import math
import shlex
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autodl.errors import PlatformError
from service.executors.base import Capabilities, Observation, Phase, RunKind, RunSpec
from service.executors.folders import is_fresh, list_programs, note_cancel, write_run
from service.executors.pauses import Pauses
from service.executors.queue import (
    SACCT_FORMAT,
    SEPARATOR,
    SQUEUE_FORMAT,
    WAITING,
    Job,
    observe_job,
    read_jobs,
)
from service.settings import Settings, SlurmSettings, inherited_environment
from service.worker import job as batch
from service.worker.program import explain_disk, read_guest_log
from service.worker.supervisor import read_status
from service.worker.tasks import ReportTo

PATIENCE_SECONDS = 6.0  # for a supervisor to end its run when asked
FULL = ("SubmitJob", "temporarily unable")  # a limit on jobs, ours or the whole cluster's
REMEMBERED = "now-7days"  # how far back accounting is searched for a job that ended unseen


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise explain_disk(error) from error


class SlurmExecutor:
    """See ``Executor``. ``programs`` are the command lines that a run's task files are given to."""

    name = "slurm"

    def __init__(
        self,
        settings: Settings,
        site: SlurmSettings,
        programs: dict[str, list[str]] | None = None,
    ) -> None:
        self.settings = settings
        self.site = site
        self.root = (site.folder or settings.data / "runs").absolute()
        self.programs = programs or list_programs(site.python)
        self._environment = inherited_environment()  # no setting of ours goes with a job
        if site.conf is not None:
            self._environment["SLURM_CONF"] = str(site.conf)
        self._pauses = Pauses()  # of each command

    def capabilities(self) -> Capabilities:
        """As many runs as the operator allows.

        Each looks for itself whether its node isolates solutions as the operator asks.
        """
        network = set() if self.settings.require_isolation == "none" else {"network"}
        return Capabilities(
            slots={RunKind.CHECK: self.site.check_slots, RunKind.SOLVE: self.site.slots},
            isolation=self.settings.require_isolation,
            gpus=self.site.slots if self.site.gres else 0,
            enforced=frozenset({"time", "memory", "disk", "processes"} | network),
        )

    @_explained()
    def ensure(self, spec: RunSpec) -> None:
        """Submit the run's job, unless there is one of its name or its supervisor has begun."""
        folder = self.root / spec.run_id
        if read_status(folder) is not None or self._list_jobs(spec.name):
            return
        task = write_run(
            folder,
            spec,
            self.settings,
            ReportTo(
                run_id=spec.run_id,
                token=spec.publish.token,
                prefix=spec.publish.prefix,
                api_url=self.site.api_url,
            ),
            programs=self.programs,
            gpu=None,  # the node says which
            memory_bytes=self.settings.memory_bytes or self.site.memory_bytes * 4 // 5,
        )
        self._call("sbatch", *self._list_options(spec, folder), script=self._write_script(task))

    @_explained()
    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        """Ask the controller for all jobs; accounting for those it knows no more; read statuses."""
        held = {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()
        jobs = _by_run(self._list_jobs())
        unknown = [run_id for run_id in run_ids if run_id in held and run_id not in jobs]
        if unknown:
            jobs |= _by_run(self._list_ended(unknown))
        active = {run_id for run_id, job in jobs.items() if not job.is_over}
        return [self._observe(i, jobs.get(i)) for i in sorted({*run_ids, *held, *active})]

    def cancel(self, run_id: str) -> None:
        """Ask the supervisor; later kill it, upon which the node ends what it left."""
        wanted = note_cancel(self.root / run_id)
        jobs = f"--name=adl-{run_id}"
        if is_fresh(wanted, PATIENCE_SECONDS):
            self._call("scancel", jobs, "--state=PENDING")
            self._call("scancel", jobs, "--state=RUNNING", "--batch", "--signal=TERM")
        else:
            self._call("scancel", jobs, "--state=RUNNING", "--batch", "--signal=KILL")
            self._call("scancel", jobs)

    @_explained()
    def forget(self, run_id: str) -> None:
        """Remove the run's folder; one still at work is ended, and removed when asked again."""
        folder = self.root / run_id
        if any(not job.is_over for job in self._list_jobs(f"adl-{run_id}")):
            self.cancel(run_id)
        elif folder.is_dir():
            shutil.rmtree(folder)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        """The end of the solution's output, which only grows."""
        return read_guest_log(self.root / run_id / "output")[-tail_bytes:]

    def _observe(self, run_id: str, job: Job | None) -> Observation:
        folder = self.root / run_id
        if not folder.is_dir() and (job is None or job.is_over):
            return Observation(run_id=run_id, phase=Phase.ABSENT)  # the cluster remembers it longer
        canceled = (folder / "cancel").exists()
        return observe_job(run_id, job, read_status(folder), canceled=canceled)

    def _list_jobs(self, name: str = "") -> list[Job]:
        """Our jobs that the controller knows: those that ended in the last minutes, too."""
        command = ["squeue", "--noheader", "--me", "--states=all", f"--format={SQUEUE_FORMAT}"]
        text = self._call(*command, *([f"--name={name}"] if name else []))
        return [job for job in read_jobs(text) if job.folder.parent == self.root]

    def _list_ended(self, run_ids: Iterable[str]) -> list[Job]:
        """Jobs that ended longer ago, by accounting or else by the log of completed jobs.

        Many clusters keep neither, and a database may be away: then nothing is known, as of a
        lost job. What accounting calls active and the controller does not know, is not.
        """
        names = ",".join(f"adl-{run_id}" for run_id in run_ids)
        command = ["sacct", "--noheader", "--parsable2", f"--delimiter={SEPARATOR}"]
        command += [
            "--allocations",
            f"--name={names}",
            f"--starttime={REMEMBERED}",
            f"--format={SACCT_FORMAT}",
        ]
        for option in ((), ("--completion",)):
            try:
                jobs = read_jobs(self._call(*command, *option))
            except PlatformError:
                continue
            return [job for job in jobs if job.folder.parent == self.root and job.is_over]
        return []

    def _list_options(self, spec: RunSpec, folder: Path) -> list[str]:
        site, solving = self.site, spec.kind is RunKind.SOLVE
        chosen = {
            "partition": site.partition if solving else site.check_partition or site.partition,
            "account": site.account,
            "qos": site.qos,
            "constraint": site.constraint,
            "gres": site.gres if solving else "",
        }
        return [
            "--parsable",
            f"--job-name={spec.name}",
            "--dependency=singleton",  # should two of one name be submitted all the same
            "--no-requeue",  # a retry is a new run
            f"--chdir={folder}",
            "--output=supervisor.log",
            f"--time={math.ceil(spec.backstop_seconds / 60)}",  # from its start, not in the queue
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={site.cpus}",
            f"--mem={site.memory_bytes >> 20}M",
            *(f"--{name}={value}" for name, value in chosen.items() if value),
        ]

    def _write_script(self, task: Path) -> str:
        """No secret is in it: it lies in the controller's spool, and users may ask to see it."""
        command = [*shlex.split(self.site.container), self.site.python, "-P", "-m", batch.__name__]
        line = shlex.join([*command, str(task), self.settings.require_isolation])
        return f"#!/bin/sh\numask 077\nexec {line}\n"

    def _call(self, *command: str, script: str | None = None) -> str:
        """What a command of Slurm's prints, its times in UTC; ``script`` is what it reads.

        Raises ``PlatformError`` (``cluster-unavailable``).
        """
        self._pauses.check(command[0])
        clock = {} if script else {"TZ": "UTC"}  # which a job would inherit
        try:
            done = subprocess.run(
                command,
                input=script or "",
                env=self._environment | clock,
                capture_output=True,
                text=True,
                timeout=self.site.timeout_seconds,
                check=True,
            )
        except FileNotFoundError as error:
            raise _explain(f"there is no program {command[0]!r} here") from error
        except subprocess.TimeoutExpired as error:
            said = error.stderr or b""  # bytes, whatever was asked for
            failure = _explain(f"{command[0]} gave no answer", said.decode())
            self._pauses.begin(command[0], failure)
            raise failure from error
        except subprocess.CalledProcessError as error:
            if command[0] == "scancel" and not error.stderr.strip():
                return ""  # how it says that the job has ended meanwhile
            raise _explain(f"{command[0]} ended with {error.returncode}", error.stderr) from error
        return done.stdout


def _by_run(jobs: Iterable[Job]) -> dict[str, Job]:
    """By run; should there be two of one, it is the one at work that counts."""
    ordered = sorted(jobs, key=lambda job: (not job.is_over, job.state not in WAITING))
    return {job.run_id: job for job in ordered if job.run_id}


def _explain(what: str, said: str = "") -> PlatformError:
    """What a command's failure comes to; its own last words say it best."""
    last = said.strip().splitlines()[-1:] or [what]
    if any(word in said for word in FULL):
        return PlatformError("no-free-slot", f"The cluster takes no more jobs for now: {last[0]}.")
    return PlatformError(
        "cluster-unavailable",
        f"The Slurm cluster did not do what it was asked to: {last[0]}.",
        hint="It is asked again; if it lasts, see `sinfo`, and the service's log.",
    )
