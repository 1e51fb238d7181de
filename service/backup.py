"""Everything of an installation in one folder, and back: ``autodl admin backup`` and ``restore``.

A backup is taken while the service runs: all rows as they are at one moment, then the objects,
which never change once they are stored. It is the same for every database and every store, so it
moves an installation from SQLite to PostgreSQL, or from files to S3, as well.

    manifest.json    what the backup is, with the SHA-256 of each other list
    tables/NAME.jsonl    the rows, one JSON object a line
    objects.jsonl    each object's key, size and SHA-256
    objects/KEY      its bytes, hard links where the store is on the same disk
    secret           what sign-ins and links are made from, where the data directory has it
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date, datetime
from enum import Enum as PythonEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Column, Date, DateTime, Enum, Table, func, insert, select, text

from autodl.bundle import sha256_file
from autodl.errors import PlatformError, UsageError
from service.db import migrate, read_head, read_revision
from service.models import Base
from service.models.base import UtcDateTime
from service.storage.base import CHUNK_BYTES, StoredObject

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db import Database
    from service.settings import Settings
    from service.storage import Storage

SCHEMA = "autodl-backup/1"
PREFIXES = ("uploads", "runs")
BATCH = 500
SECRET = "secret"  # noqa: S105 a file's name


class Listed(BaseModel):
    """One list of the backup."""

    count: int
    sha256: str


class Manifest(BaseModel):
    """``manifest.json``, which is written last: without it a backup is none."""

    schema_: str = Field(default=SCHEMA, pattern=SCHEMA, alias="schema")
    version: str  #: of the program that wrote it
    revision: str  #: of the tables
    created_at: datetime
    tables: dict[str, Listed]
    objects: Listed
    size_bytes: int  #: of all objects
    missing: list[str]  #: keys that were removed meanwhile


def back_up(
    settings: Settings, database: Database, storage: Storage, folder: Path, now: datetime
) -> Manifest:
    """Write everything into a new folder, for its owner's eyes only.

    Raises ``UsageError`` (``output-not-empty``), ``PlatformError`` where something cannot be read.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(
            "output-not-empty", "A backup goes into a folder of its own.", file=str(folder)
        )
    (folder / "tables").mkdir()
    with database.read() as session:
        revision = read_revision(session)
        tables = {
            table.name: _write_lines(
                folder / "tables" / f"{table.name}.jsonl", _read_rows(session, table)
            )
            for table in Base.metadata.sorted_tables
        }
    keys = sorted(key for prefix in PREFIXES for key in storage.list(prefix))
    missing: list[str] = []
    found: list[StoredObject] = []
    for key in keys:
        try:
            found.append(_copy(storage, key, folder / "objects" / key))
        except PlatformError as error:
            if error.code != "object-not-found":
                raise
            missing.append(key)
    objects = _write_lines(folder / "objects.jsonl", map(asdict, found))
    if (settings.data / SECRET).is_file():
        shutil.copyfile(settings.data / SECRET, folder / SECRET)
        (folder / SECRET).chmod(0o600)
    manifest = Manifest(
        version=version("autodl-self-service"),
        revision=revision,
        created_at=now,
        tables=tables,
        objects=objects,
        size_bytes=sum(o.size_bytes for o in found),
        missing=missing,
    )
    aside = folder / ".manifest"
    aside.write_text(manifest.model_dump_json(indent=1, by_alias=True), encoding="utf-8")
    aside.replace(folder / "manifest.json")
    return manifest


