"""The loop that empties the outbox: claim what is due, deliver it, note the answer.

A claim is a lease: whoever dies with it is not asked again before its time is over, and then
another tries. So everything is delivered at least once; a webhook's message id tells doubles apart.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from autodl.errors import AutoDLError
from service.accounts.tokens import create_one_time
from service.auth import Signer
from service.log import get_logger
from service.models import (
    Account,
    DeliveryState,
    Notification,
    Purpose,
    Submission,
    Webhook,
    utc_now,
)
from service.notifications import outbox, webhooks
from service.notifications.mail import send_mail, write_mail

if TYPE_CHECKING:
    from service.db import Database
    from service.settings import Settings

BATCH = 20
LEASE_SECONDS = 120.0
POLL_SECONDS = 1.0
#: between the attempts, as Standard Webhooks recommends: for three days
PAUSES_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
LINKS = {"account.verify": Purpose.VERIFY, "account.reset": Purpose.RESET}
MAX_ANSWER_CHARACTERS = 500
DELETED = "not sent: the submission was deleted"
PURGE_SECONDS = 3600.0

log = get_logger()


class Deliverer:
    """Delivers what is due, a batch at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.signer = Signer(settings.read_secret())

    def run(self, stop: threading.Event) -> None:
        """Batches until ``stop``."""
        purge_at = 0.0
        while not stop.wait(POLL_SECONDS):
            try:
                if time.monotonic() >= purge_at:
                    with self.database.write() as session:
                        outbox.purge(session)
                    purge_at = time.monotonic() + PURGE_SECONDS
                while self.tick() == BATCH and not stop.is_set():
                    pass
            except AutoDLError as error:
                log.warning("notifications.postponed", code=error.code)
            except Exception:  # the loop outlives every fault, and tries again
                log.exception("notifications.failed")

    def tick(self) -> int:
        """Deliver one batch; how many there were."""
        claimed = self._claim()
        if claimed:
            asyncio.run(self._deliver_all(claimed))
        return len(claimed)

    def _claim(self) -> list[Notification]:
        query = (
            select(Notification)
            .where(
                Notification.state == DeliveryState.PENDING,
                Notification.next_attempt_at <= utc_now(),
            )
            .order_by(Notification.next_attempt_at)
            .limit(BATCH)
        )
        with self.database.read() as session:  # so that an idle loop takes no write lock
            if session.scalar(query.limit(1)) is None:
                return []
        with self.database.write() as session:
            claimed = list(session.scalars(query))
            for notification in claimed:
                notification.attempts += 1
                notification.next_attempt_at = utc_now() + timedelta(seconds=LEASE_SECONDS)
        return claimed

    async def _deliver_all(self, claimed: list[Notification]) -> None:
        await asyncio.gather(*map(self._deliver, claimed))

    async def _deliver(self, notification: Notification) -> None:
        error: AutoDLError | None = None
        try:
            if notification.webhook_id is None:
                answer = await asyncio.to_thread(self._mail, notification)
            else:
                answer = await self._post(notification, notification.webhook_id)
        except AutoDLError as raised:
            error, answer = raised, raised.message
        await asyncio.to_thread(self._note, notification.id, answer, error)

    def _mail(self, notification: Notification) -> str:
        """A link's token is made only now, so that the outbox holds none."""
        values = dict(notification.payload)
        to = values.pop("to")
        if purpose := LINKS.get(notification.event):
            with self.database.write() as session:
                code = create_one_time(session, notification.account_id, purpose, to)
            values["code"] = code
        if submission_id := values.pop("submission_id", None):
            if (submission := self._find_submission(submission_id)) is None:
                return DELETED
            values["submission"] = submission
        with self.database.read() as session:
            locale = session.get_one(Account, notification.account_id).locale
        message = write_mail(self.settings, notification.event, to, locale, **values)
        return send_mail(self.settings, message)

    async def _post(self, notification: Notification, webhook_id: str) -> str:
        with self.database.read() as session:
            webhook = session.get(Webhook, webhook_id)
            account = session.get(Account, notification.account_id)
        if webhook is None or webhook.deleted_at or account is None or account.disabled_at:
            return "not sent: the webhook was removed"
        data = notification.payload
        if submission_id := data.get("submission_id"):
            if (submission := self._find_submission(submission_id)) is None:
                return DELETED
            data = outbox.describe_end(submission)
        target = await webhooks.resolve(webhook.url, self.settings.webhook_networks)
        secret = webhooks.webhook_secret(self.signer, webhook.id)
        return await webhooks.post(target, secret, notification.id, notification.event, data)

    def _find_submission(self, submission_id: str) -> Submission | None:
        with self.database.read() as session:
            submission = session.get(Submission, submission_id)
        return None if submission is None or submission.deleted_at is not None else submission

    def _note(self, notification_id: str, answer: str, error: AutoDLError | None) -> None:
        with self.database.write() as session:
            row = session.get(Notification, notification_id)
            if row is None:
                return  # its account was removed meanwhile
            row.last_answer = answer[:MAX_ANSWER_CHARACTERS]
            if error is None:
                row.state, row.delivered_at = DeliveryState.DELIVERED, utc_now()
            elif error.code == "webhook-gone":
                row.state = DeliveryState.DEAD
                session.get_one(Webhook, row.webhook_id).deleted_at = utc_now()
            elif row.attempts > len(PAUSES_SECONDS):
                row.state = DeliveryState.DEAD
            else:
                pause = PAUSES_SECONDS[row.attempts - 1]
                row.next_attempt_at = utc_now() + timedelta(seconds=pause)
            state, attempts = row.state, row.attempts
        log.info("notification.attempted", about=row.event, state=state, attempts=attempts)


@contextmanager
def delivering(settings: Settings, database: Database) -> Iterator[Deliverer]:
    """A deliverer at work in a thread of this process, for the length of the block."""
    stop = threading.Event()
    deliverer = Deliverer(settings, database)
    thread = threading.Thread(target=deliverer.run, args=(stop,), name="deliverer", daemon=True)
    thread.start()
    try:
        yield deliverer
    finally:
        stop.set()
        thread.join()
