"""A submission from a request: a form with its file, or JSON that names an upload.

A file is streamed into the store, then its row is written; of what is refused nothing is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from sqlalchemy.orm import Session

from autodl.errors import UsageError
from service.accounts import quotas
from service.accounts.limits import Limits
from service.body import find_length, read_body
from service.context import Context
from service.idempotency import Answer, answer_once, is_known
from service.models import Submission, new_id
from service.storage import StoredObject
from service.submissions import repository, results, service
from service.submissions.form import Part, read_parts
from service.submissions.schemas import RerunRequest, SubmissionRequest
from service.uploads import service as uploads

ROUTE = "POST /v1/submissions"
TEXT_FIELDS = ("name", "budget_seconds", "solution", "sha256")
OVERHEAD_BYTES = 1024 * 1024  # of a form around its file
MAX_JSON_BYTES = 64 * 1024
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass
class _Received:
    """What has arrived of a form so far."""

    fields: dict[str, str]
    filename: str = ""
    bundle: StoredObject | None = None


def receive_submission(
    request: Request, context: Context, account_id: str, key: str | None = None
) -> Response:
    """Accept what is asked for, once for each ``key``; the answer has its address in ``Location``.

    Raises what ``receive_form`` and ``submit_upload`` raise.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        return submit_upload(context, account_id, key, _read_json(request))
    return receive_form(request, context, account_id, key)


def submit_upload(
    context: Context, account_id: str, key: str | None, asked: SubmissionRequest
) -> Response:
    """A submission of what was uploaded before.

    Raises ``UsageError``: ``upload-not-found``, ``upload-incomplete``, ``idempotency-key-reused``,
    and what ``service.check_request`` raises; or ``LimitError`` (``quota-exceeded``).
    """

    def make(session: Session) -> Answer:
        upload = uploads.get_complete(session, account_id, asked.upload_id)
        wanted = service.check_request(
            context.settings,
            name=asked.name or _shorten(upload.name),
            budget_seconds=asked.budget_seconds,
            solution=asked.solution,
        )
        return accept(session, service.create_submission(session, account_id, wanted, upload))

    route = (account_id, ROUTE, key)
    return answer_once(context.database, route, asked.model_dump(), make)


def rerun_submission(
    context: Context, account_id: str, key: str | None, submission_id: str, asked: RerunRequest
) -> Response:
    """A new submission of the same data; what is not asked for is as it was.

    Raises ``UsageError``: ``submission-not-found``, ``submission-deleted``, and like
    ``submit_upload``.
    """

    def make(session: Session) -> Answer:
        before = repository.get_submission(session, account_id, submission_id)
        upload = uploads.get_complete(session, account_id, before.upload_id or "")
        wanted = service.check_request(
            context.settings,
            name=asked.name or before.name,
            budget_seconds=asked.budget_seconds or before.budget_seconds,
            solution=asked.solution or before.solution,
        )
        again = service.create_submission(
            session, account_id, wanted, upload, rerun_of=submission_id
        )
        return accept(session, again)

    route = (account_id, f"{ROUTE}/{submission_id}/rerun", key)
    return answer_once(context.database, route, asked.model_dump(), make)


def receive_form(
    request: Request, context: Context, account_id: str, key: str | None = None
) -> Response:
    """A submission from one form with its file.

    Wrong fields that come before the file are refused before it is read. Raises ``UsageError``:
    ``upload-too-large``, ``field-missing``, ``field-invalid``, ``digest-mismatch``,
    ``idempotency-key-reused``, and what ``form.read_parts`` and ``service.check_request`` raise; or
    ``LimitError`` (``quota-exceeded``).
    """
    uploads.check_size(context.settings, (find_length(request) or 0) - OVERHEAD_BYTES)
    with context.database.read() as session:
        if not is_known(session, (account_id, ROUTE, key)):
            quotas.check(session, account_id, Limits.of(context.settings))
    upload_id, received, kept = new_id(), _Received({}), False
    try:
        for part in read_parts(request):
            _receive_part(part, received, context, uploads.upload_key(upload_id))
        wanted = _check_fields(received, context)
        bundle = _check_bundle(received)

        def make(session: Session) -> Answer:
            nonlocal kept
            name = _shorten(received.filename) or "bundle.zip"
            upload = uploads.record_upload(session, context, account_id, name, bundle)
            kept = upload.key == bundle.key
            return accept(session, service.create_submission(session, account_id, wanted, upload))

        asked = received.fields | {"sha256": bundle.sha256}
        return answer_once(context.database, (account_id, ROUTE, key), asked, make)
    except BaseException:
        kept = False
        raise
    finally:
        if not kept:
            context.storage.delete(uploads.upload_prefix(upload_id))


def accept(session: Session, submission: Submission) -> Answer:
    """What is told of a new submission."""
    view = results.describe(session, submission)
    headers = {"Location": view.links["self"], "Retry-After": "1"}
    return Answer(submission.id, 202, view.model_dump(mode="json"), headers)


def _read_json(request: Request) -> SubmissionRequest:
    body = bytearray()
    for chunk in read_body(request):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise UsageError("upload-too-large", f"JSON has at most {MAX_JSON_BYTES} bytes here.")
    try:
        return SubmissionRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        errors = [e | {"loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(errors) from error


def _shorten(filename: str) -> str:
    """A name for people from a file's name, of whatever system."""
    own_name = PurePosixPath(filename.replace("\\", "/")).stem
    return "".join(filter(str.isprintable, own_name))[:100]


def _receive_part(part: Part, received: _Received, context: Context, key: str) -> None:
    if part.name in received.fields or (part.name == "file" and received.bundle is not None):
        raise UsageError("field-invalid", f"The field {part.name!r} is given twice.")
    if part.name == "file":
        _check_fields(received, context)
        received.filename = part.filename or ""
        received.bundle = context.storage.put(
            key, part.chunks, max_bytes=context.settings.max_upload_bytes
        )
    elif part.name in TEXT_FIELDS:
        received.fields[part.name] = part.read_text().strip()
    else:
        known = ", ".join(("file", *TEXT_FIELDS))
        raise UsageError(
            "field-invalid", f"There is no field {part.name!r}.", hint=f"The fields are: {known}."
        )


def _check_fields(received: _Received, context: Context) -> service.Request:
    fields = received.fields
    if not SHA256.fullmatch(fields.get("sha256", "0" * 64)):
        raise UsageError("field-invalid", "sha256 is not a SHA-256 in hexadecimal.")
    budget = None
    if text := fields.get("budget_seconds"):
        try:
            budget = float(text)
        except ValueError as error:
            raise UsageError("field-invalid", "budget_seconds is not a number.") from error
    return service.check_request(
        context.settings,
        name=fields.get("name") or _shorten(received.filename),
        budget_seconds=budget,
        solution=fields.get("solution"),
    )


def _check_bundle(received: _Received) -> StoredObject:
    if received.bundle is None or received.bundle.size_bytes == 0:
        raise UsageError(
            "field-missing",
            "The form has no file, or an empty one.",
            hint="Send the bundle's zip as the field `file`; with curl: -F file=@bundle.zip",
        )
    expected = received.fields.get("sha256", "").lower()
    if expected and expected != received.bundle.sha256:
        raise UsageError(
            "digest-mismatch",
            "The file's SHA-256 is not the one that was sent with it.",
            hint="It was changed on the way: send it again.",
        )
    return received.bundle
