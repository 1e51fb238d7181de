"""Webhooks after the Standard Webhooks specification, to addresses of the public internet only.

The host is resolved once, every address of it is judged, and the request goes to the address that
was judged: a name that changes its mind meanwhile (DNS rebinding) gains nothing. No redirect is
followed, no proxy of the environment used, and of the answer only the status is read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import httpx2
from standardwebhooks import Webhook as StandardWebhook

from autodl.errors import PlatformError, UsageError
from service.models import Json

if TYPE_CHECKING:
    from service.auth import Signer

POST_SECONDS = 15.0  # for all of it
MAX_URL_CHARACTERS = 2000
NAT64 = ip_network("64:ff9b::/96")
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Target:
    """An address that may be spoken to."""

    url: SplitResult
    host: str
    port: int
    address: Address


def webhook_secret(signer: Signer, webhook_id: str) -> str:
    """What the webhook's requests are signed with; made anew whenever needed, never stored."""
    key = bytes.fromhex(signer.mac("webhook", webhook_id))
    return "whsec_" + base64.b64encode(key).decode()


def check_url(url: str) -> SplitResult:
    """The parts of a webhook's URL. Raises ``UsageError`` (``webhook-url-refused``)."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise _refuse("it is too long, or has other characters than ASCII's")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refuse(str(error)) from error
    if parts.scheme not in ("https", "http") or not host:
        raise _refuse("it must begin with https:// and a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refuse("it must have no user name, no password and no fragment")
    return parts


async def resolve(url: str, allowed: Sequence[str] = ()) -> Target:
    """Where a request may go; ``allowed`` are private networks that it may reach all the same.

    Raises ``UsageError`` (``webhook-url-refused``) unless every address of the host is public.
    """
    parts = check_url(url)
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refuse("its host has no address") from error
    addresses = [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    for address in addresses:
        is_allowed = any(_innermost(address) in ip_network(network) for network in allowed)
        if not is_allowed and not is_public(address):
            raise _refuse("its host is not a public one")
        if not is_allowed and parts.scheme != "https":
            raise _refuse("it must begin with https://")
    return Target(parts, host, port, addresses[0])


def is_public(address: Address) -> bool:
    """Whether the address is of the public internet, also when it is another one in disguise."""
    inner = _innermost(address)
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


async def post(target: Target, secret: str, message_id: str, event: str, data: Json) -> str:
    """Send an event; the answer in words.

    Raises ``PlatformError``: ``webhook-gone`` when the answer is 410, which asks to be told no
    more, ``webhook-failed`` when it is no success, or there is none in time.
    """
    now = datetime.now(UTC)
    body = json.dumps({"type": event, "timestamp": now.isoformat(), "data": data})
    signature = StandardWebhook(secret).sign(message_id, now, body)
    headers = {
        "Host": target.url.netloc,
        "Content-Type": "application/json",
        "User-Agent": "autodl-self-service",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    literal = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    url = target.url._replace(netloc=f"{literal}:{target.port}").geturl()
    try:
        async with asyncio.timeout(POST_SECONDS):
            async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as client:
                request = client.build_request(
                    "POST",
                    url,
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": target.host},
                )
                answer = await client.send(request, stream=True)
                await answer.aclose()
    except TimeoutError as error:
        raise PlatformError("webhook-failed", f"No answer within {POST_SECONDS:g} s.") from error
    except httpx2.HTTPError as error:
        raise PlatformError("webhook-failed", f"{type(error).__name__}: {error}") from error
    if answer.status_code == 410:
        raise PlatformError("webhook-gone", "The answer was 410: it wants to be told no more.")
    if not answer.is_success:
        raise PlatformError("webhook-failed", f"The answer was {answer.status_code}.")
    return f"The answer was {answer.status_code}."


def _refuse(why: str) -> UsageError:
    return UsageError(
        "webhook-url-refused",
        f"The webhook's address cannot be used: {why}.",
        hint="It must be an https:// address of the public internet.",
    )
