"""What every answer carries: the request's id, and what browsers may do with it.

Every line that is logged for a request has its id, and that of the trace that the client says it
belongs to (``traceparent``, W3C Trace Context).
"""

from __future__ import annotations

import re

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.models import new_id

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Of a later version the first four fields mean the same; all zeros is no trace.
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
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


def get_request_id(request: Request) -> str:
    """The client's own ``X-Request-ID`` where it is a harmless one, or ours."""
    request_id: str = request.scope["state"]["request_id"]
    return request_id


def make_headers(request_id: str) -> dict[str, str]:
    """The fields of every answer."""
    return {"X-Request-ID": request_id, **SECURITY_HEADERS}


_FIELDS = [(k.lower().encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]


class Envelope:
    """Middleware: gives each request its id, and each answer its fields."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        fields = [(b"x-request-id", request_id.encode()), *_FIELDS]

        async def send_wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                names = {name for name, _ in own}
                message["headers"] = [*own, *(f for f in fields if f[0] not in names)]
            await send(message)

        trace = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        known = {"request_id": request_id} | ({"trace_id": trace[1]} if trace else {})
        with structlog.contextvars.bound_contextvars(**known):
            await self.app(scope, receive, send_wrapped)
