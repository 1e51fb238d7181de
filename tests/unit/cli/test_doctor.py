"""What ``autodl doctor`` says of machines and services in several states."""

import json

import httpx2
import pytest

from autodl.confine import Strength


def look(autodl, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = autodl("doctor", "--json", *arguments)
    return done.exit_code, {check["name"]: check for check in json.loads(done.stdout)}


def test_a_good_machine_with_a_good_service_and_token(played, autodl) -> None:
    code, checks = look(autodl)
    assert code == 0
    assert {checks[name]["status"] for name in ("version", "disk", "service", "token")} == {"good"}
    assert checks["+ solution"]["status"] == "good"
    assert "tensorflow" in checks["+ solution"]["detail"]


def test_people_get_a_line_each_with_what_to_do(played, autodl, monkeypatch) -> None:
    monkeypatch.setattr("autodl.sandbox.strength", lambda: Strength(0, True))
    done = autodl("doctor")
    assert done.exit_code == 0
    (sandbox,) = (i for i, s in enumerate(done.stdout.splitlines()) if s.startswith("! sandbox"))
    assert "files: none, network: seccomp" in done.stdout.splitlines()[sandbox]
    assert "run none that you do not trust" in done.stdout.splitlines()[sandbox + 1]


@pytest.mark.parametrize(
    ("status", "code", "name"), [(401, "token-invalid", "token"), (503, "not-ready", "service")]
)
def test_what_is_bad_ends_in_one(played, autodl, status, code, name) -> None:
    real = played.__class__.__call__

    def answer(self, request):
        if request.url.path != "/readyz" or status == 503:
            return httpx2.Response(status, json={"code": code, "detail": "It is not so."})
        return real(self, request)

    played.__class__ = type("Refusing", (played.__class__,), {"__call__": answer})
    exit_code, checks = look(autodl)
    assert exit_code == 1
    assert checks[name]["status"] == "bad"
    assert "It is not so." in checks[name]["detail"]


def test_no_token_is_bad_and_no_service_needs_none(autodl) -> None:
    code, checks = look(autodl, "--offline")
    assert code == 0
    assert not {"service", "token"} & checks.keys()
    code, checks = look(autodl, "--url", "http://127.0.0.1:9")
    assert (code, checks["service"]["status"]) == (1, "bad")
    assert "autodl serve" in checks["service"]["hint"]


def test_a_part_that_is_not_installed_is_missing_and_not_bad(autodl, monkeypatch) -> None:
    monkeypatch.setattr("cli.doctor.find_spec", lambda name: None)
    code, checks = look(autodl, "--offline")
    assert code == 0
    assert checks["+ media"]["status"] == "missing"
    assert checks["+ media"]["hint"] == "pip install 'autodl-self-service[media]'"


def test_the_executor_that_runs_would_go_to_is_asked(autodl, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AUTODL_DATA", str(tmp_path))
    monkeypatch.setenv("AUTODL_GPUS", "")
    code, checks = look(autodl, "--offline")
    assert (code, checks["executor"]["detail"][:7]) == (0, "local: ")
    monkeypatch.setenv("AUTODL_EXECUTOR", "slurm")
    code, checks = look(autodl, "--offline")
    assert (code, checks["executor"]["status"]) == (1, "bad")
    assert "AUTODL_SLURM_API_URL" in checks["executor"]["hint"]
    monkeypatch.setenv("AUTODL_SLURM_API_URL", "http://login:8001")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, checks = look(autodl, "--offline")
    assert (code, "no program 'squeue'" in checks["executor"]["detail"]) == (1, True)
