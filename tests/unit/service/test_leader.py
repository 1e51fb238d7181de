"""One process decides; another takes over when it is gone."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from autodl.errors import PlatformError
from service.db import Database
from service.leader import leading


@pytest.fixture
def second(settings):
    database = Database(settings.effective_database_url)
    yield database
    database.close()


def test_the_second_waits_until_the_first_has_left(database, second, settings) -> None:
    order: list[str] = []

    def follow() -> None:
        with leading(second, settings.data, threading.Event()):
            order.append("second leads")

    with ThreadPoolExecutor() as pool:
        with leading(database, settings.data, threading.Event()) as check:
            follower = pool.submit(follow)
            time.sleep(0.3)
            check()
            order.append("first leaves")
        follower.result(timeout=60)
    assert order == ["first leaves", "second leads"]


def test_one_that_waits_can_be_told_to_stop(database, second, settings) -> None:
    stop = threading.Event()
    with leading(database, settings.data, threading.Event()), ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: leading(second, settings.data, stop).__enter__())
        stop.set()
        waiting.result(timeout=60)


LEAD = """
import sys, threading
from pathlib import Path
from service.db import Database
from service.leader import leading
with leading(Database(sys.argv[1]), Path(sys.argv[2]), threading.Event()):
    print("leads", flush=True)
    threading.Event().wait()
"""


def test_a_leader_that_was_killed_is_followed_within_thirty_seconds(database, settings) -> None:
    url = settings.effective_database_url
    command = [sys.executable, "-c", LEAD, url, str(settings.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "leads\n"
        stop = threading.Event()
        patience = threading.Timer(30, stop.set)
        patience.start()
        first.kill()
        with leading(database, settings.data, stop) as check:
            check()
            assert not stop.is_set()  # else it was not the lock that let us in
        patience.cancel()


def test_a_leader_whose_session_was_ended_is_told(postgresql) -> None:
    database = Database(postgresql.create())
    with leading(database, postgresql.folder, threading.Event()) as check:
        check()
        with database.engine.connect() as other:
            holder = "SELECT pid FROM pg_locks JOIN pg_database AS d ON d.oid = database"
            holder += " WHERE locktype = 'advisory' AND datname = current_database()"
            other.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({holder}) AS holder"))
        with pytest.raises(PlatformError) as caught:
            check()
    assert caught.value.code == "database-unavailable"
    database.close()
