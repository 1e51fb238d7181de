"""How soon a scored prediction is seen by whoever follows."""

import time

import anyio
import anyio.to_thread
import pytest

import autodl.score
from service.models import Account, RunKind
from service.submissions import events
from service.submissions.access import Reader

VISIBLE_SECONDS = 2.0
GENEROUS_SECONDS = 30.0  # for a machine that is busy with other things


def test_a_point_waits_for_two_looks_at_most_which_are_within_the_promise() -> None:
    assert autodl.score.POLL_SECONDS + events.POLL_SECONDS < VISIBLE_SECONDS / 2


@pytest.mark.anyio
async def test_a_point_is_seen_soon_after_its_scoring_and_only_once(installation) -> None:
    submission_id = installation.submit()
    installation.pass_check(submission_id)
    run_id, token = installation.begin(submission_id, RunKind.SOLVE)
    with installation.context.database.read() as session:
        account_id = session.query(Account.id).scalar()
    seen: list[tuple[int, float]] = []
    scored: dict[int, float] = {}

    async def score() -> None:
        for index in range(3):
            point = (float(index), 0.5, 0.4)
            points = [point] * (index + 1)
            await anyio.to_thread.run_sync(installation.score, run_id, token, *points)
            scored[index] = time.monotonic()
            while len(seen) <= index:
                await anyio.sleep(0.01)
        installation.context.stopping.set()

    with anyio.fail_after(3 * GENEROUS_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(score)
            async for event in events.follow(
                installation.context, Reader(account_id), submission_id, events.Cursor()
            ):
                if event.event == "point":
                    seen.append((event.data.index, time.monotonic()))
    assert [index for index, _ in seen] == [0, 1, 2]
    assert all(when - scored[index] < GENEROUS_SECONDS for index, when in seen)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
