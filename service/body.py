"""The body of a request, as it arrives: nobody may make us wait for the next byte for ever."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import anyio.from_thread
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autodl.errors import UsageError
from service.errors import StalledError

# What a body must bring at least: a link of a kilobyte a second still sends everything.
PATIENCE_SECONDS = 60.0
PATIENCE_BYTES = 60 * 1024
PIECE_BYTES = 1024 * 1024  # handed on at once, so that it is worth a thread
SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):", re.IGNORECASE)


class Patience:
    """Middleware: a body that does not come, or byte by byte, is refused (``upload-stalled``).

    Only the time counts in which we wait for the sender, not that which we take for its bytes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived, waited, is_coming = 0, 0.0, True

        async def receive_in_time() -> Message:
            nonlocal arrived, waited, is_coming
            if not is_coming:
                return await receive()  # the end of the connection, which may be far
            start = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS - waited):
                    message = await receive()
            except TimeoutError as error:
                raise StalledError from error
            waited += time.monotonic() - start
            arrived += len(message.get("body", b""))
            is_coming = message.get("more_body", False)
            if arrived >= PATIENCE_BYTES:
                arrived, waited = 0, 0.0
            return message

        await self.app(scope, receive_in_time, send)


async def stream_body(request: Request) -> AsyncIterator[list[bytes]]:
    """The body, so many of its chunks at a time that they are worth a thread."""
    stream = request.stream()
    while chunks := await _gather(stream):
        yield chunks


async def _gather(stream: AsyncGenerator[bytes, None]) -> list[bytes]:
    """The next chunks; none at the end of the body."""
    chunks, size = [], 0
    async for chunk in stream:
        if chunk:
            chunks.append(chunk)
        size += len(chunk)
        if size >= PIECE_BYTES:
            break
    return chunks


def read_body(request: Request) -> Iterator[bytes]:
    """The body in chunks, pulled from the event loop by an endpoint's thread."""
    stream = stream_body(request)

    async def read_chunks() -> list[bytes]:
        return await anext(stream, [])

    while chunks := anyio.from_thread.run(read_chunks):
        yield from chunks


def find_length(request: Request) -> int | None:
    """What the request says of its own length, if it does."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def find_digest(request: Request) -> str | None:
    """The SHA-256 in hexadecimal that the request says its content has, if it does.

    From ``Content-Digest`` or ``Repr-Digest`` (RFC 9530), or as S3's clients say it, from
    ``x-amz-checksum-sha256``. Raises ``UsageError`` (``digest-invalid``) when that is none.
    """
    value = request.headers.get("x-amz-checksum-sha256")
    for name in ("content-digest", "repr-digest"):
        if value is None and name in request.headers:
            found = SHA256.search(request.headers[name])
            value = found[1] if found else None  # other algorithms may be ignored
    if value is None:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise UsageError(
            "digest-invalid",
            "The digest of the content is not a SHA-256 in base64.",
            hint="Content-Digest: sha-256=:BASE64:",
        )
    return digest.hex()


def format_digest(sha256: str) -> str:
    """The value of a digest field (RFC 9530) from hexadecimal."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
