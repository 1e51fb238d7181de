"""The outbox: told once what was committed, tried again what did not arrive."""

import re
import smtplib
import socketserver
import ssl
import threading
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from autodl.errors import PlatformError
from service.models import Account, DeliveryState, Notification, Webhook, utc_now
from service.notifications import delivery, outbox, webhooks
from service.notifications.delivery import PAUSES_SECONDS, Deliverer
from service.notifications.mail import send_mail, write_mail
from service.submissions import service
from service.web.language import get_locale
from tests.unit.service.accounts.conftest import pass_check

ADA = "ada@example.org"


@pytest.fixture
def database_url() -> str:
    return ""


@pytest.fixture
def deliverer(settings, database) -> Deliverer:
    settings.data.mkdir(exist_ok=True)
    return Deliverer(settings, database)


@pytest.fixture
def reader_id(database, account_id) -> str:
    """An account whose address is confirmed."""
    with database.write() as session:
        account = session.get_one(Account, account_id)
        account.email, account.verified_at = ADA, utc_now()
    return account_id


def rows(database) -> list[Notification]:
    with database.read() as session:
        return session.query(Notification).order_by(Notification.id).all()


def read_mails(settings) -> list[str]:
    return [path.read_text() for path in sorted(settings.data.glob("mails/*.eml"))]


def test_a_mail_tells_that_a_submission_has_ended(
    database, settings, create, reader_id, deliverer
) -> None:
    with database.write() as session:
        submission = create(session)
        pass_check(session, submission)
        service.end_expired(session, submission)
    assert deliverer.tick() == 1
    assert deliverer.tick() == 0
    (mail,) = read_mails(settings)
    assert "Subject: flowers: expired" in mail
    assert f"/submissions/{submission.id}" in mail
    assert [n.state for n in rows(database)] == [DeliveryState.DELIVERED]


@pytest.mark.parametrize("change", [{"wants_mail": False}, {"verified_at": None}, {"email": None}])
def test_who_does_not_want_mail_or_has_not_confirmed_gets_none(
    database, create, reader_id, change
) -> None:
    with database.write() as session:
        for name, value in change.items():
            setattr(session.get_one(Account, reader_id), name, value)
        service.end_expired(session, create(session))
    assert rows(database) == []


def test_what_is_rolled_back_is_not_told(database, create, reader_id) -> None:
    def fail_after_the_deed() -> None:
        with database.write() as session:
            service.end_expired(session, create(session))
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_the_deed()
    assert rows(database) == []


def test_the_outbox_holds_no_link_that_opens_anything(
    database, settings, reader_id, deliverer
) -> None:
    with database.write() as session:
        outbox.enqueue_mail(session, reader_id, "account.reset", ADA)
    (row,) = rows(database)
    assert row.payload == {"to": ADA}
    deliverer.tick()
    (mail,) = read_mails(settings)
    assert "/reset?code=" in mail


def test_every_event_has_a_mail(settings, database, create, reader_id) -> None:
    with database.write() as session:
        submission = create(session)
        service.end_expired(session, submission)
        submission.result = {"alc": None, "nauc": 0.5}
        submission.error = {"hint": "Look at record 3."}
        for state in outbox.MAILED:
            mail = write_mail(settings, f"submission.{state.value}", ADA, submission=submission)
            assert mail["Subject"].startswith("flowers: ")
        for event in ("account.verify", "account.reset"):
            assert "CODE" in write_mail(settings, event, ADA, code="CODE").get_content()
        assert "/login" in write_mail(settings, "account.exists", ADA).get_content()


@pytest.mark.parametrize("locale", ["fr", "zh-Hans"])
def test_a_mail_is_in_the_language_of_the_account(
    settings, database, create, reader_id, deliverer, locale
) -> None:
    """All of its words, but for names, figures and what the service only knows in English."""
    with database.write() as session:
        session.get_one(Account, reader_id).locale = locale
        submission = create(session)
        pass_check(session, submission)
        service.end_expired(session, submission)
        outbox.enqueue_mail(session, reader_id, "account.verify", ADA)
    deliverer.tick()
    folder = settings.data / "mails"
    mails = [
        message_from_bytes(p.read_bytes(), policy=policy.default) for p in folder.glob("*.eml")
    ]
    assert len(mails) == 2
    for mail in mails:
        assert mail["Content-Language"] == locale
        text = f"{mail['Subject']}\n{mail.get_content()}"
        text = re.sub(r"http\S+|AutoDL Self-Service|flowers", "", text)
        assert not re.search(r"\b(the|you|it|expired|link|queue)\b", text, re.I), text
    assert get_locale() == "en"


