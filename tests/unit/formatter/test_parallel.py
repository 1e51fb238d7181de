"""Work shared out to processes: in order, with the first complaint raised, and nothing left."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autodl.errors import BundleError, PlatformError
from formatter import parallel
from formatter.parallel import ahead, map_in_order, threads_in_order
from formatter.readers.files import Loader, Place
from formatter.readers.text import TextFileSource
from formatter.source import Options


@pytest.fixture(autouse=True)
def many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a few small items go to processes, a few at a time."""
    monkeypatch.setattr(parallel, "FEW_BYTES", 1)
    monkeypatch.setattr(parallel, "GROUP_ITEMS", 3)


def size_of(item: object) -> int:
    return 1


def test_results_are_in_order_and_made_by_as_many_processes_as_asked() -> None:
    items = [f"({number}, __import__('os').getpid())" for number in range(50)]
    results: list[tuple[int, int]] = list(map_in_order(eval, items, size_of, 3))
    assert [number for number, _ in results] == list(range(50))
    processes = {process for _, process in results}
    assert len(processes) == 3
    assert os.getpid() not in processes
    assert not any(psutil.pid_exists(process) for process in processes)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_complaint_is_raised_at_its_turn_and_names_the_file(tmp_path: Path, jobs: int) -> None:
    places = []
    for number in range(20):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(b"\xff" if number in (7, 12) else b"text")
        places.append(Place(str(path), path.stat().st_size))
    results = map_in_order(Loader(TextFileSource.load, Options()), places, size_of, jobs)
    read = []
    with pytest.raises(BundleError) as caught:
        read.extend(results)
    assert (caught.value.code, caught.value.file) == ("text-not-utf8", f"{tmp_path.name}/7.txt")
    assert caught.value.hint


def test_a_process_that_dies_is_said_to_have_died() -> None:
    with pytest.raises(PlatformError) as caught:
        list(map_in_order(os._exit, [3] * 20, size_of, 2))
    assert caught.value.code == "format-worker-died"
    assert "3" in caught.value.message


def test_what_a_library_prints_is_no_result() -> None:
    printed = list(map_in_order(print, ["noise"] * 20, size_of, 2))
    assert printed == [None] * 20


def test_who_stops_listening_leaves_no_process() -> None:
    results = map_in_order(eval, ["__import__('os').getpid()"] * 50, size_of, 2)
    process = next(results)
    results.close()
    assert not psutil.pid_exists(process)


def test_what_is_made_ahead_is_the_same_and_raises_the_same() -> None:
    def numbers() -> Iterator[int]:
        yield from range(10)
        raise BundleError("source-empty", "No more.")

    read: list[int] = []
    with pytest.raises(BundleError, match="No more"):
        read.extend(ahead(numbers()))
    assert read == list(range(10))


def test_threads_give_results_in_order_and_a_late_complaint_last() -> None:
    def items() -> Iterator[int]:
        yield from range(40)
        raise BundleError("x", "The source ends badly.")

    results = threads_in_order(lambda n: n * n, items())
    assert [next(results) for _ in range(40)] == [n * n for n in range(40)]
    with pytest.raises(BundleError, match="badly"):
        next(results)
    with pytest.raises(ZeroDivisionError):
        list(threads_in_order(lambda n: 1 // (n - 3), iter(range(9))))
