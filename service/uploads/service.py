"""What may happen to an upload: begun, sent in parts, completed, removed.

Bytes come before the row that names them, and go after it: what a kill leaves between the two is
bytes without a row, which ``service.collector`` finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from autodl.errors import UsageError
from service import idempotency, tracing
from service.accounts import quotas
from service.accounts.limits import Limits
from service.body import format_digest
from service.models import Upload, UploadState, new_id, utc_now
from service.storage import Multipart, Part, SignedPart, Storage, StoredObject
from service.uploads import repository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.context import Context
    from service.settings import Settings
    from service.uploads.schemas import PartRequest, UploadRequest

MAX_OPEN = 100  # of an account at a time
MAX_PARTS = 10_000  # S3's own limit
MAX_MISSING_NAMED = 10
NOTED_EVERY = timedelta(minutes=1)  # how exact the time is for which an upload is kept


def upload_prefix(upload_id: str) -> str:
    """Below which all of an upload's bytes lie in the store."""
    return f"uploads/{upload_id}"


def upload_key(upload_id: str) -> str:
    """Where the bundle lies."""
    return f"{upload_prefix(upload_id)}/bundle.zip"


def as_multipart(upload: Upload) -> Multipart:
    """The upload as the store knows it."""
    return Multipart(upload.key, upload.multipart_id or "", upload.size_bytes, upload.part_bytes)


def check_room(session: Session, settings: Settings, account_id: str, size_bytes: int) -> None:
    """Whether the account may store so many bytes more.

    Raises ``UsageError`` (``upload-too-large``) or ``LimitError`` (``quota-exceeded``).
    """
    check_size(settings, size_bytes)
    quotas.check(session, account_id, Limits.of(settings), new_bytes=size_bytes)


def check_size(settings: Settings, size_bytes: int) -> None:
    """``UsageError`` (``upload-too-large``) past the operator's limit."""
    if size_bytes > settings.max_upload_bytes:
        raise UsageError(
            "upload-too-large",
            f"The upload is larger than {settings.max_upload_bytes} bytes.",
            hint="Send a smaller bundle, or ask the operator to raise the limit.",
        )


