"""The storm of ``make chaos`` for a moment: real kills while people submit, then all is counted."""

import pytest

from tests.chaos.__main__ import storm
from tests.chaos.report import Report

GOOD = {"lost": 0, "doubled": 0, "stuck": 0, "processes_left": 0, "flaws": []}


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine has much to do again
def test_nothing_is_lost_doubled_or_stuck(tmp_path) -> None:
    report = storm(
        tmp_path, seconds=4, submissions=3, fault_seconds=1.0, seed=3, with_postgresql=False
    )
    found = {key: report.values[key] for key in GOOD}
    assert found == GOOD
    assert report.values["submissions"] >= 3
    assert report.values["faults"]
    assert report.is_good


@pytest.mark.parametrize(
    "wrong", [{key: 1} for key in GOOD if key != "flaws"] + [{"flaws": [["ledger", "x", "y"]]}]
)
def test_a_report_is_good_only_if_nothing_is_wrong(wrong) -> None:
    assert Report(GOOD).is_good
    assert not Report(GOOD | wrong).is_good
