"""The body of a request, as it arrives: nobody may make us wait for the next byte for ever."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import anyio.from_thread
from fastapi import Request

from autodl.errors import UsageError

STALL_SECONDS = 60.0  # without a byte
CHUNK_BYTES = 1024 * 1024  # handed on at once, so that it is worth a thread
SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):", re.IGNORECASE)


async def stream_body(request: Request) -> AsyncIterator[bytes]:
    """The body in large pieces. Raises ``UsageError`` (``upload-stalled``)."""
    stream = request.stream()
    while piece := await _gather(stream):
        yield piece


async def _gather(stream: AsyncGenerator[bytes, None]) -> bytes:
    """So many chunks that they are worth a thread; empty at the end of the body."""
    chunks, size = [], 0
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(STALL_SECONDS) as limit:
            async for chunk in stream:
                chunks.append(chunk)
                size += len(chunk)
                if size >= CHUNK_BYTES:
                    break
                limit.reschedule(now() + STALL_SECONDS)
    except TimeoutError as error:
        raise UsageError(
            "upload-stalled",
            f"No byte has arrived for {STALL_SECONDS:g} seconds.",
            hint="Send it again; what was sent in whole parts is kept.",
        ) from error
    return b"".join(chunks)


def read_body(request: Request) -> Iterator[bytes]:
    """The same, pulled from the event loop by an endpoint's thread."""
    stream = stream_body(request)

    async def read_chunk() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(read_chunk)) is not None:
        yield chunk


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
