"""The door that is not for the public: a port of its own, where the operator has given it one."""

from __future__ import annotations

from ipaddress import ip_address

from fastapi import Request

from autodl.errors import UsageError
from service.context import ContextDep


def check_port(request: Request, context: ContextDep) -> None:
    """Nothing is here for those who come in by the public port, where there is another one.

    Raises ``UsageError`` (``resource-not-found``).
    """
    internal = context.settings.internal_port
    if internal is not None and request.scope["server"][1] != internal:
        raise UsageError("resource-not-found", "There is nothing at this address.")


def check_near(request: Request, context: ContextDep) -> None:
    """Without a port of its own, what is here is for this machine. Raises like ``check_port``."""
    check_port(request, context)
    if context.settings.internal_port is None and not _is_near(request):
        raise UsageError("resource-not-found", "There is nothing at this address.")


def _is_near(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
