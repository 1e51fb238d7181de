"""A real service as a process, spoken to by our client and by the command line."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import numpy as np
import psutil
import pytest

from autodl.bundle import sha256_file
from autodl.errors import AutoDLError
from client import (
    AsyncClient,
    AuthenticationError,
    Client,
    Event,
    RefusedError,
    ServiceError,
    TransientError,
)
from service.settings import inherited_environment

ROOT = Path(__file__).resolve().parents[2]
MAX_UPLOAD_BYTES = 200_000_000
RESULTS = {
    "predictions.csv",
    "predictions.parquet",
    "predictions.json",
    "labelled/dataset.predict",
    "metrics.json",
    "curve.json",
    "curve.svg",
    "curve.png",
    "results.zip",
    "manifest.json",
}


class Service:
    """``autodl serve`` over one data directory; may be killed and started again."""

    def __init__(self, data: Path, guests: Path) -> None:
        self.data = data
        self.port = 0
        solutions = {name: str(guests / name) for name in ("linear", "savable", "sleeper")}
        self.environment = inherited_environment() | {
            "AUTODL_SOLUTIONS": json.dumps(solutions),
            "AUTODL_MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES),
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "cli.main", "serve", "--json"]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "--data", str(self.data)],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.links = json.loads(self.process.stdout.readline())
        self.port = int(self.links["url"].rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def client(self) -> Client:
        return Client(self.links["url"], (self.data / "token").read_text().strip())

    def autodl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=self.environment
            | {
                "AUTODL_URL": self.links["url"],
                "AUTODL_TOKEN_FILE": str(self.data / "token"),
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("installation"), ROOT / "tests/guests")
    service.start()
    yield service
    assert service.stop() == 0


@pytest.fixture
def zipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.make_archive(str(tmp_path / "toy"), "zip", tiny_bundle))


def test_the_client_goes_from_a_bundle_to_verified_results(service, zipped, tmp_path) -> None:
    sent: list[tuple[int, int]] = []
    told: list[Event] = []
    with service.client() as client:
        submission = client.submit(
            zipped,
            name="toy",
            budget_seconds=20,
            solution="linear",
            on_progress=lambda done, total: sent.append((done, total)),
        )
        ended = client.wait(submission.id, told.append)
        assert ended.state == "succeeded"
        assert ended.result is not None
        assert ended.result.alc is not None
        assert ended.result.alc > 0.5
        assert sent[-1] == (zipped.stat().st_size,) * 2
        kinds = [event.kind for event in told]
        assert {"state", "queue", "point", "log", "done"} == set(kinds) | {"log"}
        assert kinds[-1] == "done"
        assert [p.nauc for p in client.curve(submission.id)] == [ended.result.nauc]
        files = client.files(submission.id)
        assert RESULTS <= set(files)
        for path in files:
            client.download(submission.id, path, tmp_path / "results" / path)
        rows = (tmp_path / "results/labelled/dataset.predict").read_text().splitlines()
        assert len(rows) == 5
        manifest = json.loads((tmp_path / "results/manifest.json").read_text())
        for path, digest in manifest["files"].items():
            assert sha256_file(tmp_path / "results" / path) == digest
        assert manifest["data"]["sha256"] == submission.raw["bundle"]["sha256"]
        assert {"level", "wall", "files", "network", "memory"} == manifest["isolation"].keys()
        assert client.report(submission.id)["findings"] is not None
        assert client.list_submissions(limit=1).items[0].id == submission.id


def test_coroutines_run_it_again_share_it_and_delete_it(service, zipped, tmp_path) -> None:
    async def live() -> None:
        token = (service.data / "token").read_text().strip()
        async with AsyncClient(service.links["url"], token) as client:
            before = await client.quota()
            first = await client.submit(zipped, budget_seconds=20, solution="linear")
            again = await client.rerun(first.id)
            ends = [await client.wait(s.id) for s in (first, again)]
            assert [s.state for s in ends] == ["succeeded"] * 2
            points = [await client.curve(s.id) for s in (first, again)]
            assert points[0][0].nauc == points[1][0].nauc
            target = await client.download(again.id, "predictions.parquet", tmp_path / "p")
            assert target.read_bytes()[:4] == b"PAR1"
            used = (await client.quota()).submissions_per_day.used
            assert used == before.submissions_per_day.used + 2
            link = await client.share(again.id, seconds=600)
            assert link.token is not None
            async with AsyncClient(service.links["url"], link.token) as guest:
                assert (await guest.get(again.id)).state == "succeeded"
                with pytest.raises(AuthenticationError):
                    await guest.delete(again.id)
                await client.revoke_share(again.id, link.id)
                with pytest.raises(ServiceError):
                    await guest.get(again.id)
            until = datetime.now(UTC) + timedelta(days=1)
            kept = await client.keep_until(again.id, until)
            assert datetime.fromisoformat(kept.raw["retained_until"]) == until
            await client.delete(again.id)
            with pytest.raises(RefusedError) as caught:
                await client.get(again.id)
            assert caught.value.code == "submission-deleted"

    anyio.run(live)


def test_the_model_of_a_run_predicts_the_same_rows_alike_without_the_service(
    service, zipped, tiny_bundle, guests, tmp_path
) -> None:
    with service.client() as client:
        submission = client.submit(zipped, budget_seconds=20, solution="savable")
        assert client.wait(submission.id).state == "succeeded"
        for name in ("model.zip", "predictions.csv"):
            client.download(submission.id, name, tmp_path / name)
    command = ["predict", str(tiny_bundle), "--model", str(tmp_path / "model.zip")]
    done = service.autodl(*command, "--solution", str(guests / "savable"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "predictions.csv").read_text()


def test_raw_data_go_to_results_by_one_command(service, tmp_path) -> None:
    random = np.random.default_rng(0)
    rows = [(f"{x:.3f},{y:.3f}", "far" if x + y > 1 else "near") for x, y in random.random((60, 2))]
    text = "".join(f"{values},{label}\n" for values, label in rows)
    (tmp_path / "points.csv").write_text("x,y,label\n" + text)
    done = service.autodl(
        "submit", str(tmp_path / "points.csv"), "--budget", "20", "--solution", "linear"
    )
    assert done.returncode == 0, done.stderr
    assert "Formatted points.csv: tabular, 48 train, 12 test; 2 labels" in done.stderr
    assert "ALC so far" in done.stderr
    newest = json.loads(service.autodl("list", "--limit", "1", "--json").stdout)[0]
    assert (newest["name"], newest["state"]) == ("points", "succeeded")


def test_the_commands_do_the_same_with_data_on_stdout_only(service, zipped) -> None:
    done = service.autodl(
        "submit", str(zipped), "--budget", "20", "--solution", "linear", "--watch", "--json"
    )
    assert done.returncode == 0, done.stderr
    submission = json.loads(done.stdout)
    assert submission["state"] == "succeeded"
    assert "ALC so far" in done.stderr
    submission_id = submission["id"]
    watched = service.autodl("watch", submission_id, "--json").stdout.splitlines()
    assert json.loads(watched[-1])["event"] == "done"
    table = service.autodl("predictions", submission_id).stdout.splitlines()
    assert table[0].startswith("subset,")
    assert len(table) == 1 + 20 + 5


def test_bad_data_end_a_watch_with_the_code_for_it(service, tmp_path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"this is no zip")
    done = service.autodl("submit", str(tmp_path / "bad.zip"), "--watch")
    assert done.returncode == 3
    assert "[not-a-zip]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cancel_keeps_what_was_predicted(service, zipped) -> None:
    with service.client() as client:
        submission = client.submit(zipped, budget_seconds=300, solution="sleeper")
        began = None
        for event in client.events(submission.id):
            if event.kind == "point":
                client.cancel(submission.id)
                began = time.monotonic()
        assert began is not None
        assert time.monotonic() - began < 15
        assert client.get(submission.id).state == "canceled"
        assert len(client.curve(submission.id)) == 1


def test_a_large_upload_is_never_in_memory(service, tmp_path) -> None:
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(150_000_000)
    process = psutil.Process(service.process.pid)
    before = process.memory_info().rss
    highest = before

    def look(done: int, total: int) -> None:
        nonlocal highest
        if done % (8 * 1024 * 1024) == 0:
            highest = max(highest, process.memory_info().rss)

    with service.client() as client:
        submission = client.submit(path, on_progress=look)
        highest = max(highest, process.memory_info().rss)
        assert highest - before < 40_000_000
        assert client.wait(submission.id).state == "rejected"


def test_a_too_large_upload_is_refused_before_it_is_sent(service, tmp_path) -> None:
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 2_000_000)
    with service.client() as client, pytest.raises(RefusedError) as caught:
        client.submit(path)
    assert caught.value.code == "upload-too-large"


def test_a_watch_outlives_a_service_that_is_killed_and_started_again(
    zipped, tmp_path, guests
) -> None:
    service = Service(tmp_path / "installation", guests)
    service.start()
    told: list[Event] = []
    killed = False
    with service.client() as client:
        submission = client.submit(zipped, budget_seconds=8, solution="sleeper")
        for event in client.events(submission.id):
            told.append(event)
            if event.kind == "point" and not killed:
                killed = True
                service.stop(signal.SIGKILL)
                with pytest.raises(TransientError):
                    client.get(submission.id)
                service.start()
        ended = client.get(submission.id)
    assert service.stop() == 0
    assert ended.state == "succeeded"
    assert [e.data["index"] for e in told if e.kind == "point"] == [0]
    states = [e.data["state"] for e in told if e.kind == "state"]
    assert states == ["validating", "queued", "running", "scoring", "succeeded"]


def test_a_service_told_to_stop_ends_its_streams_and_then_itself(service, zipped) -> None:
    with service.client() as client:
        submission = client.submit(zipped, budget_seconds=300, solution="sleeper")
        events = client.events(submission.id)
        assert next(events).kind == "state"
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 10
        service.start()
        client.cancel(submission.id)
        assert [e.kind for e in events][-1] == "done"
        assert client.get(submission.id).state == "canceled"


def test_a_busy_port_and_a_wrong_setting_are_told_in_words(service, tmp_path) -> None:
    command = [sys.executable, "-m", "cli.main", "serve", "--data", str(tmp_path)]
    (tmp_path / "file").touch()
    for extra, code in (
        (["--data", str(tmp_path / "file")], "data-directory-unusable"),
        (["--port", str(service.port)], "address-unavailable"),
        (["--port", "70000"], "setting-invalid"),
        (["--host", "no.such.host.invalid", "--port", "0"], "address-unavailable"),
    ):
        done = subprocess.run(
            [*command, *extra], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert f"[{code}]" in done.stderr
        assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_no_service_is_worth_another_try(tmp_path) -> None:
    (tmp_path / "token").write_text("adl_x")
    with Client("http://127.0.0.1:9", "adl_x") as client, pytest.raises(AutoDLError) as caught:
        client.get("x")
    assert caught.value.code == "service-unreachable"
