"""A stand-in for the API server of a Kubernetes cluster: Jobs, their pods, and the faults of both.

It answers the requests that ``service.executors.kubernetes`` makes as the real one does (names that
are taken, lists in pages that grow too old, deletion in the foreground). What controllers and nodes
do happens when a test says so; `run_pod` carries a pod out, its containers as processes.
"""

import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
from kubernetes import client

Object = dict[str, Any]
RUN_LABEL = "autodl/run"


class Cluster:
    """The objects of one namespace."""

    def __init__(self) -> None:
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.logs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: list[int] = []  # statuses of the next answers; 0 cuts the connection
        self.page = 500
        self.quota: int | None = None  # a ResourceQuota of count/jobs.batch
        self.watches: list[Queue[Object | None]] = []  # of pods, under way; None cuts one
        self._clock = count()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.cut_watches()
        self._server.shutdown()
        self._server.server_close()

    def connect(self) -> client.ApiClient:
        host, port = self._server.server_address[:2]
        configuration = client.Configuration(host=f"http://{host!s}:{port}")
        configuration.retries = 0
        return client.ApiClient(configuration)

    def now(self) -> str:
        """Later than anything before."""
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._clock))
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    # What the cluster's own parts do.

    def schedule(self, run_id: str, **status: Any) -> Object:
        """The Job controller makes the Job's pod."""
        job = self.jobs[f"adl-{run_id}"]
        job["spec"]["suspend"] = False
        template = copy.deepcopy(job["spec"]["template"])
        name = f"{job['metadata']['name']}-{len(self.pods)}"
        pod = {
            "metadata": {
                "name": name,
                "labels": template["metadata"]["labels"],
                "creationTimestamp": self.now(),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"} | status,
        }
        self.pods[name] = pod
        self._tell("ADDED", pod)
        return pod

    def change(self, run_id: str, **status: Any) -> None:
        """The kubelet reports of the run's newest pod."""
        pod = self.newest(run_id)
        pod["status"] |= status
        self._tell("MODIFIED", pod)

    def _tell(self, what: str, pod: Object) -> None:
        for watch in self.watches:
            watch.put({"type": what, "object": pod})

    def newest(self, run_id: str) -> Object:
        pods = [p for p in self.pods.values() if p["metadata"]["labels"][RUN_LABEL] == run_id]
        return max(pods, key=lambda p: p["metadata"]["creationTimestamp"])

    def lose(self, run_id: str) -> None:
        """Somebody deletes the Job, and its pods go with it."""
        self.jobs.pop(f"adl-{run_id}", None)
        for name, pod in list(self.pods.items()):
            if pod["metadata"]["labels"][RUN_LABEL] == run_id:
                self._tell("DELETED", self.pods.pop(name))

    def cut_watches(self) -> None:
        """The connections of all watches break."""
        for watch in self.watches:
            watch.put(None)

    def collect(self) -> None:
        """Deletion in the foreground comes to its end."""
        for job in list(self.jobs.values()):
            if job["metadata"].get("deletionTimestamp"):
                self.lose(job["metadata"]["labels"][RUN_LABEL])

    # What the API server answers.

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.requests.append(f"{method} {path}")
        parts = path.strip("/").split("/")
        kind, name = (parts[5], parts[6:]) if parts[0] == "apis" else (parts[4], parts[5:])
        if kind == "jobs" and method == "POST":
            return self._create(body)
        if kind == "jobs" and method == "DELETE":
            return self._delete(
                name[0], (body or {}).get("propagationPolicy") or query["propagationPolicy"]
            )
        if kind == "pods" and name[1:] == ["log"]:
            return (200, self.logs[name[0]]) if name[0] in self.logs else _failure(404, "NotFound")
        return self._list(self.jobs if kind == "jobs" else self.pods, query)

    def _create(self, job: Object) -> tuple[int, Any]:
        name = job["metadata"]["name"]
        if name in self.jobs:
            return _failure(409, "AlreadyExists")
        if self.quota is not None and len(self.jobs) >= self.quota:
            why = f'jobs.batch "{name}" is forbidden: exceeded quota: runs, used: {self.quota}'
            return _failure(403, "Forbidden", why)
        job["metadata"]["creationTimestamp"] = self.now()
        self.jobs[name] = job | {"status": {}}
        return 201, self.jobs[name]

    def _delete(self, name: str, policy: str) -> tuple[int, Any]:
        if name not in self.jobs:
            return _failure(404, "NotFound")
        job = self.jobs[name]
        if policy == "Foreground":
            job["metadata"].setdefault("deletionTimestamp", self.now())
        else:
            self.lose(job["metadata"]["labels"][RUN_LABEL])
        return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _list(self, objects: dict[str, Object], query: dict[str, str]) -> tuple[int, Any]:
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        found = [o for o in objects.values() if wanted.items() <= o["metadata"]["labels"].items()]
        start = int(query.get("continue", "0"))
        size = min(self.page, int(query.get("limit", "500")))
        rest = str(start + size) if start + size < len(found) else ""
        return 200, {"items": found[start : start + size], "metadata": {"continue": rest}}


def run_pod(
    cluster: Cluster, run_id: str, folder: Path, *, bomb: Callable[[], object] | None = None
) -> None:
    """Carry out the run's pod: its containers in turn as processes, its volumes as folders.

    Once ``bomb`` is true the kernel kills all of ``solve`` for memory, and the pod ends for that.
    """
    pod = cluster.newest(run_id)
    spec = pod["spec"]
    for volume in spec["volumes"]:
        (folder / volume["name"]).mkdir(parents=True, exist_ok=True)
    sidecars: list[subprocess.Popen[bytes]] = []
    ends = []
    for container in [*spec["initContainers"], *spec["containers"]]:
        process = _start(container, folder)
        if container.get("restartPolicy") == "Always":
            sidecars.append(process)
            continue
        reason = "Error"
        if container["name"] == "solve" and bomb is not None:
            wait_until(bomb, 90)
            reason = "OOMKilled"
            inside = psutil.Process(process.pid)
            for victim in [inside, *inside.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # it went with its parent
                    victim.kill()
        output, _ = process.communicate(timeout=150)
        cluster.logs[pod["metadata"]["name"]] = output
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        state = {"terminated": {"exitCode": code, "reason": reason}}
        ends.append({"name": container["name"], "state": state})
        if process.returncode != 0:
            break
    for process in sidecars:
        process.terminate()
        process.communicate(timeout=150)
    good = all(end["state"]["terminated"]["exitCode"] == 0 for end in ends)
    cluster.change(
        run_id,
        phase="Succeeded" if good else "Failed",
        initContainerStatuses=[_full(e) for e in ends],
    )


def _start(container: Object, folder: Path) -> subprocess.Popen[bytes]:
    (task,) = (e["value"] for e in container["env"] if e["name"] == "AUTODL_TASK")
    tmp = folder / "tmp" / container["name"]
    tmp.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 as an image would have one
        "AUTODL_TASK": task.replace("/run/adl/", f"{folder}/"),
        "TMPDIR": str(tmp),
    }
    command = [sys.executable, *container["command"][1:]]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp
    )


