"""Runs on a Kubernetes cluster: a Job each.

The truth is read from the Jobs and their pods together, by listing both; a watch, which may lose
events, only tells when to look. A pod knows what its Job does not: that it was killed for memory,
had its time, or was evicted. The service needs the verbs create, list and delete on jobs, list and
watch on pods, and get on their logs.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as NoAnswerError

from autodl.errors import PlatformError
from service import log
from service.executors.base import Capabilities, Observation, Phase, RunKind, RunSpec
from service.executors.jobs import FOLDER, MANAGED, PROGRAMS, RUN_LABEL, WEIGHTS, build_job
from service.executors.pauses import Pauses
from service.executors.pods import observe_job
from service.executors.tasks import Places, build_tasks
from service.settings import KubernetesSettings, Settings
from service.worker.tasks import ReportTo

SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED.items())
PAGE = 500  # objects in one answer
TIMEOUT_SECONDS = 10  # between two pieces of an answer, the first one too
WATCH_SECONDS = 300  # before the cluster ends a watch in which nothing happens
WATCH_PAUSE_SECONDS = 1.0
FORBIDDEN, NOT_FOUND, CONFLICT, GONE = 403, 404, 409, 410
QUOTA = "exceeded quota"  # in what the cluster answers where a ResourceQuota is used up


class KubernetesExecutor:
    """See ``Executor``."""

    name = "kubernetes"

    def __init__(
        self, settings: Settings, cluster: KubernetesSettings, api: client.ApiClient | None = None
    ) -> None:
        self.settings = settings
        self.cluster = cluster
        self._api = api
        self._pauses = Pauses()  # of each verb

    @cached_property
    def _jobs(self) -> Any:
        return client.BatchV1Api(self._connection)

    @cached_property
    def _pods(self) -> Any:
        return client.CoreV1Api(self._connection)

    @cached_property
    def _connection(self) -> client.ApiClient:
        return self._api or _connect(
            self.cluster
        )  # late: a process that only answers has no rights

    def capabilities(self) -> Capabilities:
        """As many runs as the operator allows; the cluster isolates and limits them."""
        return Capabilities(
            slots={RunKind.CHECK: self.cluster.check_slots, RunKind.SOLVE: self.cluster.slots},
            isolation="pod",
            gpus=self.cluster.slots if self.cluster.gpu_resource else 0,
            enforced=frozenset({"time", "memory", "disk", "network"}),
        )

    def ensure(self, spec: RunSpec) -> None:
        """Create the run's Job; that there is one of its name already is success."""
        job = build_job(spec, self._tasks(spec), self.cluster)
        with self._asking("create"):
            try:
                self._jobs.create_namespaced_job(
                    self.cluster.namespace, job, _request_timeout=TIMEOUT_SECONDS
                )
            except ApiException as error:
                if error.status == FORBIDDEN and QUOTA in str(error.body):
                    raise _full() from error
                if error.status != CONFLICT:
                    raise

    def observe(self, run_ids: Collection[str]) -> list[Observation]:
        """List the Jobs, then the pods: what is made in between is seen at the next look."""
        jobs = {_run_id(job): job for job in self._list(self._jobs.list_namespaced_job)}
        pods: dict[str, list[Any]] = {}
        for pod in self._list(self._pods.list_namespaced_pod):
            pods.setdefault(_run_id(pod), []).append(pod)
        seen = [observe_job(run_id, job, pods.get(run_id, [])) for run_id, job in jobs.items()]
        absent = set(run_ids) - jobs.keys()
        return [*seen, *(Observation(run_id=i, phase=Phase.ABSENT) for i in sorted(absent))]

    def watch(self, wake: threading.Event, over: threading.Event) -> None:
        """See ``service.pace.Watching``: each event of a pod wakes.

        A watch that is cut, hangs, or is not allowed is begun anew after a pause; the pods that are
        there are told again then. Source: kubernetes-client/python 801, 728, 2223.
        """
        while not over.is_set():
            try:
                watcher: Any = cast(Any, watch).Watch()
                events = watcher.stream(
                    self._pods.list_namespaced_pod,
                    self.cluster.namespace,
                    label_selector=SELECTOR,
                    timeout_seconds=WATCH_SECONDS,
                    _request_timeout=(TIMEOUT_SECONDS, WATCH_SECONDS + TIMEOUT_SECONDS),
                )
                for _ in events:
                    wake.set()
                    if over.is_set():
                        return
            except (ApiException, HTTPError, OSError, ValueError, PlatformError) as error:
                log.get_logger().debug("watch.ended", reason=type(error).__name__)
            over.wait(WATCH_PAUSE_SECONDS)

    def cancel(self, run_id: str) -> None:
        """Delete the Job and, before it, its pod."""
        self._delete(run_id, "Foreground")

    def forget(self, run_id: str) -> None:
        """Delete the Job, and let the cluster collect what is left of its pod."""
        self._delete(run_id, "Background")

    def logs(self, run_id: str, tail_bytes: int) -> bytes:
        """The end of what the solution printed, as long as its pod is there.

        A process without rights in the cluster sees nothing here; `score` sends the log itself.
        """
        try:
            self._pods  # noqa: B018 connects
        except PlatformError:
            return b""
        with self._asking("logs"):
            pods = self._pods.list_namespaced_pod(
                self.cluster.namespace,
                label_selector=f"{RUN_LABEL}={run_id}",
                _request_timeout=TIMEOUT_SECONDS,
            ).items
            for pod in sorted(pods, key=lambda p: p.metadata.creation_timestamp, reverse=True):
                try:
                    answer = self._pods.read_namespaced_pod_log(
                        pod.metadata.name,
                        self.cluster.namespace,
                        container="solve",
                        tail_lines=max(1, tail_bytes // 20),
                        _preload_content=False,
                        _request_timeout=TIMEOUT_SECONDS,
                    )
                except ApiException as error:
                    if error.status in (400, NOT_FOUND):  # not started yet, or gone
                        continue
                    raise
                return bytes(answer.data[-tail_bytes:])
        return b""

    def _tasks(self, spec: RunSpec) -> dict[str, str]:
        """As JSON; every path is one of the pod's, and the code that of the worker's image."""
        root = Path(FOLDER)
        solving = spec.kind is RunKind.SOLVE
        places = Places(
            bundle=root / "bundle/data",
            labels=root / "labels/data",
            output=root / "output/data",
            results={name: root / name for name in PROGRAMS},
            solution=self.settings.get_solution(spec.solve.solution) if solving else None,
        )
        report_to = ReportTo(
            run_id=spec.run_id,
            token=spec.publish.token,
            prefix=spec.publish.prefix,
            api_url=self.cluster.api_url,
        )
        gpu = "0" if solving and self.cluster.gpu_resource else None
        memory = self.settings.memory_bytes
        settings = self.settings
        if self.cluster.weights_claim:  # which lies where no process of the service sees it
            settings = settings.model_copy(update={"weights": WEIGHTS})
        tasks = build_tasks(spec, places, settings, report_to, gpu=gpu, memory_bytes=memory)
        wall = {"require_isolation": "none"}  # the pod is the wall, more than anyone can ask for
        tasks["solve"] = tasks["solve"].model_copy(update=wall)
        if solving:
            own = places.results["score"]
            change = {"folder": own, "result": own / "publish.result.json", "final": False}
            salvage = tasks["publish"].model_copy(update=change)
            tasks["score"] = tasks["score"].model_copy(update={"salvage": salvage})
        return {name: task.model_dump_json() for name, task in tasks.items()}

    def _list(self, call: Any) -> list[Any]:
        """Every object of ours; a list that grew too old on the way is begun anew."""
        with self._asking("list"):
            while True:
                try:
                    return list(self._list_pages(call))
                except ApiException as error:
                    if error.status != GONE:
                        raise

    def _list_pages(self, call: Any) -> Iterator[Any]:
        token = None
        while True:
            page = call(
                self.cluster.namespace,
                label_selector=SELECTOR,
                limit=PAGE,
                _continue=token,
                _request_timeout=TIMEOUT_SECONDS,
            )
            yield from page.items
            if not (token := page.metadata._continue):
                return

    @contextmanager
    def _asking(self, verb: str) -> Iterator[None]:
        """Turn the client's words for an absent cluster into ours."""
        self._pauses.check(verb)
        try:
            yield
        except ApiException as error:
            raise _unavailable(f"{error.status} {error.reason}") from error
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", error)  # of the last try
            failure = _unavailable(type(reason).__name__)
            if isinstance(reason, NoAnswerError):
                self._pauses.begin(verb, failure)
            raise failure from error

    def _delete(self, run_id: str, policy: str) -> None:
        with self._asking("delete"):
            try:
                self._jobs.delete_namespaced_job(
                    f"adl-{run_id}",
                    self.cluster.namespace,
                    propagation_policy=policy,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            except ApiException as error:
                if error.status != NOT_FOUND:
                    raise


def _connect(cluster: KubernetesSettings) -> client.ApiClient:
    configuration = client.Configuration()
    loader: Any = config
    try:
        if cluster.kubeconfig is not None:
            loader.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        else:
            loader.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise PlatformError(
            "cluster-unavailable",
            f"This process cannot speak to a Kubernetes cluster: {error}",
            hint="Give its pod a service account, or set AUTODL_KUBERNETES_KUBECONFIG.",
        ) from error
    configuration.retries = 0  # the next round of the reconciler is the retry
    return client.ApiClient(configuration)


def _run_id(item: Any) -> str:
    return str((item.metadata.labels or {}).get(RUN_LABEL, item.metadata.name))


def _full() -> PlatformError:
    return PlatformError(
        "no-free-slot",
        "The cluster's quota is used up; the run starts when there is room.",
        hint="It is asked again. The operator can raise the ResourceQuota of the runs' namespace.",
    )


def _unavailable(why: str) -> PlatformError:
    return PlatformError(
        "cluster-unavailable",
        f"The Kubernetes cluster did not do what it was asked to: {why}.",
        hint="It is asked again; if it lasts, see the cluster's own events and the service's log.",
    )
