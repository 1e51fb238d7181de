"""What a Job and its pods say about a run.

A Job alone would not do: after a pod's deadline, its eviction or a kill for memory it only says
that its pod failed (``BackoffLimitExceeded``); how it came to that stands in the pod's status.
"""

from __future__ import annotations

from typing import Any

from service.executors.base import End, Observation, Phase

# Waiting reasons of a container that will not go away by waiting, in words.
STUCK = {
    "ImagePullBackOff": "The worker's image cannot be fetched",
    "ErrImagePull": "The worker's image cannot be fetched",
    "InvalidImageName": "The worker's image has no valid name",
    "ErrImageNeverPull": "The worker's image is not on the node",
    "CreateContainerConfigError": "The cluster cannot set up the run's container",
    "CreateContainerError": "The cluster cannot make the run's container",
}
AT_WORK = {
    "stage": "Fetching and unpacking the data.",
    "solve": "The solution is at work.",
    "publish": "Storing the results.",
}
NODE_REASONS = frozenset({"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity"})
KILLED_EXIT = 137


def observe_job(run_id: str, job: Any, pods: list[Any]) -> Observation:
    """One observation out of a ``V1Job`` and the ``V1Pod`` objects of its run."""
    pod = max(pods, key=lambda p: p.metadata.creation_timestamp, default=None)
    if job.metadata.deletion_timestamp is not None:
        return Observation(run_id=run_id, phase=Phase.RUNNING, message="The run is being ended.")
    if pod is None:
        return _observe_without_pod(run_id, job)
    seen = Observation(
        run_id=run_id,
        phase=Phase.STARTING,
        started_at=pod.status.start_time,
        where=f"pod {pod.metadata.name} on {pod.spec.node_name or 'no node yet'}",
    )
    if pod.status.phase == "Succeeded":
        return seen.model_copy(update={"phase": Phase.ENDED, "end": End.OK, "exit_code": 0})
    if pod.status.phase == "Failed":
        end, code, message = _judge(pod)
        return seen.model_copy(
            update={"phase": Phase.ENDED, "end": end, "exit_code": code, "message": message}
        )
    phase, message = _find_progress(pod)
    return seen.model_copy(update={"phase": phase, "message": message})


def _observe_without_pod(run_id: str, job: Any) -> Observation:
    for condition in job.status.conditions or ():
        if condition.type == "Failed" and condition.status == "True":
            end = End.KILLED if condition.reason == "PodFailurePolicy" else End.INFRA
            return Observation(
                run_id=run_id,
                phase=Phase.ENDED,
                end=end,
                message=f"The cluster gave the run up: {condition.message or condition.reason}",
            )
        if condition.type == "Complete" and condition.status == "True":
            return Observation(run_id=run_id, phase=Phase.ENDED, end=End.OK)
    if job.spec.suspend:
        message = "Waiting in the cluster's queue."
    else:
        message = "Waiting for the cluster to make room; its quota may be used up."
    return Observation(run_id=run_id, phase=Phase.QUEUED, message=message)


def _find_progress(pod: Any) -> tuple[Phase, str]:
    """How far a pod has come that has not ended."""
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return (
                Phase.QUEUED,
                f"Waiting for a node that is free: {condition.message or 'none is'}",
            )
    for status in _statuses(pod):
        waiting = status.state and status.state.waiting
        if waiting and waiting.reason in STUCK:
            return Phase.STARTING, f"{STUCK[waiting.reason]}: {waiting.message or waiting.reason}"
    running = {s.name for s in _statuses(pod) if s.state and s.state.running}
    for name in ("publish", "solve", "stage"):
        if name in running:
            return Phase.RUNNING, AT_WORK[name]
    if "score" in running and _has_failed(pod, "solve"):
        return Phase.RUNNING, "The solution was killed; what it left is being stored."
    return Phase.STARTING, "The cluster starts the run's pod."


Verdict = tuple[End, int | None, str]


def _judge(pod: Any) -> Verdict:
    """How a failed pod came to its end, the exit code of the program it failed with, and words."""
    for condition in pod.status.conditions or ():
        if condition.type == "DisruptionTarget" and condition.status == "True":
            why = condition.message or condition.reason
            if pod.status.reason != "Evicted":
                return End.KILLED, None, f"The cluster took the run's node away: {why}"
    return _judge_reason(pod.status.reason or "", pod.status.message or "") or _judge_programs(pod)


def _judge_reason(reason: str, said: str) -> Verdict | None:
    """What ended the pod as a whole."""
    if reason == "DeadlineExceeded":
        return End.TIMEOUT, None, "The run took longer than all its limits together."
    if reason == "Evicted" and ("ephemeral" in said or "emptyDir" in said):
        return End.DISK, None, f"The run used more disk than it may: {said}"
    if reason == "Evicted":
        return End.KILLED, None, f"The node could not keep the run: {said}"
    if reason in NODE_REASONS:
        return End.NODE_LOST, None, f"The node went away: {said or reason}"
    return None


def _judge_programs(pod: Any) -> Verdict:
    """Which of its programs failed; the sidecar only ends because the others did."""
    ended = [(s.name, s.state.terminated) for s in _statuses(pod) if s.state and s.state.terminated]
    failed = [(n, t) for n, t in ended if t.exit_code != 0 and n != "score"]
    if not failed:
        return End.INFRA, None, f"The pod failed: {pod.status.message or 'no reason is known'}"
    name, terminated = failed[0]
    code: int = terminated.exit_code
    if terminated.reason == "OOMKilled" and name == "solve":
        return End.OOM, code, "The solution used more memory than it may."
    if terminated.reason == "OOMKilled":
        return End.INFRA, code, f"The program {name!r} ran out of memory."
    if code == KILLED_EXIT:
        return End.KILLED, code, f"The program {name!r} was killed."
    return End.INFRA, code, f"The program {name!r} ended with code {code}."


def _has_failed(pod: Any, name: str) -> bool:
    ends = [s.state.terminated for s in _statuses(pod) if s.name == name and s.state]
    return any(end is not None and end.exit_code != 0 for end in ends)


def _statuses(pod: Any) -> list[Any]:
    return [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