def restore(settings: Settings, database: Database, storage: Storage, folder: Path) -> Manifest:
    """Bring everything back into a database without rows; all is verified before a row is written.

    Raises ``UsageError``: ``backup-invalid``, ``backup-of-another-version``, ``restore-not-empty``.
    """
    manifest = read_manifest(folder)
    if manifest.revision != read_head():
        raise UsageError(
            "backup-of-another-version",
            f"The backup was written by version {manifest.version}, with other tables.",
            hint="Restore it with that version; the next start of a newer one changes the tables.",
        )
    objects = list(_verify(folder, manifest))
    migrate(database)
    with database.write() as session:
        if any(session.execute(select(t).limit(1)).first() for t in Base.metadata.sorted_tables):
            raise UsageError(
                "restore-not-empty",
                "The database is in use: a backup is restored into an empty one.",
                hint="Name another --data, or another AUTODL_DATABASE_URL.",
            )
        storage.prepare()
        for stored in objects:
            with (folder / "objects" / stored.key).open("rb") as file:
                storage.put(stored.key, file)
        for table in Base.metadata.sorted_tables:
            _fill(session, table, folder / "tables" / f"{table.name}.jsonl")
    if (folder / SECRET).is_file():
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(folder / SECRET, settings.data / SECRET)
        (settings.data / SECRET).chmod(0o600)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Raises ``UsageError`` (``backup-invalid``) where there is none."""
    try:
        return Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise _invalid("it has no manifest.json, so it was not completed", folder) from error


def _verify(folder: Path, manifest: Manifest) -> Iterator[StoredObject]:
    """The objects, once every list and every object has turned out to be what it was."""
    lists = {f"tables/{name}.jsonl": listed for name, listed in manifest.tables.items()}
    for path, listed in (lists | {"objects.jsonl": manifest.objects}).items():
        if not (folder / path).is_file() or sha256_file(folder / path) != listed.sha256:
            raise _invalid(f"{path} is not as it was written", folder)
    for line in _read_lines(folder / "objects.jsonl"):
        stored = StoredObject(**line)
        path = f"objects/{stored.key}"
        if not (folder / path).is_file() or sha256_file(folder / path) != stored.sha256:
            raise _invalid(f"{path} is not as it was written", folder)
        yield stored


def _invalid(why: str, folder: Path) -> UsageError:
    return UsageError(
        "backup-invalid", f"This is no whole backup: {why}.", hint="Take another.", file=str(folder)
    )


def _read_rows(session: Session, table: Table) -> Iterator[dict[str, Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    for row in session.execute(query.execution_options(yield_per=BATCH)).mappings():
        yield {name: _to_plain(value) for name, value in row.items()}


def _to_plain(value: Any) -> Any:
    if isinstance(value, PythonEnum):
        return value.value
    return value.isoformat() if isinstance(value, date | datetime) else value


def _to_value(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, Enum):
        return column.type.enum_class(value)  # type: ignore[misc]
    if isinstance(column.type, UtcDateTime | DateTime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if isinstance(column.type, Date) else value


def _fill(session: Session, table: Table, path: Path) -> None:
    batch: list[dict[str, Any]] = []
    for row in _read_lines(path):
        batch.append({c.name: _to_value(c, row[c.name]) for c in table.columns})
        if len(batch) == BATCH:
            session.execute(insert(table), batch)
            batch = []
    if batch:
        session.execute(insert(table), batch)
    counted = table.autoincrement_column
    if counted is not None and session.get_bind().dialect.name == "postgresql":
        largest = select(func.coalesce(func.max(counted), 0) + 1)
        sequence = func.pg_get_serial_sequence(table.name, counted.name)
        session.execute(select(func.setval(sequence, largest.scalar_subquery(), text("false"))))


def _copy(storage: Storage, key: str, target: Path) -> StoredObject:
    """Hard links where they can be: an object is never changed, only replaced or removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = storage.path(key)
    try:
        if path is None:
            raise OSError("elsewhere")
        os.link(path, target)
    except OSError:
        with storage.open(key) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
    return StoredObject(key=key, size_bytes=target.stat().st_size, sha256=sha256_file(target))


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Listed:
    digest, count = hashlib.sha256(), 0
    with path.open("wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            file.write(line)
            count += 1
    return Listed(count=count, sha256=digest.hexdigest())


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
