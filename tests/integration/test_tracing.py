"""One trace from the upload to the score, through every process's part in it."""

import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from autodl.errors import UsageError
from service import tracing
from service.app import create_app
from service.executors.local import LocalExecutor
from service.reconciler import Reconciler
from service.settings import Settings
from tests.cluster import wait_until
from tests.integration.engine.test_restart import zip_folder

CLIENTS = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans(monkeypatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def names(spans: InMemorySpanExporter, trace_id: int) -> dict[str, ReadableSpan]:
    found = [s for s in spans.get_finished_spans() if s.context and s.context.trace_id == trace_id]
    return {span.name: span for span in found}


@pytest.mark.slow
def test_a_trace_joins_the_upload_and_the_score(tmp_path, guests, tiny_bundle, spans) -> None:
    solutions = {"steady": guests / "steady"}
    settings = Settings(data=tmp_path / "data", gpus=(), solutions=solutions, poll_seconds=0.05)
    executor = LocalExecutor(settings)
    app = create_app(settings, executor)
    with TestClient(app) as http:
        http.headers["Authorization"] = f"Bearer {(settings.data / 'token').read_text().strip()}"
        sent = http.post(
            "/v1/submissions",
            files={"file": ("toy.zip", zip_folder(tiny_bundle))},
            data={"solution": "steady", "budget_seconds": "2"},
            headers={"traceparent": f"00-{CLIENTS}-b7ad6b7169203331-01"},
        )
        url = sent.headers["Location"]
        context = app.state.context
        reconciler = Reconciler(settings, context.database, context.storage, executor)
        stop = threading.Event()
        thread = threading.Thread(target=reconciler.run, args=(stop,))
        thread.start()
        wait_until(lambda: http.get(url).json()["state"] == "succeeded", 90)
        wait_until(lambda: "run" in names(spans, int(CLIENTS, 16)), 30)
        stop.set()
        thread.join()
    found = names(spans, int(CLIENTS, 16))
    assert found.keys() >= {"POST /v1/submissions", "queue", "check", "run"}
    assert found.keys() >= {"stage", "solve", "score", "publish"}
    run, score, stage = found["run"], found["score"], found["stage"]
    assert score.parent.span_id == run.context.span_id
    assert run.parent.span_id == found["POST /v1/submissions"].context.span_id
    assert run.attributes["autodl.end"] == "ok"
    assert stage.end_time <= found["solve"].start_time <= score.end_time <= run.end_time
    others = {s.context.trace_id for s in spans.get_finished_spans()} - {int(CLIENTS, 16)}
    assert others  # the questions in between are traces of their own


def test_without_the_variable_nothing_is_recorded(tmp_path) -> None:
    tracing.configure(Settings(data=tmp_path), "api")
    assert not tracing.is_on()
    assert tracing.current() is None


def test_without_the_packages_it_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    with pytest.raises(UsageError) as caught:
        tracing.configure(Settings(data=tmp_path), "api")
    assert caught.value.code == "tracing-unavailable"
