"""Every broken dataset is found with code and place; no odd one raises a false alarm."""

import contextlib
import sys
import time
from pathlib import Path

import psutil
import pytest

from autodl.check import check
from autodl.page import render_page

from . import broken_formats, broken_images, broken_layouts, broken_records, odd, odd_records
from .cases import BROKEN, ODD, Broken, Odd

# pytest takes back the filter that autodl.images sets
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")

MAX_CPU_SECONDS = 5  # of one check; a hang meets the time limit of the test itself
MAX_BYTES = 500 << 20  # resident, of a process that checks them all

CASES = (broken_formats, broken_images, broken_layouts, broken_records, odd, odd_records)


def test_the_corpus_is_large_enough() -> None:
    assert len(BROKEN) >= 80
    assert len(ODD) >= 40
    made = {case.make.__module__ for case in [*BROKEN, *ODD]}
    assert made == {module.__name__ for module in CASES}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.make.__name__)
def test_a_broken_dataset_is_found_with_its_place(case: Broken, tmp_path: Path) -> None:
    case.make(tmp_path)
    started = time.process_time()
    report = check(tmp_path)
    assert time.process_time() - started < MAX_CPU_SECONDS
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert case.code in [finding.code for finding in errors], report.findings
    finding = next(finding for finding in errors if finding.code == case.code)
    if case.file is not None:
        assert finding.file == case.file
    if case.record is not None:
        assert finding.record == case.record
    if case.line is not None:
        assert finding.line == case.line
    assert finding.message
    assert f"[{case.code}]" in render_page(tmp_path, report)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.make.__name__)
def test_an_odd_dataset_raises_no_false_alarm(case: Odd, tmp_path: Path) -> None:
    case.make(tmp_path)
    report = check(tmp_path)
    alarms = [finding for finding in report.findings if finding.severity != "note"]
    assert report.ok, alarms
    assert {finding.code for finding in alarms} == case.warnings, alarms
    assert report.summary["subsets"]["train"]["unreadable"] == 0


def test_no_dataset_fills_the_memory(tmp_path: Path) -> None:
    for number, case in enumerate([*BROKEN, *ODD]):
        root = tmp_path / f"{number:03}"
        root.mkdir()
        case.make(root)
    program = (
        "import sys; from pathlib import Path; from autodl.check import check\n"
        "for root in sorted(Path(sys.argv[1]).iterdir()): check(root)"
    )
    peak = 0
    with psutil.Popen([sys.executable, "-c", program, str(tmp_path)]) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.01)
        assert process.returncode == 0
    assert 0 < peak < MAX_BYTES