def create_upload(
    session: Session, context: Context, account_id: str, request: UploadRequest
) -> tuple[Upload, bool]:
    """Begin an upload; whether it is a new one.

    One that the account has sent before is complete at once, and one that it has begun to send goes
    on: a client needs to remember nothing but its file.

    Raises ``UsageError`` (``upload-too-large``, ``uploads-too-many``) or ``LimitError``
    (``quota-exceeded``).
    """
    settings = context.settings
    check_size(settings, request.size_bytes)
    if request.sha256:
        known = _find_content(session, context, account_id, request.sha256, request.size_bytes)
        if known is None:
            known = repository.find_content(
                session, account_id, request.sha256, request.size_bytes, UploadState.OPEN
            )
        if known is not None:
            known.expires_at = max(known.expires_at, _keep(settings))
            return known, False
    check_room(session, settings, account_id, request.size_bytes)
    if repository.count_open(session, account_id) >= MAX_OPEN:
        raise UsageError(
            "uploads-too-many",
            f"You have begun {MAX_OPEN} uploads and completed none of them.",
            hint="Complete or delete one first.",
        )
    upload_id = new_id()
    part_bytes = max(settings.part_bytes, -(-request.size_bytes // MAX_PARTS))
    multipart = context.storage.create_multipart(
        upload_key(upload_id), request.size_bytes, part_bytes
    )
    upload = Upload(
        id=upload_id,
        account_id=account_id,
        name=request.name,
        state=UploadState.OPEN,
        key=multipart.key,
        size_bytes=request.size_bytes,
        sha256=request.sha256,
        part_bytes=multipart.part_bytes,
        multipart_id=multipart.id,
        traceparent=tracing.current(),
        expires_at=_keep(settings),
    )
    session.add(upload)
    session.flush()
    return upload, True


def sign_parts(
    context: Context, account_id: str, upload_id: str, asked: Sequence[PartRequest]
) -> tuple[list[tuple[Part, SignedPart]], datetime]:
    """Addresses for the parts asked for, and until when they are good; the upload is kept longer.

    Raises ``UsageError``: ``upload-not-found``, ``upload-ended``, ``part-number-invalid``.
    """
    settings = context.settings
    with context.database.read() as session:
        upload = repository.get_upload(session, account_id, upload_id)
    _check_open(upload)
    if _keep(settings) - upload.expires_at > NOTED_EVERY:
        with context.database.write() as session:
            repository.get_upload(session, account_id, upload_id).expires_at = _keep(settings)
    multipart = as_multipart(upload)
    parts = [Part(p.number, multipart.size_of(p.number), p.sha256) for p in asked]
    seconds = settings.part_url_seconds
    expires_at = utc_now() + timedelta(seconds=seconds)
    own = [
        SignedPart(
            context.part_signer.sign(upload_id, part, seconds),
            {"Content-Digest": format_digest(part.sha256)},
        )
        for part in parts
    ]
    stores = [context.storage.sign_part(multipart, part, seconds) for part in parts]
    signed = [(p, theirs or ours) for p, theirs, ours in zip(parts, stores, own, strict=True)]
    return signed, expires_at


def get_part(
    context: Context, upload_id: str, number: int, *, sha256: str, expires: int, signature: str
) -> tuple[Multipart, Part]:
    """The part that a signed address opens.

    Raises ``UsageError``: ``part-url-invalid``, ``part-url-expired``, ``upload-not-found``,
    ``upload-ended``.
    """
    context.part_signer.verify(
        upload_id, number, sha256=sha256, expires=expires, signature=signature
    )
    with context.database.read() as session:
        upload = repository.find_upload(session, upload_id)
    if upload is None:
        raise UsageError("upload-not-found", f"There is no upload {upload_id} any more.")
    _check_open(upload)
    multipart = as_multipart(upload)
    return multipart, Part(number, multipart.size_of(number), sha256)


def list_parts(storage: Storage, upload: Upload) -> list[Part]:
    """The parts that are there; none of an upload that is one object already."""
    if upload.state is UploadState.COMPLETE:
        return []
    return list(storage.list_parts(as_multipart(upload)))


def complete_upload(context: Context, account_id: str, upload_id: str) -> Upload:
    """Make one object of the parts and verify its SHA-256; again changes nothing.

    Raises ``UsageError``: ``upload-not-found``; ``upload-incomplete`` when parts are missing;
    ``digest-mismatch``, after which nothing of the upload is left.
    """
    storage = context.storage
    with context.database.read() as session:
        upload = repository.get_upload(session, account_id, upload_id)
    if upload.state is UploadState.COMPLETE:
        return upload
    multipart = as_multipart(upload)
    sha256 = None
    if not storage.exists(upload.key):  # else it was killed, or another asks for the same
        parts = list(storage.list_parts(multipart))
        _check_whole(multipart, parts)
        sha256 = storage.complete_multipart(multipart, parts)
    if sha256 is None:
        with storage.open(upload.key) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    if upload.sha256 not in (None, sha256):
        delete_upload(context, account_id, upload_id)
        raise UsageError(
            "digest-mismatch",
            "The SHA-256 of the whole is not the one that the upload was announced with.",
            hint="The file was changed while it was sent: begin a new upload.",
        )
    with context.database.write() as session:
        upload = repository.get_upload(session, account_id, upload_id)
        if upload.state is UploadState.OPEN:
            _note_complete(session, context, upload, sha256)
            tracing.record(upload.traceparent, "upload", upload.created_at, utc_now())
    if upload.key != multipart.key:  # the account had sent the same before
        storage.delete(upload_prefix(upload_id))
    return upload


def record_upload(
    session: Session, context: Context, account_id: str, name: str, stored: StoredObject
) -> Upload:
    """The row of bytes that came in one piece and are stored under ``upload_key``.

    When the account has sent the same before that is its row, and the new bytes are not needed.
    Raises ``UsageError`` or ``LimitError`` like ``check_room``.
    """
    known = _find_content(session, context, account_id, stored.sha256, stored.size_bytes)
    if known is not None:
        known.traceparent = tracing.current()
        return known
    check_room(session, context.settings, account_id, stored.size_bytes)
    upload = Upload(
        id=stored.key.split("/")[1],
        account_id=account_id,
        name=name,
        state=UploadState.COMPLETE,
        key=stored.key,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        part_bytes=stored.size_bytes,
        completed_at=utc_now(),
        traceparent=tracing.current(),
        expires_at=_keep(context.settings),
    )
    session.add(upload)
    session.flush()
    return upload


def get_complete(session: Session, account_id: str, upload_id: str) -> Upload:
    """What a submission may be made of.

    Raises ``UsageError``: ``upload-not-found`` or ``upload-incomplete``.
    """
    upload = repository.get_upload(session, account_id, upload_id)
    if upload.state is UploadState.OPEN:
        raise UsageError(
            "upload-incomplete",
            "The upload is not complete.",
            hint=f"Send what is missing, then: POST /v1/uploads/{upload_id}/complete.",
        )
    return upload


def delete_upload(context: Context, account_id: str, upload_id: str) -> None:
    """Remove an upload that no submission uses.

    Raises ``UsageError``: ``upload-not-found`` or ``upload-in-use``.
    """
    with context.database.write() as session:
        upload = repository.get_upload(session, account_id, upload_id)
        if repository.is_used(session, upload_id):
            raise UsageError(
                "upload-in-use",
                "A submission has its data from this upload.",
                hint="Delete the submission; the upload goes with it.",
            )
        keys = release(session, upload)
    remove_bytes(context.storage, upload, keys)


def release(session: Session, upload: Upload) -> list[str]:
    """Remove the row, and the answers that made it, which would name what is no more.

    Returns the keys that nothing names any more, for ``remove_bytes``.
    """
    idempotency.forget(session, upload.id)
    session.delete(upload)
    session.flush()
    return [] if repository.is_key_used(session, upload.key) else [upload.key]


def remove_bytes(storage: Storage, upload: Upload, keys: Sequence[str]) -> None:
    """Remove what ``release`` left, and parts."""
    if upload.state is UploadState.OPEN:
        storage.abort_multipart(upload.key, upload.multipart_id or "")
    for key in keys:
        storage.delete(key.rpartition("/")[0])  # its folder too


def _find_content(
    session: Session, context: Context, account_id: str, sha256: str, size_bytes: int
) -> Upload | None:
    known = repository.find_content(session, account_id, sha256, size_bytes)
    if known is None or not context.storage.exists(known.key):
        return None
    known.expires_at = max(known.expires_at, _keep(context.settings))
    return known


def _note_complete(session: Session, context: Context, upload: Upload, sha256: str) -> None:
    known = _find_content(session, context, upload.account_id, sha256, upload.size_bytes)
    if known is not None:
        upload.key = known.key
    upload.sha256 = sha256
    upload.state = UploadState.COMPLETE
    upload.completed_at = utc_now()
    upload.expires_at = _keep(context.settings)


def _check_open(upload: Upload) -> None:
    if upload.state is not UploadState.OPEN:
        raise UsageError("upload-ended", "The upload is already complete: it takes no more parts.")


def _check_whole(multipart: Multipart, parts: Sequence[Part]) -> None:
    there = {part.number for part in parts}
    missing = [number for number in range(1, multipart.count + 1) if number not in there]
    if missing:
        named = ", ".join(map(str, missing[:MAX_MISSING_NAMED]))
        more = ", ..." if len(missing) > MAX_MISSING_NAMED else ""
        raise UsageError(
            "upload-incomplete",
            f"{len(missing)} of {multipart.count} parts are missing: {named}{more}.",
            hint="Send them, and complete the upload again.",
        )


def _keep(settings: Settings) -> datetime:
    return utc_now() + timedelta(seconds=settings.keep_upload_seconds)
