"""What the endpoints work with: made once by ``create_app``, asked for as a dependency."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from service.accounts.oidc import Provider
from service.accounts.rates import Rates
from service.auth import Signer
from service.db import Database
from service.executors.base import Executor
from service.settings import Settings
from service.storage import Storage
from service.uploads.signing import PartSigner


@dataclass(frozen=True)
class Context:
    """The seams of this installation."""

    settings: Settings
    database: Database
    storage: Storage
    executor: Executor
    signer: Signer
    part_signer: PartSigner
    rates: Rates  #: of signing in and up
    provider: Provider | None  #: of identities
    #: set when the service is about to end, so that streams end by themselves
    stopping: threading.Event = field(default_factory=threading.Event)


async def get_context(request: Request) -> Context:
    """The context of the application; a coroutine, so that it costs a request no thread."""
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(get_context)]
