"""``autodl serve``: the service on this machine, with the loop that gives submissions a run."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodl.errors import UsageError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from service.settings import Settings

GRACE_SECONDS = 5


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """Start the service and print its address; Ctrl-C ends it, and runs go on.

    Without an option, AUTODL_HOST, AUTODL_PORT and AUTODL_DATA count.
    """
    settings = read_settings(host=host, port=port, data=data)
    check_folder(settings.data)
    with ExitStack() as stack:
        sockets = [stack.enter_context(_listen(settings.host, settings.port))]
        if settings.internal_port is not None:
            sockets.append(stack.enter_context(_listen(settings.host, settings.internal_port)))
        from service import log, tracing
        from service.app import TOKEN_FILE, create_app, prepare
        from service.executors import open_executor
        from service.notifications.delivery import delivering
        from service.reconciler import reconciling

        log.configure(settings.log_format)
        tracing.configure(settings, "api")
        token_file = settings.data / TOKEN_FILE
        is_first = not token_file.exists()
        app = create_app(settings, open_executor(settings))
        context = app.state.context
        token = prepare(context)
        address = _address(settings.host, sockets[0].getsockname()[1])
        links = {"url": address, "data": str(settings.data)}
        if token is not None:
            links["login_url"] = f"{address}/login?code={_login_code(app, token)}"
        if settings.reconcile:
            stack.enter_context(
                reconciling(settings, context.database, context.storage, context.executor)
            )
            stack.enter_context(delivering(settings, context.database))
        server = make_server(app, lambda: _announce(links, token if is_first else None, as_json))
        server.run(sockets=sockets)


def read_settings(**options: Any) -> Settings:
    """The settings: options that are given, else the environment's; ``setting-invalid``."""
    from service.settings import Settings, load_settings

    return load_settings(Settings, **{k: v for k, v in options.items() if v is not None})


def check_folder(data: Path) -> None:
    """Whether everything can be kept there; it is made if it does not exist."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)  # users' data lie there
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise UsageError(
            "data-directory-unusable",
            f"Nothing can be written to the data directory: {_explain(error)}.",
            hint="Choose another one with --data or AUTODL_DATA.",
            file=str(data),
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            "address-unavailable",
            f"The service cannot listen on {host}, port {port}: {_explain(error)}.",
            hint="Another program, perhaps this service, has it; take another with --port.",
        ) from error


def _explain(error: OSError) -> str:
    known = error.errno in errno.errorcode
    return os.strerror(error.errno).lower() if error.errno and known else "no such host"


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 only compared
    return f"http://{f'[{shown}]' if ':' in shown and shown[0] != '[' else shown}:{port}"


def _login_code(app: FastAPI, token: str) -> str:
    from service.accounts.tokens import find_token
    from service.auth import LOGIN_LINK_SECONDS

    with app.state.context.database.read() as session:
        row = find_token(session, token)
    assert row is not None, "the token was just made sure of"
    code: str = app.state.context.signer.sign("login", row.id, LOGIN_LINK_SECONDS)
    return code


def _announce(links: dict[str, str], new_token: str | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(links))
        return
    typer.echo(f"AutoDL Self-Service is at {links['url']}")
    if "login_url" in links:
        typer.echo(f"Log in, within an hour:   {links['login_url']}")
        if new_token:
            typer.echo(f"Your token, for clients:  {new_token}")
        typer.echo(f"It is kept in             {Path(links['data']) / 'token'}")
    else:
        typer.echo("Others reach this address: make accounts with `autodl admin create NAME`.")
    typer.echo("Ctrl-C ends the service. Runs go on and are taken up again at the next start.")


def make_server(app: FastAPI, on_ready: Callable[[], None]) -> uvicorn.Server:
    """The HTTP server, which calls ``on_ready`` as soon as it listens."""
    import uvicorn

    class Server(uvicorn.Server):
        """Tells when it is ready, and ends open event streams when it is told to stop."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            with suppress(OSError):  # where this is written to may be full: it works all the same
                on_ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.context.stopping.set()
            super().handle_exit(sig, frame)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # The original raises the signal again in the end, when we still have a loop to stop.
            signals = (signal.SIGINT, signal.SIGTERM)
            before = [(number, signal.signal(number, self.handle_exit)) for number in signals]
            try:
                yield
            finally:
                for number, handler in before:
                    signal.signal(number, handler)

    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=list(app.state.context.settings.proxies),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
