"""The drill: what was lost with its machine is back, from a folder, whatever database it had."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from autodl.errors import UsageError
from cli.main import app
from service.backup import back_up, restore
from service.db import Database
from service.integrity import audit
from service.models import Base, Upload, utc_now
from service.settings import Settings
from service.storage import open_storage
from service.submissions import asking, service

FILES = {"log.txt": b"epoch 1\n", "result.json": b"{}", "curve.json": b"{}", "manifest.json": b"{}"}


@pytest.fixture
def succeed(installation):
    """A submission that has come to its end with all that belongs to it; returns its id."""

    def succeed() -> str:
        submission_id = installation.submit(b"PK flowers")
        points = {f"predictions/{i}.predict": b"1 0\n" for i in range(2)}
        installation.succeed(submission_id, FILES | points)
        return submission_id

    return succeed


@pytest.fixture
def taken(installation, succeed, tmp_path) -> Path:
    """A backup of an installation with two submissions, one of which still waits."""
    succeed()
    installation.submit(b"PK waits")
    context = installation.context
    back_up(context.settings, context.database, context.storage, tmp_path / "kept", utc_now())
    return tmp_path / "kept"


@pytest.fixture
def elsewhere(tmp_path, database_url, request):
    """Another machine, with the other kind of database."""
    url = "" if database_url else request.getfixturevalue("postgresql").create()
    settings = Settings(data=tmp_path / "elsewhere", database_url=url, gpus=())
    database = Database(settings.effective_database_url)
    yield settings, database
    database.close()


def read_rows(database: Database) -> dict[str, list]:
    with database.read() as session:
        return {
            table.name: sorted(map(str, session.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }


def bring_back(elsewhere, folder: Path) -> None:
    settings, database = elsewhere
    restore(settings, database, open_storage(settings.effective_storage), folder)


def test_everything_is_back_on_another_machine_with_another_database(
    installation, taken, elsewhere
) -> None:
    bring_back(elsewhere, taken)
    settings, database = elsewhere
    storage = open_storage(settings.effective_storage)
    assert read_rows(database) == read_rows(installation.context.database)
    for prefix in ("uploads", "runs"):
        keys = installation.context.storage.list(prefix)
        assert keys
        assert storage.list(prefix) == keys
        assert [storage.read(k) for k in keys] == [
            installation.context.storage.read(k) for k in keys
        ]
    assert audit(settings, database, storage, deep=True, orphan_seconds=0).flaws == []
    with database.write() as session:  # and the numbers of new rows go on from there
        upload = session.scalars(select(Upload)).first()
        asked = asking.Request("n", 60.0, "winner")
        service.create_submission(session, upload.account_id, asked, upload)


def test_a_backup_is_for_its_owners_eyes_and_never_over_another(installation, taken) -> None:
    assert taken.stat().st_mode & 0o777 == 0o700
    context = installation.context
    with pytest.raises(UsageError) as caught:
        back_up(context.settings, context.database, context.storage, taken, utc_now())
    assert caught.value.code == "output-not-empty"


@pytest.mark.parametrize("name", ["manifest.json", "tables/run.jsonl", "objects.jsonl", "objects"])
def test_what_is_not_whole_is_not_restored(taken, elsewhere, name) -> None:
    path = taken / name
    if path.is_dir():
        path = next(p for p in sorted(path.rglob("*")) if p.is_file())
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-2] if name != "manifest.json" else b"{}")
    with pytest.raises(UsageError) as caught:
        bring_back(elsewhere, taken)
    assert caught.value.code == "backup-invalid"
    assert not (elsewhere[0].data / "storage").exists()


def test_nothing_is_restored_over_what_is_there(installation, taken) -> None:
    context = installation.context
    before = read_rows(context.database)
    with pytest.raises(UsageError) as caught:
        restore(context.settings, context.database, context.storage, taken)
    assert caught.value.code == "restore-not-empty"
    assert read_rows(context.database) == before


def test_a_backup_of_other_tables_names_the_version_that_can(taken, elsewhere) -> None:
    manifest = json.loads((taken / "manifest.json").read_text())
    (taken / "manifest.json").write_text(json.dumps(manifest | {"revision": "0000"}))
    with pytest.raises(UsageError, match=manifest["version"]) as caught:
        bring_back(elsewhere, taken)
    assert caught.value.code == "backup-of-another-version"


def test_the_commands_do_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AUTODL_DATABASE_URL", "")  # two data directories are two databases

    def admin(*words: str, data: str) -> str:
        command = ["admin", *words, "--data", str(tmp_path / data)]
        done = CliRunner().invoke(app, command, input="three unusual words\n")
        assert done.exit_code == 0, done.output
        return done.stdout

    admin("create", "ada@example.org", "--admin", data="old")
    assert "rows and 0 objects" in admin("backup", str(tmp_path / "kept"), data="old")
    admin("restore", str(tmp_path / "kept"), data="new")
    assert "ada@example.org" in admin("list", data="new")
    assert "All is well" in admin("audit", data="new")
    assert json.loads(admin("audit", "--json", data="new"))["flaws"] == []