def test_a_name_cannot_add_a_header(settings) -> None:
    class Submission:
        id, status_reason, result = "x", "Done.", None
        name = "flowers\r\nBcc: everybody@example.org"

    mail = write_mail(settings, "submission.succeeded", ADA, submission=Submission())
    assert mail["Bcc"] is None


def test_what_did_not_arrive_is_tried_again_ever_more_seldom_and_then_given_up(
    database, account_id, deliverer, monkeypatch
) -> None:
    with database.write() as session:
        webhook = Webhook(account_id=account_id, url="https://127.0.0.1/")  # refused each time
        session.add(webhook)
        session.flush()
        outbox.enqueue_webhook(session, webhook, "webhook.test", {})
    pauses = []
    while rows(database)[0].state is DeliveryState.PENDING:
        before = utc_now()
        assert deliverer.tick() == 1
        assert deliverer.tick() == 0  # not due
        (row,) = rows(database)
        pauses.append(round((row.next_attempt_at - before).total_seconds()))
        with database.write() as session:
            session.get_one(Notification, row.id).next_attempt_at = utc_now() - timedelta(seconds=1)
    assert row.state is DeliveryState.DEAD
    assert row.attempts == len(PAUSES_SECONDS) + 1
    for pause, wanted in zip(pauses, PAUSES_SECONDS, strict=False):
        assert wanted <= pause <= wanted + 60
    assert "public" in row.last_answer
    assert deliverer.tick() == 0


def test_a_deliverer_that_dies_loses_nothing(database, reader_id, deliverer, monkeypatch) -> None:
    with database.write() as session:
        outbox.enqueue_mail(session, reader_id, "account.exists", ADA)
    assert len(deliverer._claim()) == 1  # and then the lights go out
    assert deliverer._claim() == []
    monkeypatch.setattr(delivery, "utc_now", lambda: utc_now() + timedelta(seconds=121))
    assert len(deliverer._claim()) == 1


def test_a_webhook_that_answers_gone_is_removed(
    database, account_id, deliverer, monkeypatch
) -> None:
    async def answer_gone(*_args: object) -> str:
        raise PlatformError("webhook-gone", "The answer was 410.")

    async def find_anything(url: str, allowed: object) -> str:
        del allowed
        return url

    monkeypatch.setattr(webhooks, "resolve", find_anything)
    monkeypatch.setattr(webhooks, "post", answer_gone)
    with database.write() as session:
        webhook = Webhook(account_id=account_id, url="https://example.org/")
        session.add(webhook)
        session.flush()
        outbox.enqueue_webhook(session, webhook, "webhook.test", {})
        outbox.enqueue_webhook(session, webhook, "webhook.test", {})
    deliverer.tick()
    with database.read() as session:
        assert outbox.list_webhooks(session, account_id) == []


def test_one_fault_does_not_keep_the_others_from_being_told(
    database, settings, account_id, reader_id, deliverer
) -> None:
    with database.write() as session:
        webhook = Webhook(account_id=account_id, url="https://127.0.0.1/")
        session.add(webhook)
        session.flush()
        outbox.enqueue_webhook(session, webhook, "webhook.test", {})
        outbox.enqueue_mail(session, reader_id, "account.exists", ADA)
    deliverer.tick()
    assert len(read_mails(settings)) == 1


def test_a_webhook_is_told_of_a_submission_as_it_is_and_of_a_deleted_one_nothing(
    database, create, account_id, deliverer, monkeypatch
) -> None:
    told = []

    async def find_anything(url: str, allowed: object) -> str:
        del allowed
        return url

    async def keep(_target: object, _secret: str, _id: str, event: str, data: dict) -> str:
        told.append((event, data["id"], data["name"], data["state"]))
        return "The answer was 204."

    monkeypatch.setattr(webhooks, "resolve", find_anything)
    monkeypatch.setattr(webhooks, "post", keep)
    with database.write() as session:
        session.add(Webhook(account_id=account_id, url="https://example.org/"))
        kept, deleted = create(session), create(session)
        for submission in (kept, deleted):
            service.end_expired(session, submission)
        deleted.deleted_at = utc_now()
    assert all("flowers" not in str(row.payload) for row in rows(database))
    assert deliverer.tick() == 2
    assert told == [("submission.expired", kept.id, "flowers", "expired")]


