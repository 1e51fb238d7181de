"""Whose fault an end was: our own sight first, the solution's word only against itself."""

import json
import signal
from pathlib import Path

import pytest

from autodl.confine import FAILED
from autodl.verdict import DEFAULT_LIMITS, Evidence, describe, judge


def say(folder: Path, **error: str) -> None:
    (folder / "ingestion.json").write_text(json.dumps({"error": error or None}))


def seen(exit_code: int | None, breach=None, peak_bytes: int = 0) -> Evidence:
    return Evidence(breach, exit_code, peak_bytes, DEFAULT_LIMITS)


def test_a_good_end_has_no_error(tmp_path) -> None:
    say(tmp_path)
    assert judge(seen(0), tmp_path) == ("ok", None)


@pytest.mark.parametrize(
    ("exit_code", "breach", "end", "family", "code"),
    [
        (None, "timeout", "platform_error", "platform", "processes-left"),
        (FAILED, None, "platform_error", "platform", "confinement-failed"),
        (-signal.SIGSEGV, None, "solution_error", "solution", "solution-crashed"),
        (-signal.SIGKILL, None, "killed", "solution", "solution-killed"),
        (3, None, "solution_error", "solution", "solution-exited"),
        (-9, "out_of_memory", "out_of_memory", "solution", "solution-out-of-memory"),
        (-9, "disk_full", "disk_full", "solution", "solution-disk-full"),
        (-9, "too_many_processes", "too_many_processes", "solution", "solution-too-many-processes"),
    ],
)
def test_each_end_has_its_fault(tmp_path, exit_code, breach, end, family, code) -> None:
    found, error = judge(seen(exit_code, breach), tmp_path)
    told = describe(error)
    assert (found, told["family"], told["code"]) == (end, family, code)


def test_the_deadline_is_nobodys_fault(tmp_path) -> None:
    assert judge(seen(-9, "timeout"), tmp_path) == ("timeout", None)


def test_killed_while_it_held_most_of_the_memory_means_out_of_memory(tmp_path) -> None:
    end, error = judge(seen(-9, peak_bytes=1 << 60), tmp_path)
    assert (end, error.code) == ("out_of_memory", "solution-out-of-memory")


def test_the_solution_may_accuse_itself_or_the_data_but_not_the_platform(tmp_path) -> None:
    for family, expected in (("data", "data"), ("solution", "solution"), ("platform", "solution")):
        say(tmp_path, family=family, code="some-code", message="m", hint="h")
        assert describe(judge(seen(0), tmp_path)[1])["family"] == expected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"error": 3}', "[" * 100_000, '{"error": {"code": "x"}}']
)
def test_a_reason_that_is_none_is_not_believed(tmp_path, text) -> None:
    (tmp_path / "ingestion.json").write_text(text)
    assert judge(seen(0), tmp_path)[1].code == "solution-exited"


def test_a_code_that_is_none_is_not_believed(tmp_path) -> None:
    say(tmp_path, family="data", code="<script>", message="m", hint="h")
    assert judge(seen(0), tmp_path)[1].code == "solution-exited"


def test_a_reason_behind_a_link_is_not_read(tmp_path) -> None:
    (tmp_path / "elsewhere").write_text('{"error": null}')
    (tmp_path / "ingestion.json").symlink_to(tmp_path / "elsewhere")
    assert judge(seen(0), tmp_path)[1].code == "solution-exited"
