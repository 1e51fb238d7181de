"""Each manifest is valid for the oldest and the newest Kubernetes, and says what is needed."""

import re
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from service.settings import KubernetesSettings, Settings
from service.worker.canary import find_reachable

ROOT = Path(__file__).resolve().parent.parent
KUBECTL = Path(sys.executable).with_name("kubectl")
OVERLAYS = ["base", "overlays/dev", "overlays/prod", "overlays/kueue"]
FOREIGN = ("kueue.x-k8s.io", "monitoring.coreos.com")  # their schemas come with their operators


@cache
def build(overlay: str) -> list[dict]:
    done = subprocess.run(
        [KUBECTL, "kustomize", ROOT / "k8s" / overlay], capture_output=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


def find(overlay: str, kind: str, name: str) -> dict:
    (found,) = [o for o in build(overlay) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pod_specs(overlay: str) -> dict[str, dict]:
    specs = {}
    for item in build(overlay):
        template = item.get("spec", {})
        if item["kind"] == "CronJob":
            template = template["jobTemplate"]["spec"]
        if "template" in template:
            specs[item["metadata"]["name"]] = template["template"]["spec"]
    return specs


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay, version) -> None:
    ours = [o for o in build(overlay) if not o["apiVersion"].startswith(FOREIGN)]
    assert len(ours) > 20
    for item in ours:
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_obeys_the_restricted_profile(overlay) -> None:
    for spec in pod_specs(overlay).values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_configuration_is_one_that_the_service_takes(overlay, monkeypatch) -> None:
    data = find_config(overlay)
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings, cluster = Settings(), KubernetesSettings()
    known = {f"AUTODL_{name.upper()}" for name in Settings.model_fields}
    known |= {f"AUTODL_KUBERNETES_{name.upper()}" for name in KubernetesSettings.model_fields}
    assert data.keys() <= known
    assert settings.executor == "kubernetes"
    assert cluster.namespace == "autodl-runs"
    canary = pod_specs(overlay)["canary"]["containers"][0]["image"]
    assert cluster.image == canary  # one place sets both


def find_config(overlay: str) -> dict[str, str]:
    (data,) = [
        o["data"]
        for o in build(overlay)
        if o["kind"] == "ConfigMap" and o["metadata"]["name"].startswith("autodl-")
    ]
    return data


def test_production_pins_its_images_by_digest() -> None:
    images = {
        c["image"] for spec in pod_specs("overlays/prod").values() for c in spec["containers"]
    }
    assert all("@sha256:" in image for image in images)


def test_the_others_pin_what_is_not_ours() -> None:
    images = {c["image"] for spec in pod_specs("overlays/dev").values() for c in spec["containers"]}
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    foreign = {service["image"] for service in composed if "image" in service}
    assert foreign == {image for image in images if "/autodl/" not in image}
    assert all(re.search("@sha256:[0-9a-f]{64}$", image) for image in foreign)


def test_the_reconciler_alone_has_rights_and_only_these() -> None:
    rules = find("base", "Role", "runs")["rules"]
    assert {(r, tuple(rule["verbs"])) for rule in rules for r in rule["resources"]} == {
        ("jobs", ("create", "list", "delete")),
        ("pods", ("list", "watch")),
        ("pods/log", ("get",)),
    }
    with_token = {
        name
        for name, spec in pod_specs("base").items()
        if spec.get("automountServiceAccountToken") is not False
    }
    assert with_token == {"reconciler"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_runs_reach_names_the_internal_port_and_the_store_and_nothing_else(overlay) -> None:
    policies = [
        o
        for o in build(overlay)
        if o["kind"] == "NetworkPolicy" and o["metadata"]["namespace"] == "autodl-runs"
    ]
    denied = next(p for p in policies if p["metadata"]["name"] == "default-deny")
    assert denied["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {
        port["port"]
        for p in policies
        for rule in p["spec"].get("egress", ())
        for port in rule["ports"]
    }
    assert ports <= {53, 8001, 8333, 443}
    assert all(rule.get("to") for p in policies for rule in p["spec"].get("egress", ()))


def test_the_collectors_pipelines_name_what_is_there() -> None:
    config = yaml.safe_load((ROOT / "k8s/collector.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= config[kind].keys()


def test_the_canary_fails_when_something_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_place = f"127.0.0.1:{server.getsockname()[1]}"
        assert find_reachable([open_place, "127.0.0.1:1"]) == [open_place]
