"""E-mail: written from templates, sent through the operator's SMTP server, or kept as files."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from autodl.errors import PlatformError
from service.log import get_logger
from service.models import new_id, utc_now
from service.web.explanations import explain
from service.web.formats import format_number
from service.web.language import ENGLISH, find_plural, find_text, speaking
from service.web.reasons import find_reason

if TYPE_CHECKING:
    from service.settings import Settings

SMTP_SECONDS = 20.0
FOLDER = "mails"
POLICY = SMTP_POLICY.clone(max_line_length=200)  # so that links stay whole in ASCII

log = get_logger()
templates = Environment(
    loader=PackageLoader("service.notifications", "mails"),
    extensions=["jinja2.ext.i18n"],
    autoescape=False,  # noqa: S701 plain text
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's
    find_text, find_plural, newstyle=True
)
templates.filters |= {"number": format_number, "reason": lambda text: find_reason(text) or text}
templates.globals |= {"explain": explain}


def write_mail(
    settings: Settings, event: str, to: str, locale: str = ENGLISH, **values: Any
) -> EmailMessage:
    """The mail of an event, in an account's language; its template's first line is the subject."""
    with speaking(locale):
        text = templates.get_template(f"{event}.txt").render(
            url=settings.effective_public_url, **values
        )
    subject, _, body = text.partition("\n")
    message = EmailMessage(POLICY)
    message["From"] = settings.mail_from
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(body)  # takes other fields of the content away
    message["Content-Language"] = locale
    return message


def send_mail(settings: Settings, message: EmailMessage) -> str:
    """Hand the mail over; what became of it, in words. Raises ``PlatformError`` (``mail-failed``).

    Without an SMTP server it becomes a file of the data directory, which only its owner can read.
    """
    if settings.smtp_url is None:
        folder = settings.data / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{new_id()}.eml"
        path.touch(mode=0o600)
        path.write_bytes(bytes(message))
        log.info("mail.kept", file=path.name)
        return f"kept as {FOLDER}/{path.name}"
    try:
        return _send_by_smtp(settings.smtp_url.get_secret_value(), message)
    except (OSError, smtplib.SMTPException) as error:
        raise PlatformError("mail-failed", f"The mail was not taken: {error}") from error


def _send_by_smtp(url: str, message: EmailMessage) -> str:
    server = urlsplit(url)
    host, tls = server.hostname or "localhost", ssl.create_default_context()
    smtp: smtplib.SMTP
    if server.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, server.port or 465, timeout=SMTP_SECONDS, context=tls)
    else:
        smtp = smtplib.SMTP(host, server.port or 587, timeout=SMTP_SECONDS)
    with smtp:
        smtp.ehlo()
        if server.scheme != "smtps" and smtp.has_extn("starttls"):
            smtp.starttls(context=tls)
            smtp.ehlo()
        elif server.scheme != "smtps" and server.username:
            raise smtplib.SMTPException("the server offers no TLS, so no password is sent to it")
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(message)
    return "taken by the mail server"
