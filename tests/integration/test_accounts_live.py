"""Accounts before a real server: requests at once, and webhooks that really arrive."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import httpx2
import pytest
from standardwebhooks import Webhook

from cli.serve import make_server
from service.app import create_app
from service.db import Database
from service.notifications.delivery import delivering
from service.settings import Settings
from tests.integration.conftest import SECRET, IdleExecutor
from tests.integration.serving import Server

ASKING = 12
WAIT_SECONDS = 120


@pytest.fixture
def server(tmp_path):
    server = Server(
        tmp_path / "data",
        secret=SECRET,
        registration="open",
        quota_submissions_per_day=2,
        webhook_networks=("127.0.0.0/8",),
    )
    server.start()
    yield server
    server.kill()


def sign_up(server: Server, name: str) -> httpx2.Response:
    form = {"identifier": (None, name), "password": (None, "three unusual words")}
    with httpx2.Client(base_url=server.url, timeout=WAIT_SECONDS) as browser:
        return browser.post("/sign-up", files=form, headers={"Origin": server.url})


def test_of_many_requests_at_once_as_many_are_accepted_as_the_quota_allows(server) -> None:
    def submit(_number: int) -> int:
        with server.client() as client:
            client.timeout = WAIT_SECONDS
            files = {"file": ("a.zip", b"PK")}
            return client.post("/v1/submissions", files=files).status_code

    with ThreadPoolExecutor(ASKING) as pool:
        statuses = sorted(pool.map(submit, range(ASKING)))
    assert statuses == [202] * 2 + [429] * (ASKING - 2)
    with server.client() as client:
        assert client.get("/v1/quota").json()["submissions_per_day"]["used"] == 2
        assert len(client.get("/v1/submissions").json()["items"]) == 2


def test_of_many_who_sign_up_at_once_with_a_name_one_gets_it_and_one_is_first(server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: sign_up(server, f"name {n % 4}"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [303] * 4 + [409] * 4
    with server.client() as client:
        accounts = client.get("/v1/admin/accounts").json()["items"]
    assert sorted(a["role"] for a in accounts) == ["admin"] * 2 + ["member"] * 3  # local, and one


@pytest.fixture
def receiver():
    """A web server that keeps what it is sent."""
    received: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_arrives_signed_and_its_delivery_is_noted(server, receiver) -> None:
    url, received = receiver
    settings = Settings(**server.settings)
    database = Database(settings.effective_database_url)
    with server.client() as client, delivering(settings, database):
        webhook = client.post("/v1/webhooks", json={"url": url}).json()
        sent = client.post(f"/v1/webhooks/{webhook['id']}/test").json()
        headers, body = received.get(timeout=WAIT_SECONDS)
    Webhook(webhook["secret"]).verify(body, headers)
    assert headers["webhook-id"] == sent["id"]
    assert json.loads(body)["type"] == "webhook.test"
    with server.client() as client:  # the loop has ended, and noted what it did
        path = f"/v1/webhooks/{webhook['id']}/deliveries"
        (delivery,) = client.get(path).json()["items"]
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    database.close()


def test_only_a_known_proxy_says_where_a_request_comes_from(tmp_path, monkeypatch) -> None:
    """The server itself reads the field; it must be told whom to believe."""
    given = {}

    class Config:
        def __init__(self, app, **options) -> None:
            given.update(options)

    class Server:
        def __init__(self, config) -> None: ...

    monkeypatch.setattr("uvicorn.Config", Config)
    monkeypatch.setattr("uvicorn.Server", Server)
    settings = Settings(data=tmp_path, proxies="10.0.0.0/8, 192.168.0.7", gpus=())
    make_server(create_app(settings, IdleExecutor()), lambda: None)
    assert given["forwarded_allow_ips"] == ["10.0.0.0/8", "192.168.0.7"]
