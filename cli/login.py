"""The verbs that keep and forget a token."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import Json, Logins, Url, find_url, read_token


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(login)
    app.command()(logout)


def login(
    url: Url = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Take the token from this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep a token for a service, after trying it.

    The service becomes the default one. The token is asked for, or read from stdin where that is
    no terminal. It is kept in the desktop's keyring if there is one, else in a file that only you
    can read.
    """
    from client import Client

    address = find_url(url)
    if token_file is not None:
        token = read_token(token_file)
    elif sys.stdin.isatty():
        token = typer.prompt(f"Token for {address}", hide_input=True, err=True).strip()
    else:
        token = sys.stdin.readline().strip()
    with Client(address, token) as service:
        service.list_submissions(limit=1)  # raises what is wrong with the token
    place = Logins().keep(address, token)
    if as_json:
        typer.echo(json.dumps({"url": address, "kept_in": place}))
    else:
        typer.echo(f"Logged in to {address}. The token is kept in {place}.", err=True)


def logout(url: Url = None, as_json: Json = False) -> None:
    """Forget the token for a service.

    The service is not told: a token that others may know is to be revoked there.
    """
    address = find_url(url)
    known = Logins().forget(address)
    if as_json:
        typer.echo(json.dumps({"url": address, "was_logged_in": known}))
    elif known:
        typer.echo(f"Logged out of {address}.", err=True)
    else:
        typer.echo(f"You were not logged in to {address}.", err=True)
