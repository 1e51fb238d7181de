"""The Kubernetes objects of a run: one Job, which is one pod of four programs in turn.

`stage` and `solve` are init containers and `publish` is the main one; `score` is a native sidecar
(an init container that is restarted), so that it follows `solve` from beside it. `solve` holds
neither a token nor a URL. Retries are new runs, decided in SQL; so a Job has one pod, and the time
limit stands on the pod: on the Job it would run while the pod waits for a GPU.
"""

from __future__ import annotations

from typing import Any

from service.executors.base import RunKind, RunSpec
from service.settings import KubernetesSettings

Object = dict[str, Any]

RUN_LABEL = "autodl/run"
TENANT_LABEL = "autodl/tenant"
KIND_LABEL = "autodl/kind"
MANAGED = {"app.kubernetes.io/managed-by": "autodl-self-service"}
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"

FOLDER, WEIGHTS = "/run/adl", "/weights"
PROGRAMS = ("stage", "score", "solve", "publish")
# What each program sees of the pod's volumes, and whether it may write there.
MOUNTS: dict[str, dict[str, bool]] = {
    "stage": {"bundle": True, "labels": True, "stage": True},
    "score": {
        "bundle": False,
        "labels": False,
        "output": False,
        "stage": False,
        "solve": False,
        "score": True,
        "publish": False,
    },
    "solve": {"bundle": False, "output": True, "stage": False, "solve": True},
    "publish": {
        "bundle": False,
        "labels": False,
        "output": False,
        "stage": False,
        "solve": False,
        "score": False,
        "publish": True,
    },
}
DATA_VOLUMES = frozenset({"bundle", "labels", "output"})  # the others hold a few JSON files
GRACE_SECONDS = 120  # for `score` to store what a killed `solve` left; the others end at once
# An evicted pod is not repeated under the same name: its run is judged, and another one made. The
# rule puts the truth on the Job too. (``status`` must be said before Kubernetes 1.36.)
DISRUPTED = {
    "action": "FailJob",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}
EVIDENCE_SECONDS = 86_400  # how long an ended Job stays if nobody removes it
EVICTION_SECONDS = 60  # a node that does not answer loses its pods after this

USER = 10001
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def build_job(spec: RunSpec, tasks: dict[str, str], settings: KubernetesSettings) -> Object:
    """The ``batch/v1`` Job of a run; ``tasks`` are what its programs are told, as JSON."""
    labels = {
        **MANAGED,
        RUN_LABEL: spec.run_id,
        TENANT_LABEL: spec.tenant,
        KIND_LABEL: spec.kind.value,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": spec.name,
            "namespace": settings.namespace,
            "labels": labels | _queue(spec.kind, settings),
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "suspend": bool(settings.queue),  # Kueue begins it
            "ttlSecondsAfterFinished": EVIDENCE_SECONDS,
            "podReplacementPolicy": "Failed",  # never two pods of one run at work
            "podFailurePolicy": {"rules": [DISRUPTED]},
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(spec, tasks, settings),
            },
        },
    }


def _queue(kind: RunKind, settings: KubernetesSettings) -> dict[str, str]:
    """The labels by which Kueue knows where a Job waits; none without it."""
    queue, priority = settings.queue, settings.queue_priority
    if kind is RunKind.CHECK:
        queue = settings.check_queue or queue
        priority = settings.check_queue_priority or priority
    asked = {QUEUE_LABEL: queue, PRIORITY_LABEL: priority}
    return {label: value for label, value in asked.items() if settings.queue and value}


def _pod(spec: RunSpec, tasks: dict[str, str], settings: KubernetesSettings) -> Object:
    solving = spec.kind is RunKind.SOLVE
    containers = {name: _container(name, spec, tasks[name], settings) for name in PROGRAMS}
    containers["score"]["restartPolicy"] = "Always"  # which makes it a sidecar
    before = ("stage", "score", "solve") if solving else ("stage", "solve")
    pod: Object = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(spec.backstop_seconds),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "tolerations": [
            _tolerate("node.kubernetes.io/not-ready"),
            _tolerate("node.kubernetes.io/unreachable"),
        ],
        "initContainers": [containers[name] for name in before],
        "containers": [containers["publish"]],
        "volumes": _volumes(settings),
    }
    if settings.runtime_class:
        pod["runtimeClassName"] = settings.runtime_class
    if settings.priority_class:
        pod["priorityClassName"] = settings.priority_class
    if settings.pull_secret:
        pod["imagePullSecrets"] = [{"name": settings.pull_secret}]
    if settings.node_selector and solving:
        pod["nodeSelector"] = dict(settings.node_selector)
    if solving and settings.gpu_resource:
        pod["tolerations"].append({"key": settings.gpu_resource, "operator": "Exists"})
    return pod


def _container(name: str, spec: RunSpec, task: str, settings: KubernetesSettings) -> Object:
    heavy = name == "solve"
    memory = settings.solve_memory if heavy else settings.program_memory
    weights = {"name": "weights", "mountPath": WEIGHTS, "readOnly": True}
    limits = {"memory": memory, "ephemeral-storage": settings.scratch}
    requests = {"cpu": settings.solve_cpu if heavy else settings.program_cpu, **limits}
    if heavy and spec.kind is RunKind.SOLVE and settings.gpu_resource:
        limits[settings.gpu_resource] = requests[settings.gpu_resource] = "1"
    return {
        "name": name,
        "image": settings.image,
        "command": ["python", "-P", "-m", "service.worker.pod", name],
        "env": [
            {"name": "AUTODL_TASK", "value": task},
            {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 a volume of this container alone
            {"name": "HOME", "value": "/tmp"},  # noqa: S108
        ],
        "resources": {"requests": requests, "limits": limits},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            *(
                {"name": volume, "mountPath": f"{FOLDER}/{volume}", "readOnly": not writes}
                for volume, writes in MOUNTS[name].items()
            ),
            {"name": "tmp", "mountPath": "/tmp", "subPath": name},  # noqa: S108
            *([{"name": "shm", "mountPath": "/dev/shm"}] if heavy else []),  # noqa: S108
            *([weights] if settings.weights_claim and name != "stage" else []),
        ],
    }


def _volumes(settings: KubernetesSettings) -> list[Object]:
    claim = {"claimName": settings.weights_claim, "readOnly": True}
    state = sorted({name for mounts in MOUNTS.values() for name in mounts} - DATA_VOLUMES)
    return [
        *(
            {"name": name, "emptyDir": {"sizeLimit": settings.scratch}}
            for name in sorted(DATA_VOLUMES)
        ),
        *({"name": name, "emptyDir": {"sizeLimit": "64Mi"}} for name in state),
        {"name": "tmp", "emptyDir": {"sizeLimit": settings.scratch}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
        *([{"name": "weights", "persistentVolumeClaim": claim}] if settings.weights_claim else []),
    ]


def _tolerate(key: str) -> Object:
    return {
        "key": key,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": EVICTION_SECONDS,
    }
