"""A throw-away Slurm cluster: Debian's own controller and node daemon, on this machine alone."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sacct", "scontrol")
# Nobody is asked who he is, and nothing is measured or confined: that is the runs' own work here.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MessageTimeout=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 Gres=gpu:2
PartitionName=batch Nodes=node Default=YES PriorityTier=1
PartitionName=short Nodes=node PriorityTier=1 MaxTime=1
PartitionName=first Nodes=node PriorityTier=9
"""


class Cluster:
    """One controller and one node that believes to have two GPUs; jobs are this user's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        controller, node = _free_ports(2)
        text = CONFIGURATION.format(
            host=socket.gethostname(),
            user=getpass.getuser(),
            folder=folder,
            controller=controller,
            node=node,
        )
        self.conf.write_text(text, encoding="utf-8")
        for number, device in enumerate(("null", "zero")):
            (folder / f"gpu{number}").symlink_to(f"/dev/{device}")
        gres = f"NodeName=node Name=gpu File={folder}/gpu[0-1]\n"
        (folder / "gres.conf").write_text(gres, encoding="utf-8")
        for name in ("state", "spool"):
            (folder / name).mkdir()

    @staticmethod
    def find_missing() -> list[str]:
        """The programs that are not installed here."""
        path = os.defpath + ":/usr/sbin:/sbin"
        return [name for name in PROGRAMS if shutil.which(name, path=path) is None]

    def start(self) -> None:
        """Return when the node takes jobs."""
        self.start_daemon("slurmctld", "-i")
        self.start_daemon("slurmd", "-N", "node")
        self.wait_for_node()

    def lose_node(self) -> None:
        """As when it does not answer any more; after a while it comes back by itself."""
        self.call("scontrol", "update", "nodename=node", "state=down", "reason=test")

    def wait_for_node(self, *states: str) -> None:
        """Return when the node is at rest, or in one of the states."""
        wanted = states or ("idle",)
        self._wait(lambda: self.call("sinfo", "-h", "-o", "%T", check=False).strip() in wanted)

    def wait_until_empty(self) -> None:
        """Return when no job holds anything."""
        self._wait(lambda: self.call("squeue", "-h") == "")

    def wait_until_saved(self) -> None:
        """Return when the controller has written down its jobs.

        It does so some seconds after a change; what it has not written a kill makes it forget.
        """
        since = time.time()
        for job in self.call("squeue", "-h", "-o", "%A").split():
            self.call("scontrol", "update", f"jobid={job}", "comment=a change")
        saved = self.folder / "state" / "job_state"
        self._wait(lambda: saved.exists() and saved.stat().st_mtime > since)

    def start_daemon(self, name: str, *options: str) -> None:
        command = [f"/usr/sbin/{name}", "-D", "-f", str(self.conf), *options]
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder)

    def kill(self, name: str) -> None:
        """As a power cut would."""
        self._daemons[name].kill()
        self._daemons[name].wait()

    def stop(self) -> None:
        """End the daemons, and all that is left of jobs."""
        self.call("scancel", "--me", "--signal=KILL", "--batch", check=False)
        for daemon in self._daemons.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for process in psutil.process_iter():
            try:
                if str(self.folder) in process.environ().get("SLURM_CONF", ""):
                    process.kill()
            except (psutil.Error, OSError):
                continue

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            logs = [self.folder / f"{name}.log" for name in self._daemons]
            assert time.monotonic() < deadline, "".join(p.read_text()[-2000:] for p in logs)
            time.sleep(0.1)

    def call(self, *command: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command,
            env={"PATH": os.defpath, "SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
