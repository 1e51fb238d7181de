"""The escape suite: what a hostile solution tries, door by door, gains nothing.

The doors are the functions of ``tests/guests/nosy/model.py``; each is tried by one solution in a
real run, with everything there that it is after: labels beside its data, a process with a secret
and with the labels open, servers that listen.
"""

import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from autodl import sandbox
from autodl.bundle import find_bundle, split_bundle
from autodl.confine import Strength
from autodl.predictions import read_labels
from autodl.score import Point, follow
from autodl.solve import solve

GUESTS = Path(__file__).resolve().parents[1] / "guests"
DOORS = re.findall(r"^def (\w+)", (GUESTS / "nosy/model.py").read_text(encoding="utf-8"), re.M)
#: What only the outer wall holds: Unix sockets by path, and who else is there.
BEHIND_THE_WALL = {
    "connect_to_a_socket_by_its_path",
    "see_who_else_works_here",
    "tell_the_labels_time",
}
#: Open where nothing holds; that they are shows that the others would be seen to open.
OPEN_WITHOUT = {
    "connect_to_a_server_here",
    "connect_to_a_socket_by_its_path",
    "connect_to_an_abstract_socket",
    "leave_a_queue_behind",
    "leave_shared_memory_behind",
    "move_its_output_away",
    "read_the_labels",
    "read_the_labels_by_a_hard_link",
    "read_the_labels_through_its_own_root",
    "resolve_a_name",
    "see_who_else_works_here",
    "tell_the_labels_time",
    "write_beside_its_output",
    "write_through_a_link",
}


def break_out(folder: Path, bundle: Path) -> set[str]:
    """Run the nosy guest among its goals; the doors that opened."""
    split_bundle(find_bundle(bundle), folder / "public", folder / "labels")
    labels = folder / "labels/toy.solution"
    code = [sys.executable, "-S", "-c", "input('CANARY')"]
    server, abstract, door = socket.socket(), *(socket.socket(socket.AF_UNIX) for _ in "ab")
    with closing(server), closing(abstract), closing(door), labels.open("rb") as held:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        abstract.bind(f"\0autodl-{port}")
        door.bind(str(folder / "door"))
        for listening in (server, abstract, door):
            listening.listen()
        (folder / "public/port").write_text(str(port))
        witness = subprocess.Popen(
            code,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"CANARY": "secret"},
            cwd="/",
            pass_fds=(held.fileno(),),
        )
        try:
            solve(folder / "public", GUESTS / "nosy", folder / "output", budget_seconds=60.0)
        finally:
            witness.kill()
            witness.communicate()
    log = (folder / "output/log.txt").read_text()
    assert "DOORS " in log, log
    doors = json.loads(log.partition("DOORS ")[2].splitlines()[0])
    assert sorted(doors) == sorted(DOORS)
    return {name for name, opened in doors.items() if opened}


@pytest.fixture(scope="module")
def runs() -> list[set[str]]:
    return []


@pytest.fixture
def opened(runs, tiny_bundle, tmp_path, monkeypatch) -> set[str]:
    """The doors that opened in the one run that all these tests look at."""
    if not runs:
        monkeypatch.setenv("CANARY", "secret")
        runs.append(break_out(tmp_path, tiny_bundle))
    return runs[0]


@pytest.mark.parametrize("door", DOORS)
def test_no_door_opens(opened, door) -> None:
    held = sandbox.strength()
    if sandbox.level(held) == "none" or (door in BEHIND_THE_WALL and not held.wall):
        pytest.skip(f"this machine holds less: {sandbox.describe(held)}")
    assert door not in opened


def test_the_suite_is_as_large_as_it_says() -> None:
    assert len(DOORS) == len(set(DOORS)) >= 40


def test_without_a_sandbox_the_doors_are_seen_to_open(tiny_bundle, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sandbox, "strength", lambda: Strength(0, False))
    assert break_out(tmp_path, tiny_bundle) >= OPEN_WITHOUT


def test_what_a_solution_leaves_in_its_output_harms_nobody(tiny_bundle, tmp_path) -> None:
    """Odd names, a pipe, a forged line of the log, and a prediction that is at times the labels."""
    split_bundle(find_bundle(tiny_bundle), tmp_path / "public", tmp_path / "labels")
    output, over = tmp_path / "output", threading.Event()
    truth = read_labels(tmp_path / "labels/toy.solution")
    points: list[Point] = []

    def score() -> None:
        points.extend(follow(output, truth, 60.0, over.is_set, on_refused=lambda *_: None))

    scorer = threading.Thread(target=score, daemon=True)
    scorer.start()
    try:
        outcome = solve(tmp_path / "public", GUESTS / "litters", output, budget_seconds=4.0)
    finally:
        over.set()
    scorer.join(60)
    assert not scorer.is_alive()
    assert outcome.end == "timeout"
    assert "[solve ended with code 0" in (output / "log.txt").read_text()  # so it did its worst
    assert points
    assert max(point.nauc for point in points) < 0.5
    assert not (output / "scratch").exists()
    if sandbox.strength().wall:
        assert not Path(f"/dev/shm/autodl-litter-{tmp_path.name}").exists()
