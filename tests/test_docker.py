"""The images and the lab server's composition, as far as they can be tested without building."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_recipe_is_clean() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""


def test_every_foreign_image_is_pinned_by_digest() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    images += [service["image"] for service in services if "image" in service]
    assert len(images) == 3
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", name) for name in images)
    stages = set(re.findall(r" AS (\S+)$", DOCKERFILE, re.MULTILINE))
    sources = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert sources - stages == {"${PYTHON_IMAGE}"}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in kept)
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert {name for name in copied if name != "."} <= set(kept)
    packages = re.search(r"include = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    rooms = {name.rstrip("*") for name in re.findall(r'"(\w+\*)"', packages[1])}
    assert rooms <= set(kept)


@pytest.mark.parametrize("target", ["api", "worker-cpu", "worker-gpu"])
def test_every_image_runs_as_an_ordinary_user(target) -> None:
    assert re.search(rf"^FROM \S+ AS {target}$", DOCKERFILE, re.MULTILINE)
    base = DOCKERFILE[DOCKERFILE.index("AS base") :]
    assert "USER 10001:10001" in base
    assert "USER root" not in base


def test_the_api_image_has_no_library_of_runs() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements-api.lock").read_text(), re.M))
    assert {"fastapi", "psycopg", "boto3", "kubernetes"} <= locked
    assert not locked & {"tensorflow", "tensorflow-cpu", "keras", "scikit-learn", "polars"}
    whole = (ROOT / "requirements.lock").read_text()
    for line in re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements-api.lock").read_text(), re.M):
        assert line in whole  # both images have the same versions


def test_the_composition_sets_only_what_the_service_knows() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    known = {f"AUTODL_{name.upper()}" for name in Settings.model_fields}
    for name in ("api", "worker", "bucket"):
        assert services[name]["environment"].keys() <= known
    assert services["api"]["read_only"] is True
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]
