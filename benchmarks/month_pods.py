"""The cluster of ``benchmarks/month.py``: simulated nodes and pods behind the executor's seam."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autodl.errors import PlatformError
from service.executors.base import Capabilities, End, Observation, Phase, RunKind, RunSpec
from service.submissions import repository, service

if TYPE_CHECKING:
    from benchmarks.month import World

GPUS_OF_A_NODE = 8
CHECK_SLOTS = 16
HOUR = 3600.0
NODE_LIFE_SECONDS = 10 * 24 * HOUR  # mean time between failures
REPAIR_SECONDS = 2 * HOUR
EVICTED = 0.005  # of the solving pods
REJECTED = 0.03  # of the submissions, at their check
AT_FAULT = {"user-error": 0.03, "oom": 0.01}  # of the solutions
CRASH = 1 / 3000  # of the leader, at a run that it has just asked for
OUTAGES_A_MONTH, OUTAGE_SECONDS = 20, 300.0  # of the cluster's API
POINT = {"index": 0, "seconds": 1.0, "nauc": 0.5, "accuracy": 0.7, "alc": 0.4}
FAULT = {"family": "solution", "code": "solution-train", "message": "It raised.", "hint": ""}
REJECTION = {"family": "data", "code": "labels-missing", "message": "No labels.", "hint": ""}


class Crash(BaseException):
    """The process that leads is killed."""


@dataclass
class Pod:
    spec: RunSpec
    index: int  #: of the submission
    seen: Observation
    node: int | None = None
    began: float = 0.0


class Pods:
    """See ``Executor``. Checks have processors of their own; a solving pod takes one GPU."""

    name = "simulated"

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()
        self.nodes = world.options.nodes
        self.gpus = self.nodes * GPUS_OF_A_NODE
        self.free = [GPUS_OF_A_NODE] * self.nodes
        self.down = [False] * self.nodes
        self.down_seconds = 0.0
        self.held: dict[str, Pod] = {}
        self.pending: deque[Pod] = deque()
        self.served: list[tuple[int, float, float]] = []  # user, begin, end: of runs that counted
        self.busy: list[tuple[float, float]] = []
        self.ended: Counter[int] = Counter()  # outcomes recorded by runs themselves
        self.is_away = False

    def draw_faults(self, span: float) -> None:
        rng = self.world.random
        for node in range(self.nodes):
            at = rng.expovariate(1 / NODE_LIFE_SECONDS)
            while at < span:
                self.world.at(at, lambda node=node: self._fail(node))  # type: ignore[misc]
                at += REPAIR_SECONDS + rng.expovariate(1 / NODE_LIFE_SECONDS)
        for _ in range(OUTAGES_A_MONTH):
            at = rng.uniform(0, span)
            self.world.at(at, lambda: setattr(self, "is_away", True))
            self.world.at(at + OUTAGE_SECONDS, lambda: setattr(self, "is_away", False))

    # The executor's verbs.

    def capabilities(self) -> Capabilities:
        slots = {RunKind.CHECK: CHECK_SLOTS, RunKind.SOLVE: self.gpus}
        return Capabilities(slots=slots, isolation="pod", gpus=self.gpus, enforced=frozenset())

    def ensure(self, spec: RunSpec) -> None:
        self._answer()
        if spec.run_id in self.held:
            return
        index = int(spec.stage.url.split("/")[-2])
        seen = Observation(run_id=spec.run_id, phase=Phase.QUEUED, message="Waiting for a node.")
        pod = self.held[spec.run_id] = Pod(spec, index, seen)
        if spec.kind is RunKind.CHECK:
            self._start(pod)
        else:
            self.pending.append(pod)
            self._place()
        if self.world.random.random() < CRASH:
            raise Crash

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        self.counts["rounds without the cluster"] += self.is_away
        self._answer()
        absent = [i for i in run_ids if i not in self.held]
        return [
            *(pod.seen for pod in self.held.values()),
            *(Observation(run_id=i, phase=Phase.ABSENT) for i in absent),
        ]

    def cancel(self, run_id: str) -> None:
        self._answer()
        pod = self.held.get(run_id)
        if pod is not None and pod.seen.phase is not Phase.ENDED:
            self._end(pod, End.CANCELED, "It was deleted.")

    def forget(self, run_id: str) -> None:
        self._answer()
        self.held.pop(run_id, None)

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        return b""

    def _answer(self) -> None:
        if self.is_away:
            raise PlatformError("cluster-unavailable", "The cluster's API does not answer.")

    # What its parts do.

    def _place(self) -> None:
        while self.pending:
            nodes = [n for n in range(self.nodes) if not self.down[n] and self.free[n]]
            if not nodes:
                return
            pod = self.pending.popleft()
            if pod.seen.phase is Phase.ENDED:
                continue
            pod.node = max(nodes, key=lambda n: self.free[n])
            self.free[pod.node] -= 1
            self._start(pod)

    def _start(self, pod: Pod) -> None:
        world, rng = self.world, self.world.random
        pod.began = world.now
        self._see(pod, Phase.STARTING, "The cluster starts the run's pod.")
        begin = world.now + rng.lognormvariate(1.5, 0.7)  # an image that is there, or not
        world.at(begin, lambda: self._begin(pod))
        if pod.spec.kind is RunKind.CHECK:
            seconds = rng.uniform(10, 60)
        else:
            budget = pod.spec.solve.budget_seconds
            seconds = budget * (1.0 if rng.random() < 0.9 else rng.uniform(0.1, 1.0)) + 45.0
            if rng.random() < EVICTED:
                world.at(begin + rng.uniform(0, seconds), lambda: self._evict(pod))
        world.at(begin + seconds, lambda: self._finish(pod))

    def _begin(self, pod: Pod) -> None:
        if self.held.get(pod.spec.run_id) is not pod or pod.seen.phase is Phase.ENDED:
            return
        self._see(pod, Phase.RUNNING, "The solution is at work.")
        asked = self.world.asked[pod.index]
        if pod.spec.kind is RunKind.SOLVE and asked.began is None:
            asked.began = self.world.now

    def _see(self, pod: Pod, phase: Phase, message: str, end: End | None = None) -> None:
        pod.seen = Observation(run_id=pod.spec.run_id, phase=phase, message=message, end=end)

    def _end(self, pod: Pod, end: End, message: str) -> None:
        self._see(pod, Phase.ENDED, message, end)
        self._leave(pod)

    def _leave(self, pod: Pod) -> None:
        """Its GPU is free again."""
        if pod.node is None:
            return
        self.busy.append((pod.began, self.world.now))
        if not self.down[pod.node]:
            self.free[pod.node] += 1
        pod.node = None
        self._place()

    def _evict(self, pod: Pod) -> None:
        if self.held.get(pod.spec.run_id) is pod and pod.seen.phase is not Phase.ENDED:
            self.counts["pods evicted"] += 1
            self._end(pod, End.KILLED, "The cluster took the run's node away.")

    def _fail(self, node: int) -> None:
        """Its pods are gone, half of the time without a word, and go on where nobody sees them."""
        self.counts["nodes failed"] += 1
        silent = self.world.random.random() < 0.5
        pods = [pod for pod in self.held.values() if pod.node == node]
        self.down[node], self.free[node] = True, 0
        for pod in pods:
            self.counts["pods lost with their node"] += 1
            if silent:
                del self.held[pod.spec.run_id]
                self._leave(pod)
            else:
                self._end(pod, End.NODE_LOST, "The node went away.")
        self.down_seconds += REPAIR_SECONDS
        self.world.at(self.world.now + REPAIR_SECONDS, lambda: self._repair(node))

    def _repair(self, node: int) -> None:
        self.down[node], self.free[node] = False, GPUS_OF_A_NODE
        self._place()

    # What the programs of a pod do.

    def _finish(self, pod: Pod) -> None:
        is_seen = self.held.get(pod.spec.run_id) is pod
        if is_seen and pod.seen.phase is Phase.ENDED:
            return  # killed before
        rng = random.Random(f"{self.world.options.seed} {pod.index} {pod.spec.kind}")
        end, message = End.OK, "The outcome is recorded."
        try:
            end, message = self._record(pod, rng.random())
        except PlatformError:
            self.counts["late results refused"] += 1
        if is_seen:
            self._end(pod, end, message)

    def _record(self, pod: Pod, chance: float) -> tuple[End, str]:
        """The outcome as ``publish`` records it, or how the pod ends without."""
        world, run_id, token = self.world, pod.spec.run_id, pod.spec.publish.token
        asked = world.asked[pod.index]
        if pod.spec.kind is RunKind.CHECK:
            error = REJECTION if chance < REJECTED else None
            with world.database.write() as session:
                service.finish_check(session, run_id, token, {"findings": []}, error)
            return End.OK, "The outcome is recorded."
        with world.database.write() as session:
            service.record_point(session, run_id, token, POINT)
        if chance < AT_FAULT["oom"]:
            return End.OOM, "The solution used more memory than it may."
        fails = chance < sum(AT_FAULT.values())
        with world.database.write() as session:
            points = repository.list_points(session, run_id)
            result = None if fails else service.summarize(points, "", asked.budget)
            error = FAULT if fails else None
            service.finish_solve(session, run_id, token, result=result, error=error)
        self.ended[pod.index] += 1
        self.served.append((asked.user, pod.began, world.now))
        return End.OK, "The outcome is recorded."

    def measure_use(self, span: float) -> dict:
        """GPU seconds at work over those there were; of the cluster, for the simulation's span."""
        busy = sum(max(0.0, min(end, span) - begin) for begin, end in self.busy)
        useful = sum(max(0.0, min(end, span) - begin) for _, begin, end in self.served)
        there = self.gpus * span - self.down_seconds * GPUS_OF_A_NODE
        return {
            "busy": round(busy / (self.gpus * span), 4),
            "busy_of_what_was_up": round(busy / there, 4),
            "spent_on_runs_that_counted": round(useful / busy, 4),
        }
