"""Where webhooks may go (SSRF), and how they are signed."""

import asyncio
import ipaddress
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from autodl.errors import PlatformError, UsageError
from service.auth import Signer
from service.notifications import webhooks

PRIVATE = [
    *("127.0.0.1", "127.1", "127.255.255.254", "0.0.0.0", "0", "10.0.0.1", "10.255.255.255"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("0x7f.1", "017700000001", "localhost", "LOCALHOST", "localhost."),
    *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b::a00:1]", "[2002:7f00:1::]", "[2002:a00:1::]", "[2002:a9fe:a9fe::]"),
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",  # Teredo's server, and 127.0.0.1 behind it
]
MALFORMED = [
    *("", "https://", "ftp://example.org", "file:///etc/passwd", "gopher://127.0.0.1:25/_HELO"),
    *("//example.org", "example.org", "https://user:pass@example.org", "https://u@example.org"),
    *("https://example.org#part", "https://exa mple.org", "https://example.org/\r\nHost: x"),
    *(
        "https://ex\u00e4mple.org",
        "https://[::1",
        "https://example.org:99999",
        "javascript:alert(1)",
    ),
    "https://example.org/" + "a" * 2000,
]
PUBLIC = ("8.8.8.8", "1.1.1.1", "[2606:4700:4700::1111]")


def resolve(url: str, *allowed: str) -> webhooks.Target:
    return asyncio.run(webhooks.resolve(url, allowed))


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_private_address_is_spoken_to_however_it_is_written(host, scheme) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(f"{scheme}://{host}/hook")
    assert caught.value.code == "webhook-url-refused"


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_address_of_the_web_is_refused(url) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(url)
    assert caught.value.code == "webhook-url-refused"


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_taken_by_https_only(host) -> None:
    target = resolve(f"https://{host}:8443/hook?x=1")
    assert (str(target.address), target.port) == (host.strip("[]"), 8443)
    with pytest.raises(UsageError, match="must begin with https"):
        resolve(f"http://{host}/hook")


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::1"]])
def test_a_name_is_judged_by_all_of_its_addresses(monkeypatch, answers) -> None:
    async def answer(self, host, port, **options):
        del self, host, options
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answers]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", answer)
    with pytest.raises(UsageError, match="not a public one"):
        resolve("https://two-faced.example.org/")


@given(st.ip_addresses())
def test_only_global_addresses_are_public(address) -> None:
    if webhooks.is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_as_public_as_itself(address) -> None:
    number = int(address)
    disguises = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]
    for disguise in disguises:
        assert webhooks.is_public(disguise) == webhooks.is_public(address), disguise


def test_an_operator_may_allow_private_networks() -> None:
    target = resolve("http://127.0.0.1:9/hook", "10.0.0.0/8", "127.0.0.0/8")
    assert target.port == 9
    with pytest.raises(UsageError):
        resolve("http://127.0.0.1:9/hook", "10.0.0.0/8")


def test_each_webhook_has_a_secret_of_its_own_that_is_nowhere_kept() -> None:
    signer = Signer("a secret")
    one, two = (webhooks.webhook_secret(signer, name) for name in ("one", "two"))
    assert one.startswith("whsec_")
    assert one != two
    assert one == webhooks.webhook_secret(Signer("a secret"), "one")
    assert one != webhooks.webhook_secret(Signer("another"), "one")


class Receiver:
    """A web server on this machine that says what it is told to."""

    def __init__(self, answer: bytes, pause: float = 0) -> None:
        self.answer, self.pause = answer, pause
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def handle(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        await asyncio.sleep(self.pause)
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    async def post(self, host: str = "127.0.0.1") -> str:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://{host}:{port}/hook?a=b"
            target = await webhooks.resolve(url, ["127.0.0.0/8", "::1/128"])
            secret = webhooks.webhook_secret(Signer("s"), "w")
            return await webhooks.post(target, secret, "msg-1", "webhook.test", {"x": "ü"})


def http(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "content-length: 0", "", ""]).encode()


def test_a_request_is_signed_after_standard_webhooks() -> None:
    receiver = Receiver(http("204 No Content"))
    assert asyncio.run(receiver.post()) == "The answer was 204."
    ((headers, body),) = receiver.requests
    told = Webhook(webhooks.webhook_secret(Signer("s"), "w")).verify(body, headers)
    assert told["type"] == "webhook.test"
    assert told["data"] == {"x": "ü"}
    assert headers["webhook-id"] == "msg-1"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(webhooks.webhook_secret(Signer("s"), "w")).verify(body + b" ", headers)
    assert json.loads(body)["timestamp"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http("500 Internal Server Error"), "webhook-failed"),
        (http("404 Not Found"), "webhook-failed"),
        (http("302 Found", "location: http://127.0.0.1:1/"), "webhook-failed"),
        (http("410 Gone"), "webhook-gone"),
        (b"", "webhook-failed"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "webhook-failed"),
    ],
)
def test_an_answer_that_is_no_success_is_a_failure_and_no_redirect_is_followed(
    answer, code
) -> None:
    receiver = Receiver(answer)
    with pytest.raises(PlatformError) as caught:
        asyncio.run(receiver.post())
    assert caught.value.code == code
    assert len(receiver.requests) == 1


def test_a_slow_answer_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(webhooks, "POST_SECONDS", 0.2)
    with pytest.raises(PlatformError, match="No answer within"):
        asyncio.run(Receiver(http("200 OK"), pause=30).post())
