"""`make demo` as a newcomer meets it: the whole way, an interruption, a failure."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, guest: Path, budget: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cli.demo", "--budget", str(budget)]
    return subprocess.Popen(
        [*command, "--solution", str(guest), "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def survivors(folder: Path) -> list[str]:
    """What still runs for the demo in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(folder) in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
        except psutil.Error:
            continue  # gone, or not ours
    return found


def wait_for_survivors_to_end(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while survivors(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert survivors(folder) == []


def test_the_demo_goes_from_images_to_predictions(tmp_path: Path, guests: Path) -> None:
    demo = start(tmp_path / "demo", guests / "linear", budget=10)
    out, talk = demo.communicate(timeout=120)
    assert demo.returncode == 0, talk
    for step in ("validating", "queued", "running", "point", "succeeded"):
        assert f"\n{step} " in talk
    figures = re.search(r"ALC (\S+) +final NAUC (\S+) +accuracy (\S+)", out)
    assert figures is not None, out
    alc, nauc, accuracy = map(float, figures.groups())
    assert 0.8 < alc <= nauc < 1
    assert 0.85 < accuracy < 1
    results = tmp_path / "demo" / "results"
    rows = (results / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert sum(row.startswith("unlabelled,") for row in rows) == 300
    assert len((results / "labelled/dataset.predict").read_text().splitlines()) == 300
    assert (results / "curve.svg").read_text(encoding="utf-8").startswith("<svg")
    wait_for_survivors_to_end(tmp_path / "demo")


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, guests: Path) -> None:
    demo = start(tmp_path / "demo", guests / "sleeper", budget=100)
    assert demo.stderr is not None
    for line in demo.stderr:
        if "solution is learning" in line:
            break
    assert survivors(tmp_path / "demo")
    os.kill(demo.pid, signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    wait_for_survivors_to_end(tmp_path / "demo")


def test_a_demo_whose_run_fails_says_why_and_fails(tmp_path: Path, guests: Path) -> None:
    demo = start(tmp_path / "demo", guests / "broken_import", budget=10)
    _, talk = demo.communicate(timeout=120)
    assert demo.returncode == 7
    assert "[solution-import]" in talk
    assert "Traceback" not in talk.split("\nfailed ")[0]
    wait_for_survivors_to_end(tmp_path / "demo")


def test_the_demo_replaces_only_its_own_folder(tmp_path: Path, guests: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    demo = start(tmp_path, guests / "linear", budget=10)
    _, talk = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "[output-not-empty]" in talk
    assert (tmp_path / "mine.txt").read_text() == "precious"
