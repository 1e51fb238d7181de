"""One transaction per unit of work; migrations up and down."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from autodl.errors import PlatformError
from service.db import Database, migrate
from service.models import Account, Base


def count_accounts(database: Database) -> int:
    with database.read() as session:
        return session.scalar(text("SELECT count(*) FROM account")) or 0


def test_the_migrations_make_the_tables_of_the_models(database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_again_changes_nothing_and_down_removes_all(database) -> None:
    migrate(database)
    migrate(database, "base", down=True)
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    migrate(database)
    assert count_accounts(database) == 0


def test_services_that_start_together_migrate_once(settings) -> None:
    databases = [Database(settings.effective_database_url) for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(migrate, databases))  # raises what they raise
    assert count_accounts(databases[0]) == 0


def test_a_unit_of_work_that_raises_leaves_no_trace(database) -> None:
    def fail_half_way() -> None:
        with database.write() as session:
            session.add(Account(name="ada"))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert count_accounts(database) == 0


def test_what_a_reading_session_changes_is_not_kept(database) -> None:
    with database.read() as session:
        session.add(Account(name="ada"))
        session.flush()
    assert count_accounts(database) == 0


def test_a_writer_waits_for_the_other_and_sees_what_it_wrote(database) -> None:
    first_is_in = threading.Event()

    def add_slowly() -> None:
        with database.write() as session:
            session.add(Account(name="ada"))
            first_is_in.set()
            time.sleep(0.2)

    thread = threading.Thread(target=add_slowly)
    thread.start()
    first_is_in.wait()
    with database.write() as session:
        seen = session.scalar(text("SELECT count(*) FROM account"))
    thread.join()
    assert seen == 1


def test_times_come_back_aware_and_in_utc(database) -> None:
    with database.write() as session:
        account = Account(name="ada")
        session.add(account)
    with database.read() as session:
        again = session.get_one(Account, account.id)
        assert again.created_at == account.created_at
        assert again.created_at.utcoffset().total_seconds() == 0


def test_a_database_that_cannot_be_opened_is_our_error(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path}")  # a folder
    with pytest.raises(PlatformError) as caught, database.read() as session:
        session.execute(text("SELECT 1"))
    assert caught.value.code == "database-unavailable"
