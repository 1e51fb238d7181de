"""A program reads its task, and leaves a result that says whose fault a failure was."""

import errno
import json
import os

import pytest

from autodl.errors import BundleError, PlatformError, SolutionError, UsageError
from service.worker import program
from service.worker.program import (
    Task,
    describe_error,
    read_guest_log,
    read_json,
    run_program,
    write_json,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a program's body as its process would; gives its result file."""
    result = tmp_path / "p.result.json"
    task = tmp_path / "p.json"
    task.write_text(Task(kind="check", result=result).model_dump_json())
    monkeypatch.setattr("sys.argv", ["program", str(task)])

    def run(work) -> dict:
        run_program(Task, work)
        return json.loads(result.read_text())

    return run


def test_a_value_is_left_as_the_result(run) -> None:
    left = run(lambda task: {"kind": task.kind})
    began, ended = left.pop("times")
    assert began <= ended
    assert left == {"error": None, "value": {"kind": "check"}}


def test_an_error_is_left_and_told_in_the_log(run, tmp_path, capsys) -> None:
    def fail(task: Task) -> None:
        file = str(task.result.parent / "bundle" / "x.data")
        raise BundleError("x-wrong", "It is wrong.", hint="Mend it.", file=file, record=3)

    with pytest.raises(SystemExit) as caught:
        run(fail)
    assert caught.value.code == 1
    error = read_json(tmp_path / "p.result.json")["error"]
    assert error == {
        "family": "data",
        "code": "x-wrong",
        "message": "It is wrong.",
        "hint": "Mend it.",
        "file": "bundle/x.data",  # not where our folders lie
        "record": 3,
        "line": None,
    }
    assert "x-wrong" in capsys.readouterr().err


def test_a_fault_in_our_code_leaves_no_result(run, tmp_path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda _: 1 / 0)
    assert read_json(tmp_path / "p.result.json") is None


def fill_the_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_the_platforms_fault_in_words(run, tmp_path) -> None:
    with pytest.raises(SystemExit) as caught:
        run(fill_the_disk)
    error = read_json(tmp_path / "p.result.json")["error"]
    assert (caught.value.code, error["family"]) == (1, "platform")
    assert error["code"] == "disk-unavailable"
    assert "no space left" in error["message"]


def test_a_disk_too_full_for_a_result_is_told_by_the_exit_code(run, monkeypatch) -> None:
    monkeypatch.setattr(program, "write_json", fill_the_disk)
    with pytest.raises(SystemExit) as caught:
        run(lambda _: {})
    assert caught.value.code == program.DISK_EXIT


def test_what_a_power_cut_left_of_a_file_is_no_file(tmp_path) -> None:
    (tmp_path / "status.json").write_text("")
    assert read_json(tmp_path / "status.json") is None


def test_what_is_away_for_a_while_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(program, "PAUSE_SECONDS", 0.0)
    answers = iter([PlatformError("storage-unavailable", "x")] * 3 + [None])

    def ask() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "here"

    assert program.patiently(ask, "storage-unavailable") == "here"


@pytest.mark.parametrize("code", ["storage-unavailable", "run-superseded"])
def test_patience_ends_and_is_for_one_thing_only(monkeypatch, code) -> None:
    monkeypatch.setattr(program, "PATIENCE_SECONDS", -1.0)

    def fail() -> None:
        raise PlatformError(code, "x")

    with pytest.raises(PlatformError, match="x"):
        program.patiently(fail, "storage-unavailable")


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        (BundleError, "data"),
        (SolutionError, "solution"),
        (PlatformError, "platform"),
        (UsageError, "platform"),
    ],
)
def test_the_family_says_whose_fault_it_was(kind, family) -> None:
    assert describe_error(kind("x", "y"))["family"] == family


def test_a_json_file_is_replaced_whole(tmp_path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    write_json(tmp_path / "a.json", {"b": 2})
    assert read_json(tmp_path / "a.json") == {"b": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_guests_log_is_never_read_through_a_link(tmp_path) -> None:
    assert read_guest_log(tmp_path) == b""
    (tmp_path / "secret").write_text("labels")
    (tmp_path / "log.txt").symlink_to(tmp_path / "secret")
    assert read_guest_log(tmp_path) == b""
