"""What a supervisor says of a run at work, by files whose content is not trusted."""

from pathlib import Path

import pytest

from service.executors.base import RunKind
from service.worker.supervisor import CHECKING, LOADING, Supervisor, SupervisorTask

TASK = SupervisorTask(
    run_id="1", kind=RunKind.CHECK, gpu=None, programs={}, limits={}, environment={}
)


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    (tmp_path / "output").mkdir()
    return Supervisor(tmp_path, TASK)


def say(supervisor: Supervisor, message: str) -> str:
    supervisor.status = supervisor.status.model_copy(update={"message": message})
    return supervisor.read_news()


def test_formatting_says_how_far_it_is_and_then_that_it_checks(supervisor) -> None:
    progress = supervisor.folder / "output/progress.txt"
    assert say(supervisor, CHECKING) == CHECKING
    progress.write_text("40")
    assert say(supervisor, CHECKING) == "Formatting the data: 40 %."
    progress.write_text("100")
    assert say(supervisor, "Formatting the data: 40 %.") == "Formatting the data: 100 %."
    progress.unlink()
    assert say(supervisor, "Formatting the data: 100 %.") == CHECKING


@pytest.mark.parametrize("text", ["", "<script>", "-1", "9" * 1000, "1e3", "\x00", "²"])
def test_no_other_words_are_passed_on(supervisor, text) -> None:
    (supervisor.folder / "output/progress.txt").write_text(text)
    said = say(supervisor, CHECKING)
    assert said in (CHECKING, "Formatting the data: 100 %.")


def test_a_link_is_not_followed(supervisor, tmp_path) -> None:
    (tmp_path / "secret").write_text("42")
    (supervisor.folder / "output/progress.txt").symlink_to(tmp_path / "secret")
    assert say(supervisor, CHECKING) == CHECKING


def test_a_solution_is_loaded_until_its_clock_starts(supervisor) -> None:
    assert say(supervisor, LOADING) == LOADING
    (supervisor.folder / "output/start.txt").touch()
    assert say(supervisor, LOADING) == "The solution is learning."
