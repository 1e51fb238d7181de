"""The web application: the API, the pages, and what every answer carries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import errors
from service.auth import Sessions, ensure_local_token
from service.context import Context, ContextDep
from service.db import Database, migrate
from service.executors.base import Executor
from service.models import new_id
from service.settings import Settings
from service.storage import open_storage
from service.submissions import endpoints
from service.submissions.schemas import ProblemView
from service.web import pages

TOKEN_FILE = "token"  # noqa: S105 a file's name
THREADS = 128  # an upload holds one as long as it lasts
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types autodl"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(settings: Settings, executor: Executor) -> FastAPI:
    """The application over these settings; its tables and its token are made at its start."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # users' data lie there
    context = Context(
        settings=settings,
        database=Database(settings.effective_database_url),
        storage=open_storage(settings.effective_storage),
        executor=executor,
        sessions=Sessions(settings.read_secret()),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        await anyio.to_thread.run_sync(prepare, context)
        yield
        context.stopping.set()
        context.database.close()

    app = FastAPI(
        title="AutoDL Self-Service",
        version="1",
        summary="A labelled dataset in; a learning curve, a score and predictions out.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
    )
    app.state.context = context
    app.add_middleware(_Envelope)
    errors.install(app, pages.render_problem)
    app.include_router(endpoints.router)
    app.include_router(pages.router)
    app.add_api_route("/healthz", report_alive, tags=["health"])
    app.add_api_route(
        "/readyz", report_ready, tags=["health"], responses={"503": endpoints.PROBLEM}
    )
    app.mount("/static", StaticFiles(directory=Path(pages.__file__).parent / "static"))
    app.openapi = lambda: _describe_api(app)  # type: ignore[method-assign]
    return app


def prepare(context: Context) -> str:
    """Bring the tables up to date and see to the local token, which is returned."""
    migrate(context.database)
    return ensure_local_token(context.database, context.settings.data / TOKEN_FILE)


def report_alive() -> dict[str, str]:
    """The process answers; nothing else is asked."""
    return {"status": "alive"}


def report_ready(context: ContextDep) -> dict[str, str]:
    """The database and the store answer."""
    with context.database.read() as session:
        session.execute(text("SELECT 1 FROM submission LIMIT 1"))
    context.storage.exists("uploads/none")
    return {"status": "ready"}


class _Envelope:
    """Gives each request an id, and each answer the id and the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Request(scope).headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_wrapped)


def _describe_api(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of the API; the pages are not part of it."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        schema["components"]["schemas"]["ProblemView"] = ProblemView.model_json_schema()
        app.openapi_schema = schema
    return app.openapi_schema


def main() -> None:
    """``python -m service.app``: print the API's description, for ``docs/openapi.json``."""
    import json
    import sys
    import tempfile

    from service.executors.local import LocalExecutor

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        app = create_app(settings, LocalExecutor(settings))
        sys.stdout.write(json.dumps(app.openapi(), indent=1) + "\n")


if __name__ == "__main__":
    main()
