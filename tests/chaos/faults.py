"""What is done to the service: each fault is one function, which says what it met."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.chaos.installation import RECONCILERS, SERVER, Installation

FULL_SECONDS = (2.0, 6.0)
BROKEN_SECONDS = (1.0, 5.0)
AWAY_SECONDS = (0.5, 5.0)
CHUNK_BYTES = 1 << 20
Fault = Callable[[Installation, random.Random], bool]


def kill_server(installation: Installation, _: random.Random) -> bool:
    return _kill(installation.find(SERVER))


def stop_server(installation: Installation, _: random.Random) -> bool:
    """As an upgrade does."""
    process = installation.find(SERVER)
    if process is not None:
        process.terminate()
    return process is not None


def kill_reconciler(installation: Installation, chance: random.Random) -> bool:
    return _kill(installation.find(chance.choice(RECONCILERS)))


def kill_both_reconcilers(installation: Installation, _: random.Random) -> bool:
    return any([_kill(installation.find(name)) for name in RECONCILERS])


def kill_supervisor(installation: Installation, chance: random.Random) -> bool:
    found = installation.find_supervisors()
    return bool(found) and _kill(chance.choice(found))


def kill_solution(installation: Installation, chance: random.Random) -> bool:
    return _kill_program(installation, chance, "autodl.ingest")


def kill_solve(installation: Installation, chance: random.Random) -> bool:
    return _kill_program(installation, chance, "service.worker.solve")


def kill_score(installation: Installation, chance: random.Random) -> bool:
    return _kill_program(installation, chance, "service.worker.score")


def kill_stage(installation: Installation, chance: random.Random) -> bool:
    return _kill_program(installation, chance, "service.worker.stage")


def kill_publish(installation: Installation, chance: random.Random) -> bool:
    return _kill_program(installation, chance, "service.worker.publish")


def fill_disk(installation: Installation, chance: random.Random) -> bool:
    """Not a byte is left, for some seconds."""
    ballast = installation.data / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * CHUNK_BYTES):
            pass
    time.sleep(chance.uniform(*FULL_SECONDS))
    ballast.unlink()
    return True


def break_store(installation: Installation, chance: random.Random) -> bool:
    """Objects can be neither written nor read: where their folders were is something else."""
    installation.point_store_at(installation.broken)
    time.sleep(chance.uniform(*BROKEN_SECONDS))
    installation.point_store_at(installation.objects)
    return True


def kill_database(installation: Installation, chance: random.Random) -> bool:
    if installation.cluster is None:
        return False
    installation.cluster.kill()
    time.sleep(chance.uniform(*AWAY_SECONDS))
    installation.cluster.start()
    return True


FAULTS: dict[str, Fault] = {
    "server killed -9": kill_server,
    "server stopped": stop_server,
    "reconciler killed -9": kill_reconciler,
    "both reconcilers killed -9": kill_both_reconcilers,
    "supervisor killed -9": kill_supervisor,
    "solution killed -9": kill_solution,
    "solve killed -9": kill_solve,
    "score killed -9": kill_score,
    "stage killed -9": kill_stage,
    "publish killed -9": kill_publish,
    "disk full": fill_disk,
    "store broken": break_store,
    "database killed -9": kill_database,
}


class Saboteur(threading.Thread):
    """One fault after the other, at random, until told to stop; ``done`` counts those that met."""

    def __init__(
        self, installation: Installation, names: list[str], seconds: float, seed: int
    ) -> None:
        super().__init__(name="saboteur", daemon=True)
        self.done: Counter[str] = Counter()
        self._installation = installation
        self._names = names
        self._seconds = seconds
        self._chance = random.Random(seed)
        self._over = threading.Event()

    def run(self) -> None:
        """Each kind comes once a round, so that none is left out."""
        names: list[str] = []
        while not self._over.wait(self._chance.expovariate(1 / self._seconds)):
            names = names or self._chance.sample(self._names, len(self._names))
            name = names.pop()
            for _ in range(100):  # a program that lives for a moment has to be met
                if FAULTS[name](self._installation, self._chance):
                    self.done[name] += 1
                    break
                if self._over.wait(0.1):
                    return

    def stop(self) -> None:
        """After the fault at hand, whose damage is mended first."""
        self._over.set()
        self.join()


def _kill_program(installation: Installation, chance: random.Random, module: str) -> bool:
    found = []
    for supervisor in installation.find_supervisors():
        with suppress(psutil.Error):
            children = supervisor.children(recursive=True)
            found += [child for child in children if module in child.cmdline()]
    return bool(found) and _kill(chance.choice(found))


def _kill(process: psutil.Process | None) -> bool:
    with suppress(psutil.NoSuchProcess):
        if process is not None:
            process.send_signal(signal.SIGKILL)
            return True
    return False
