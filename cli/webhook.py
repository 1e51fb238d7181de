"""``autodl webhook``: addresses that a service tells when a submission has ended."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cli.connection import Json, TokenFile, Url, connect

Id = Annotated[str, typer.Argument(metavar="ID", help="A webhook's id.")]

app = typer.Typer(
    help="Have addresses told when a submission has ended.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add the verbs."""
    parent.add_typer(app, name="webhook")


@app.command()
def create(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where events are sent to.")],
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Have an address told; prints the secret that signs what it is sent, this once."""
    with connect(url, token_file) as service:
        made = service.create_webhook(address)
    if as_json:
        typer.echo(json.dumps({"id": made.id, "url": made.url, "secret": made.secret}))
        return
    typer.echo(made.secret)
    typer.echo(f"The webhook is {made.id}. Its secret is shown only now.", err=True)


@app.command("list")
def list_webhooks(url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """List your webhooks, oldest first: id, time (UTC), address."""
    with connect(url, token_file) as service:
        found = service.list_webhooks()
    if as_json:
        rows = [{"id": w.id, "url": w.url, "created_at": w.created_at.isoformat()} for w in found]
        typer.echo(json.dumps(rows, indent=1))
        return
    for webhook in found:
        typer.echo(f"{webhook.id}  {webhook.created_at:%Y-%m-%d %H:%M}  {webhook.url}")


@app.command("test")
def send_test(
    webhook_id: Id, url: Url = None, token_file: TokenFile = None, as_json: Json = False
) -> None:
    """Send it an event that means nothing."""
    with connect(url, token_file) as service:
        sent = service.test_webhook(webhook_id)
    typer.echo(json.dumps(sent, indent=1) if as_json else f"{sent['event']}: {sent['state']}")


@app.command()
def delete(
    webhook_id: Id, url: Url = None, token_file: TokenFile = None, as_json: Json = False
) -> None:
    """Tell it no more."""
    with connect(url, token_file) as service:
        service.delete_webhook(webhook_id)
    if as_json:
        typer.echo(json.dumps({"id": webhook_id, "deleted": True}))
