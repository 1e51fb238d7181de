"""What an operator's Prometheus reads."""

import json
import re
import threading
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.leader import leading
from service.models import RunKind

PROD = Path(__file__).resolve().parents[2] / "k8s/overlays/prod"
RULES, DASHBOARD = PROD / "monitoring.yaml", PROD / "dashboard.json"
NAME = re.compile(r"\b(?:autodl|http_server)_\w+")


def read(installation) -> dict[tuple[str, tuple[str, ...]], float]:
    near = TestClient(installation.app, client=("127.0.0.1", 5000))
    answer = near.get("/internal/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_waits_runs_and_has_ended_is_counted(installation) -> None:
    done = installation.submit()
    installation.succeed(done)
    waiting = installation.submit()
    installation.pass_check(waiting)
    checked = installation.submit()
    installation.begin(checked, RunKind.CHECK)
    seen = read(installation)
    assert seen["autodl_submissions", ("succeeded",)] == 1
    assert seen["autodl_submissions", ("queued",)] == 1
    assert seen["autodl_queue_depth", ("solve",)] == 1
    assert seen["autodl_queue_depth", ("check",)] == 0
    assert seen["autodl_queue_oldest_seconds", ("solve",)] > 0
    assert seen["autodl_runs", ("check",)] == 1
    assert seen["autodl_runs_overdue", ()] == 0
    assert seen["autodl_runs_ended", ("ok",)] == 3
    assert seen["autodl_run_budget_overrun_seconds", ("1",)] == 0


def test_requests_are_timed_by_route_and_never_by_address(installation) -> None:
    submission_id = installation.submit()
    installation.http.get(f"/v1/submissions/{submission_id}")
    labels = [key[1] for key in read(installation) if key[0].startswith("http_server")]
    assert ("GET", "200", "/v1/submissions/{submission_id}") in labels
    assert not any(submission_id in label for names in labels for label in names)


def test_whether_somebody_decides_is_seen(installation) -> None:
    context = installation.context
    assert read(installation)["autodl_reconciler_leading", ()] == 0
    with leading(context.database, context.settings.data, threading.Event()):
        assert read(installation)["autodl_reconciler_leading", ()] == 1


def test_strangers_get_no_figures(installation) -> None:
    far = TestClient(installation.app, client=("192.0.2.7", 5000))
    assert far.get("/internal/metrics").status_code == 404


def test_every_alert_and_panel_is_about_figures_that_exist(installation) -> None:
    installation.succeed(installation.submit())
    there = {name for name, _ in read(installation)}
    (rule,) = [o for o in yaml.safe_load_all(RULES.read_text()) if o["kind"] == "PrometheusRule"]
    asked = [alert["expr"] for alert in rule["spec"]["groups"][0]["rules"]]
    asked += [target["expr"] for panel in read_panels() for target in panel["targets"]]
    named = {n for expression in asked for n in NAME.findall(expression)}
    assert named
    assert named <= there


def test_the_dashboard_can_be_imported_and_shows_every_figure_of_ours(installation) -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["schemaVersion"] >= 39
    assert [v["name"] for v in board["templating"]["list"]] == ["source"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places)
    for panel in read_panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${source}"
    shown = {
        name
        for panel in read_panels()
        for target in panel["targets"]
        for name in NAME.findall(target["expr"])
    }
    installation.succeed(installation.submit())
    ours = {name for name, _ in read(installation) if name.startswith("autodl_")}
    assert ours <= shown


def read_panels() -> list[dict]:
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]
