"""Whose fault the death of the program was that drives the solution."""

import pytest

from service.executors.base import Phase
from service.worker.failure import find_error
from service.worker.program import write_json
from service.worker.supervisor import ProgramEnd, Status
from service.worker.tasks import PublishTask

OURS, ITS_OWN = ("platform", "program-died"), ("solution", "solution-died")


@pytest.mark.parametrize(
    ("end", "final", "expected"),
    [
        ({"exit_code": -9}, True, OURS),
        ({"exit_code": 1}, True, OURS),
        ({"exit_code": -9, "timed_out": True}, True, ITS_OWN),
        ({"exit_code": -9}, False, ITS_OWN),  # in a pod, whose limits end both at once
    ],
)
def test_a_driver_out_of_reach_dies_by_our_fault(tmp_path, end, final, expected) -> None:
    status = Status(
        pid=1,
        phase=Phase.RUNNING,
        message="",
        started_at="2026-01-01T00:00:00+00:00",
        programs={"solve": ProgramEnd(seconds=3.0, **end)},
    )
    write_json(tmp_path / "status.json", status.model_dump(mode="json"))
    write_json(tmp_path / "stage.result.json", {"error": None, "value": None})
    error = find_error(PublishTask.model_construct(folder=tmp_path, kind="solve", final=final))
    assert (error["family"], error["code"]) == expected
    assert "after 3 seconds" in error["message"] or "code 1" in error["message"]
    assert error["hint"]