def _full(status: Object) -> Object:
    """With the fields that every status has."""
    return status | {"image": "", "imageID": "", "ready": False, "restartCount": 0}


def _failure(status: int, reason: str, message: str = "") -> tuple[int, Any]:
    answer = {"kind": "Status", "status": "Failure", "reason": reason, "code": status}
    return status, answer | {"message": message}


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if cluster.faults:
                fault = cluster.faults.pop(0)
                if fault == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._send(*_failure(fault, "Injected"))
                return
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            if "watch" in query:
                self._stream()
                return
            self._send(*cluster.answer(self.command, url.path, query, body))

        def _stream(self) -> None:
            """What is there, then what happens, until the connection is cut."""
            watch: Queue[Object | None] = Queue()
            for pod in cluster.pods.values():
                watch.put({"type": "ADDED", "object": pod})
            cluster.watches.append(watch)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while (event := watch.get()) is not None:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            cluster.watches.remove(watch)
            self.close_connection = True

        def _send(self, status: int, value: Any) -> None:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(value, bytes) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 the base class's names

    return Handler


def wait_until(true: Any, seconds: float = 60.0) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def each_program(job: Object) -> Iterator[Object]:
    """The containers of a Job's pod."""
    spec = job["spec"]["template"]["spec"]
    yield from [*spec["initContainers"], *spec["containers"]]
