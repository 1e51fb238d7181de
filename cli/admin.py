"""``autodl admin``: accounts and backups of a service, for whoever may read its data directory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodl.errors import UsageError

if TYPE_CHECKING:
    from service.accounts.schemas import AdminAccountView
    from service.backup import Manifest
    from service.db import Database
    from service.settings import Settings

Data = Annotated[Path | None, typer.Option("--data", help="The service's data directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The account's name, e-mail address or id.")]
UNLIMITED = "none"

app = typer.Typer(
    help="Manage this machine's service: accounts, backups, and whether all is well.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add the verbs."""
    parent.add_typer(app, name="admin")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="An e-mail address or a pseudonym.")],
    is_admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an account; the password is asked for, or read from standard input."""
    from service.accounts import admin
    from service.models import Role

    password = _read_password()
    with _open(data) as (_, database):
        role = Role.ADMIN if is_admin else Role.MEMBER
        account = admin.create_account(database, admin.CLI, name, password, role)
    if as_json:
        typer.echo(json.dumps({"id": account.id, "name": account.name, "role": role.value}))
    else:
        typer.echo(f"{account.name} can sign in now{', and is an administrator' * is_admin}.")


@app.command("list")
def list_accounts(data: Data = None, as_json: Json = False) -> None:
    """Show every account, oldest first."""
    from service.accounts import repository
    from service.accounts.schemas import describe_for_admin

    views: list[AdminAccountView] = []
    with _open(data) as (_, database), database.read() as session:
        while page := repository.list_accounts(
            session, limit=500, after=views[-1].id if views else ""
        ):
            views += [describe_for_admin(account) for account in page]
    if as_json:
        typer.echo(json.dumps([v.model_dump(mode="json", exclude={"quota"}) for v in views]))
        return
    for view in views:
        state = "disabled" if view.disabled_at else view.role.value
        own = "  ".join(f"{k}={_say(v)}" for k, v in sorted(view.limits.items()))
        typer.echo(f"{view.id}  {state:8}  {view.name}  {own}".rstrip())


@app.command()
def set_quota(
    name: Name,
    submissions: Annotated[str | None, typer.Option(help="A day; `none` is no limit.")] = None,
    compute_minutes: Annotated[str | None, typer.Option(help="A day; or `none`.")] = None,
    stored_bytes: Annotated[str | None, typer.Option(help="In all; or `none`.")] = None,
    parallel_runs: Annotated[str | None, typer.Option(help="At once; or `none`.")] = None,
    weight: Annotated[float | None, typer.Option(min=0.001, help="Share of the slots.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="The operator's first.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give an account limits of its own; what is not named stays as it is."""
    given = {
        "submissions_per_day": submissions,
        "compute_minutes_per_day": compute_minutes,
        "stored_bytes": stored_bytes,
        "parallel_runs": parallel_runs,
    }
    change = {key: _parse(key, value) for key, value in given.items() if value is not None}
    if not change and weight is None and not reset:
        raise UsageError("limit-invalid", "Nothing is to be changed.", hint="See --help.")

    def update(before: dict[str, Any]) -> dict[str, Any]:
        return {"limits": ({} if reset else before) | change, "weight": weight}

    _change(data, name, update, as_json)


@app.command()
def disable(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Enable it again.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let an account do nothing any more; what it submitted stays."""
    _change(data, name, lambda _: {"disabled": not undo}, as_json)


@app.command()
def audit(
    deep: Annotated[bool, typer.Option("--deep", help="Read every bundle, too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare the database with itself and with the store; ends with 1 if something is wrong."""
    from service.integrity import audit as look
    from service.storage import open_storage

    with _open(data) as (settings, database):
        found = look(settings, database, open_storage(settings.effective_storage), deep=deep)
    if as_json:
        flaws = [flaw._asdict() for flaw in found.flaws]
        typer.echo(json.dumps({"counts": found.counts, "flaws": flaws}))
    else:
        for name, count in found.counts.items():
            typer.echo(f"{count:>8}  {name}")
        for flaw in found.flaws:
            typer.echo(f"{flaw.kind}: {flaw.subject}: {flaw.message}")
        typer.echo(f"{len(found.flaws)} statements do not hold." if found.flaws else "All is well.")
    if found.flaws:
        raise typer.Exit(1)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write everything into a folder, while the service runs."""
    from service.backup import back_up
    from service.models import utc_now
    from service.storage import open_storage

    with _open(data) as (settings, database):
        storage = open_storage(settings.effective_storage)
        manifest = back_up(settings, database, storage, folder, utc_now())
    _tell_backup("kept in", folder, manifest, as_json)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back, into a database without rows."""
    from service.backup import restore as bring_back
    from service.storage import open_storage

    with _open(data) as (settings, database):
        storage = open_storage(settings.effective_storage)
        manifest = bring_back(settings, database, storage, folder)
    _tell_backup("restored from", folder, manifest, as_json)


def _tell_backup(done: str, folder: Path, manifest: Manifest, as_json: bool) -> None:
    if as_json:
        typer.echo(manifest.model_dump_json(by_alias=True))
        return
    rows = sum(listed.count for listed in manifest.tables.values())
    size = manifest.size_bytes / 1e6
    typer.echo(f"{rows} rows and {manifest.objects.count} objects ({size:.1f} MB) {done} {folder}.")


def _change(data: Path | None, name: str, update: Any, as_json: bool) -> None:
    from service.accounts import admin, repository
    from service.accounts.service import normalize_identifier

    with _open(data) as (_, database), database.write() as session:
        account = repository.find_by_identifier(
            session, normalize_identifier(name)
        ) or repository.get_account(session, name)
        admin.change_account(session, admin.CLI, account.id, **update(account.limits))
    if as_json:
        changed = {"id": account.id, "limits": account.limits, "weight": account.weight}
        typer.echo(json.dumps(changed | {"disabled": account.disabled_at is not None}))
    else:
        typer.echo(f"{account.name}: done.")


@contextmanager
def _open(data: Path | None) -> Iterator[tuple[Settings, Database]]:
    from cli.serve import check_folder, read_settings
    from service.db import Database, migrate

    settings = read_settings(data=data)
    check_folder(settings.data)
    database = Database(settings.effective_database_url)
    migrate(database)
    try:
        yield settings, database
    finally:
        database.close()


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _parse(key: str, value: str) -> float | None:
    from pydantic import ValidationError

    from service.accounts.limits import Limits

    if value == UNLIMITED:
        return None
    try:
        limits = Limits.model_validate({key: value})
    except ValidationError as error:
        raise UsageError(
            "limit-invalid",
            f"{value!r} is not a limit: {error.errors()[0]['msg']}.",
            hint=f"Give a number, or `{UNLIMITED}`.",
        ) from error
    parsed: float = getattr(limits, key)
    return parsed


def _say(value: float | None) -> str:
    return UNLIMITED if value is None else f"{value:g}"
