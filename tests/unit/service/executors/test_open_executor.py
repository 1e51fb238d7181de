"""The service starts only where solutions are held as fast as its operator asks."""

import pytest

from autodl import sandbox
from autodl.confine import Strength
from autodl.errors import UsageError
from service.executors import open_executor
from service.settings import Settings

HELD = {"none": Strength(0, True), "process": Strength(6, True), "sandbox": Strength(6, True, True)}


@pytest.mark.parametrize("wanted", HELD)
@pytest.mark.parametrize("reached", HELD)
def test_less_isolation_than_was_asked_for_is_refused(
    tmp_path, monkeypatch, reached, wanted
) -> None:
    monkeypatch.setattr(sandbox, "strength", lambda: HELD[reached])
    settings = Settings(data=tmp_path, require_isolation=wanted)
    if list(HELD).index(reached) >= list(HELD).index(wanted):
        assert open_executor(settings).capabilities().isolation == reached
        return
    with pytest.raises(UsageError, match=f"held by '{reached}'") as caught:
        open_executor(settings)
    assert caught.value.code == "isolation-too-weak"


def test_the_outer_wall_alone_is_none_while_the_network_is_open() -> None:
    assert sandbox.level(Strength(0, False, True)) == "none"
