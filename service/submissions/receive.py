"""A submission from one form: its file is streamed into the store, then its row is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request

from autodl.errors import UsageError
from service.accounts import quotas
from service.accounts.limits import Limits
from service.context import Context
from service.models import Submission, new_id
from service.storage import StoredObject
from service.submissions import service
from service.submissions.form import Part, read_parts

TEXT_FIELDS = ("name", "budget_seconds", "solution", "sha256")
OVERHEAD_BYTES = 1024 * 1024  # of a form around its file


@dataclass
class _Received:
    """What has arrived so far."""

    fields: dict[str, str]
    filename: str = ""
    bundle: StoredObject | None = None


def receive_submission(request: Request, context: Context, account_id: str) -> Submission:
    """Store the form's file and accept the submission; of a refused one nothing is kept.

    Wrong fields that come before the file are refused before it is read. Raises ``UsageError``:
    ``upload-too-large``, ``field-missing``, ``field-invalid``, ``digest-mismatch``, ``LimitError``
    (``quota-exceeded``), and what ``form.read_parts`` and ``service.check_request`` raise.
    """
    _check_length(request, context.settings.max_upload_bytes)
    with context.database.read() as session:
        quotas.check(session, account_id, Limits.of(context.settings))
    submission_id = new_id()
    key = service.bundle_key(submission_id)
    received = _Received({})
    try:
        for part in read_parts(request):
            _receive_part(part, received, context, key)
        asked = _check_fields(received, context)
        bundle = _check_bundle(received)
        with context.database.write() as session:
            return service.create_submission(
                session, account_id, asked, bundle, submission_id=submission_id
            )
    except BaseException:
        context.storage.delete(key)
        raise


def _check_length(request: Request, max_bytes: int) -> None:
    """Refuse at once what says of itself that it is too long; the rest is counted as it comes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes + OVERHEAD_BYTES:
        raise UsageError(
            "upload-too-large",
            f"The upload is larger than {max_bytes} bytes.",
            hint="Send a smaller bundle, or ask the operator to raise the limit.",
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
        received.fields[part.name] = part.read_text().strip()
    else:
        known = ", ".join(("file", *TEXT_FIELDS))
        raise UsageError(
            "field-invalid", f"There is no field {part.name!r}.", hint=f"The fields are: {known}."
        )


def _check_fields(received: _Received, context: Context) -> service.Request:
    fields = received.fields
    budget = None
    if text := fields.get("budget_seconds"):
        try:
            budget = float(text)
        except ValueError as error:
            raise UsageError("field-invalid", "budget_seconds is not a number.") from error
    own_name = PurePosixPath(received.filename.replace("\\", "/")).stem
    return service.check_request(
        context.settings,
        name=fields.get("name") or "".join(filter(str.isprintable, own_name))[:100],
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
