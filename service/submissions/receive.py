"""A submission from a request: a form with its file, or a form or JSON that names an upload.

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
from service.executors.base import Source
from service.idempotency import Answer, answer_once, is_known
from service.models import Json, Submission, new_id
from service.storage import StoredObject
from service.submissions import asking, repository, results, service
from service.submissions.form import Part, read_parts
from service.submissions.schemas import RequestOptions, RerunRequest, SubmissionRequest
from service.uploads import service as uploads

ROUTE = "POST /v1/submissions"
OPTIONS = tuple(RequestOptions.model_fields)
TEXT_FIELDS = ("name", "budget_seconds", "solution", "sha256", "upload_id", *OPTIONS)
OVERHEAD_BYTES = 1024 * 1024  # of a form around its file
MAX_JSON_BYTES = 64 * 1024
MAX_FILE_NAME = 60  # characters: of at most four bytes each, which every file system takes
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
    and what ``asking.check_request`` raises; or ``LimitError`` (``quota-exceeded``).
    """

    def make(session: Session) -> Answer:
        upload = uploads.get_complete(session, account_id, asked.upload_id)
        wanted = asking.check_request(
            context.settings,
            name=asked.name or _shorten(upload.name),
            budget_seconds=asked.budget_seconds,
            solution=asked.solution,
            source=_describe_source(asked, Source(name=_clean(upload.name))),
            review=bool(asked.review),
            notify=asked.notify,
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
        wanted = asking.check_request(
            context.settings,
            name=asked.name or before.name,
            budget_seconds=asked.budget_seconds or before.budget_seconds,
            solution=asked.solution or before.solution,
            source=_describe_source(asked, Source.model_validate(before.source)),
            review=bool(asked.review),
            notify=before.notify if asked.notify is None else asked.notify,
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
    ``idempotency-key-reused``, and what ``form.read_parts`` and ``asking.check_request`` raise; or
    ``LimitError`` (``quota-exceeded``). A form may name an ``upload_id`` in place of a file.
    """
    uploads.check_size(context.settings, (find_length(request) or 0) - OVERHEAD_BYTES)
    with context.database.read() as session:
        if not is_known(session, (account_id, ROUTE, key)):
            quotas.check(session, account_id, Limits.of(context.settings))
    upload_id, received, stored = new_id(), _Received({}), None
    try:
        for part in read_parts(request):
            _receive_part(part, received, context, uploads.upload_key(upload_id))
        wanted = _check_fields(received, context)
        if not received.fields.get("upload_id"):
            stored = _check_bundle(received)
    finally:
        if stored is None:
            context.storage.delete(uploads.upload_prefix(upload_id))
    if stored is None:
        return submit_upload(context, account_id, key, _name_upload(received, wanted))
    return _submit_stored(context, account_id, key, received.fields, wanted, stored)


def submit_content(
    context: Context, account_id: str, filename: str, content: bytes, budget_seconds: float
) -> Response:
    """A submission of a file that we have made ourselves. Raises like ``receive_form``."""
    received = _Received({"budget_seconds": f"{budget_seconds:g}"}, filename)
    wanted = _check_fields(received, context)
    upload_id = new_id()
    stored = context.storage.put(uploads.upload_key(upload_id), [content])
    return _submit_stored(context, account_id, None, received.fields, wanted, stored)


def _submit_stored(
    context: Context,
    account_id: str,
    key: str | None,
    fields: dict[str, str],
    wanted: asking.Request,
    stored: StoredObject,
) -> Response:
    """A submission of bytes that are stored; they are removed where another row has the same."""
    kept = False

    def make(session: Session) -> Answer:
        nonlocal kept
        name = wanted.source.name
        upload = uploads.record_upload(session, context, account_id, name, stored)
        kept = upload.key == stored.key
        return accept(session, service.create_submission(session, account_id, wanted, upload))

    asked = fields | {"sha256": stored.sha256}
    try:
        return answer_once(context.database, (account_id, ROUTE, key), asked, make)
    except BaseException:
        kept = False
        raise
    finally:
        if not kept:
            context.storage.delete(stored.key.rpartition("/")[0])


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


def _clean(filename: str) -> str:
    """A file's own name as a file of ours may be called: what raw data are is told by its end."""
    own_name = PurePosixPath(filename.replace("\\", "/")).name
    printable = "".join(filter(str.isprintable, own_name))
    return printable[-MAX_FILE_NAME:].lstrip(". ") or "bundle.zip"


def _describe_source(asked: RequestOptions, known: Source) -> Source:
    """What is known of the data's source, with what is said of it now."""
    changes: Json = {"separator": asked.separator, "test": asked.test}
    if asked.label is not None:
        changes["label"] = tuple(part.strip() for part in asked.label.split(",") if part.strip())
    return known.model_copy(update={key: v for key, v in changes.items() if v is not None})


def _name_upload(received: _Received, wanted: asking.Request) -> SubmissionRequest:
    """The same as JSON would ask for, of a form without a file."""
    if received.bundle is not None and received.bundle.size_bytes:
        raise UsageError(
            "field-invalid", "The form has a file and an upload_id: it must be one of them."
        )
    options = _read_options(received.fields)
    return SubmissionRequest(
        upload_id=received.fields["upload_id"],
        name=received.fields.get("name") or None,
        budget_seconds=wanted.budget_seconds,
        solution=wanted.solution,
        **options.model_dump(),
    )


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
        text = part.read_text()
        received.fields[part.name] = text if part.name == "separator" else text.strip()
    else:
        known = ", ".join(("file", *TEXT_FIELDS))
        raise UsageError(
            "field-invalid", f"There is no field {part.name!r}.", hint=f"The fields are: {known}."
        )


def _check_fields(received: _Received, context: Context) -> asking.Request:
    fields = received.fields
    if not SHA256.fullmatch(fields.get("sha256", "0" * 64)):
        raise UsageError("field-invalid", "sha256 is not a SHA-256 in hexadecimal.")
    budget = None
    if text := fields.get("budget_seconds"):
        try:
            budget = float(text)
        except ValueError as error:
            raise UsageError("field-invalid", "budget_seconds is not a number.") from error
    options = _read_options(fields)
    return asking.check_request(
        context.settings,
        name=fields.get("name") or _shorten(received.filename),
        budget_seconds=budget,
        solution=fields.get("solution"),
        source=_describe_source(options, Source(name=_clean(received.filename))),
        review=bool(options.review),
        notify=options.notify,
    )


def _read_options(fields: dict[str, str]) -> RequestOptions:
    try:
        return RequestOptions.model_validate({k: fields[k] for k in OPTIONS if fields.get(k)})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        message = f"The field {wrong['loc'][0]!s} is not what it must be: {wrong['msg']}."
        raise UsageError("field-invalid", message) from error


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