def test_what_was_told_long_ago_is_forgotten(database, reader_id, deliverer) -> None:
    with database.write() as session:
        for _ in range(3):
            outbox.enqueue_mail(session, reader_id, "account.exists", ADA)
    with database.write() as session:
        old, recent, waiting = session.query(Notification)
        old.state = recent.state = DeliveryState.DELIVERED
        for row in (old, waiting):
            row.created_at -= timedelta(days=outbox.KEPT_DAYS + 1)
        outbox.purge(session)
    assert {row.id for row in rows(database)} == {recent.id, waiting.id}


class Smtp:
    """What a session with a mail server was like."""

    log: list[str] = []  # noqa: RUF012 one for all of a test's
    offers_tls = True

    def __init__(self, host: str, port: int, **_options: object) -> None:
        self.log[:] = [f"{type(self).__name__} {host}:{port}"]

    def __enter__(self):
        return self

    def __exit__(self, *_error: object) -> None:
        self.log.append("quit")

    def ehlo(self) -> None: ...

    def has_extn(self, name: str) -> bool:
        return name == "starttls" and self.offers_tls

    def starttls(self, context: ssl.SSLContext) -> None:
        assert context.check_hostname
        self.log.append("starttls")

    def login(self, user: str, password: str) -> None:
        self.log.append(f"login {user} {password}")

    def send_message(self, message) -> None:
        self.log.append(f"to {message['To']}")


@pytest.mark.parametrize(
    ("url", "offers_tls", "log"),
    [
        (
            "smtp://m:p%40ss@h",
            True,
            ["Smtp h:587", "starttls", "login m p@ss", f"to {ADA}", "quit"],
        ),
        ("smtps://m:p@h", True, ["Smtp h:465", "login m p", f"to {ADA}", "quit"]),
        ("smtp://localhost:25", False, ["Smtp localhost:25", f"to {ADA}", "quit"]),
        ("smtp://m:p@h", False, ["Smtp h:587", "quit"]),  # no password in the clear
    ],
)
def test_mail_goes_by_tls_and_a_password_by_nothing_else(
    settings, monkeypatch, url, offers_tls, log
) -> None:
    monkeypatch.setattr(Smtp, "offers_tls", offers_tls)
    monkeypatch.setattr(smtplib, "SMTP", Smtp)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Smtp)
    own = type(settings)(data=settings.data, smtp_url=url, gpus=())
    mail = write_mail(own, "account.exists", ADA)
    if log[-2:] == ["Smtp h:587", "quit"]:
        with pytest.raises(PlatformError, match="no TLS"):
            send_mail(own, mail)
    else:
        send_mail(own, mail)
    assert Smtp.log == log


class Dialogue(socketserver.StreamRequestHandler):
    """A mail server, as RFC 5321 has it, that takes one mail."""

    def handle(self) -> None:
        def say(line: bytes) -> None:
            self.wfile.write(line + b"\r\n")

        say(b"220 mail.example.org")
        while line := self.rfile.readline().strip():
            verb = line[:4].upper()
            if verb == b"DATA":
                say(b"354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines).decode())
            say({b"QUIT": b"221 bye", b"EHLO": b"250 mail.example.org"}.get(verb, b"250 ok"))


def test_a_mail_server_takes_a_mail_word_for_word(settings) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Dialogue) as server:
        server.mails = []
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        port = server.server_address[1]
        own = type(settings)(data=settings.data, smtp_url=f"smtp://127.0.0.1:{port}", gpus=())
        send_mail(own, write_mail(own, "account.reset", ADA, code="CODE"))
        thread.join()
    (mail,) = server.mails
    assert f"To: {ADA}\r\n" in mail
    assert "/reset?code=CODE\r\n" in mail


def test_a_mail_server_that_is_not_there_is_a_fault_of_the_platform(settings) -> None:
    own = type(settings)(data=settings.data, smtp_url="smtp://127.0.0.1:1", gpus=())
    with pytest.raises(PlatformError) as caught:
        send_mail(own, write_mail(own, "account.exists", ADA))
    assert caught.value.code == "mail-failed"
