"""The web application: the API and the pages, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text

from service import errors, metrics, tracing
from service.accounts import admin_endpoints
from service.accounts import endpoints as account_endpoints
from service.accounts.oidc import Provider
from service.accounts.rates import Rates
from service.accounts.tokens import ensure_local_token
from service.auth import Signer
from service.body import Patience
from service.context import Context, ContextDep
from service.db import Database, migrate
from service.envelope import Envelope
from service.executors.base import Executor
from service.leaderboard import endpoints as leaderboard_endpoints
from service.notifications import endpoints as webhook_endpoints
from service.runs import endpoints as runs
from service.settings import Settings
from service.storage import open_storage
from service.submissions import endpoints, queue_endpoints, share_endpoints
from service.submissions.schemas import ProblemView
from service.uploads import endpoints as uploads
from service.uploads.signing import PartSigner
from service.web import (
    accounts,
    admin,
    leaderboard,
    listing,
    mistakes,
    pages,
    preview,
    rendering,
    report,
    shared,
    submission,
    submitting,
    switch,
)

TOKEN_FILE = "token"  # noqa: S105 a file's name
THREADS = 128  # an upload holds one as long as it lasts


def create_app(settings: Settings, executor: Executor) -> FastAPI:
    """The application over these settings; its tables and its token are made at its start."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # users' data lie there
    secret = settings.read_secret()
    context = Context(
        settings=settings,
        database=Database(settings.effective_database_url),
        storage=open_storage(settings.effective_storage),
        executor=executor,
        signer=Signer(secret),
        part_signer=PartSigner(secret),
        rates=Rates("sign-in", settings.sign_in_rate),
        provider=Provider(settings) if settings.oidc_issuer else None,
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
        telemetry=tracing.REQUESTS,
    )
    app.state.context = context
    app.add_middleware(Patience)
    app.add_middleware(switch.LanguageOfRequest)
    app.add_middleware(Envelope)
    app.add_middleware(metrics.Measured)
    errors.install(app, rendering.render_problem)
    app.include_router(endpoints.router)
    app.include_router(share_endpoints.router)
    app.include_router(uploads.router)
    app.include_router(runs.router)
    app.include_router(metrics.router)
    app.include_router(queue_endpoints.router)
    app.include_router(account_endpoints.router)
    app.include_router(admin_endpoints.router)
    app.include_router(webhook_endpoints.router)
    app.include_router(leaderboard_endpoints.router)
    for page in (accounts, switch, pages, submitting):
        app.include_router(page.router)
    for page in (submission, listing, preview, mistakes, report, leaderboard, admin, shared):
        app.include_router(page.router)
    app.add_api_route("/healthz", report_alive, tags=["health"])
    app.add_api_route("/readyz", report_ready, tags=["health"], responses={"503": errors.PROBLEM})
    app.mount("/static", StaticFiles(directory=Path(pages.__file__).parent / "static"))
    app.openapi = lambda: _describe_api(app)  # type: ignore[method-assign]
    return app


def prepare(context: Context) -> str | None:
    """Bring the tables up to date, and see to the local token, which is returned.

    There is none where others reach the service: who can read this process's files there, such as a
    replica's, is no administrator for that.
    """
    migrate(context.database)
    if not context.settings.is_local:
        return None
    return ensure_local_token(context.database, context.settings.data / TOKEN_FILE)


async def report_alive() -> dict[str, str]:
    """The process answers; nothing else is asked."""
    return {"status": "alive"}


def report_ready(context: ContextDep) -> dict[str, str]:
    """The database and the store answer."""
    with context.database.read() as session:
        session.execute(text("SELECT 1 FROM submission LIMIT 1"))
    context.storage.exists("uploads/none")
    return {"status": "ready"}


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
