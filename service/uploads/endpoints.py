"""The API of uploads, in the shape of S3's multipart upload; and one ``PUT`` for curl."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from service.accounts.quotas import tell_rate
from service.auth import authenticate
from service.body import format_digest
from service.context import Context, ContextDep
from service.errors import PROBLEMS
from service.idempotency import Answer, KeyHeader, answer_once
from service.models import Upload
from service.uploads import receive, repository, service
from service.uploads.schemas import (
    MAX_NAME_CHARACTERS,
    PartsRequest,
    SignedParts,
    SignedPartView,
    UploadRequest,
    UploadView,
    check_name,
    describe_upload,
)

JSON_BYTES = 1024 * 1024  # of a request that is not itself the bytes of an upload
BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=PROBLEMS)
AccountId = Annotated[str, Depends(authenticate)]
Name = Annotated[
    str, Query(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(check_name)
]


@router.post(
    "",
    status_code=201,
    response_model=UploadView,
    responses={200: {"model": UploadView, "description": "You have sent the same before."}},
    max_body_size=JSON_BYTES,
)
def create_upload(
    asked: UploadRequest, context: ContextDep, account_id: AccountId, key: KeyHeader
) -> Response:
    """Begin an upload in parts. What you have sent before is `complete` at once."""

    def make(session: Session) -> Answer:
        upload, is_new = service.create_upload(session, context, account_id, asked)
        view = _describe(context, upload)
        return Answer(
            upload.id,
            201 if is_new else 200,
            view.model_dump(mode="json"),
            {"Location": view.links["self"]},
        )

    route = (account_id, "POST /v1/uploads", key)
    answer = answer_once(context.database, route, asked.model_dump(mode="json"), make)
    return tell_rate(answer, context, account_id)


@router.put("", status_code=201, openapi_extra=BYTES)
def put_upload(
    request: Request,
    response: Response,
    context: ContextDep,
    account_id: AccountId,
    name: Name = "bundle.zip",
) -> UploadView:
    """Send a bundle in one piece: `curl -T bundle.zip`. A cut means beginning again."""
    upload = receive.receive_whole(request, context, account_id, name)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    tell_rate(response, context, account_id)
    return _describe(context, upload)


@router.get("/{upload_id}")
def read_upload(upload_id: str, context: ContextDep, account_id: AccountId) -> UploadView:
    """An upload and those of its parts that are there."""
    with context.database.read() as session:
        upload = repository.get_upload(session, account_id, upload_id)
    return _describe(context, upload)


@router.delete("/{upload_id}", status_code=204)
def delete_upload(upload_id: str, context: ContextDep, account_id: AccountId) -> None:
    """Remove an upload that no submission uses."""
    service.delete_upload(context, account_id, upload_id)


@router.post("/{upload_id}/parts", max_body_size=JSON_BYTES)
def sign_parts(
    upload_id: str, asked: PartsRequest, context: ContextDep, account_id: AccountId
) -> SignedParts:
    """Addresses to `PUT` the bytes of these parts to: in any order, at once, and again."""
    signed, expires_at = service.sign_parts(context, account_id, upload_id, asked.parts)
    views = [
        SignedPartView(
            number=part.number, size_bytes=part.size_bytes, url=where.url, headers=where.headers
        )
        for part, where in signed
    ]
    return SignedParts(parts=views, expires_at=expires_at)


@router.put("/{upload_id}/parts/{number}", status_code=204, openapi_extra=BYTES)
async def put_part(
    request: Request,
    context: ContextDep,
    upload_id: str,
    number: int,
    *,
    sha256: Annotated[str, Query(max_length=64)] = "",
    expires: Annotated[int, Query(le=10**12)] = 0,
    signature: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The bytes of one part, at the signed address, with their digest. No token is needed."""
    multipart, part = await run_in_threadpool(
        service.get_part,
        context,
        upload_id,
        number,
        sha256=sha256,
        expires=expires,
        signature=signature,
    )
    await receive.receive_part(request, context, multipart, part)
    headers = {"ETag": f'"{part.sha256}"', "Repr-Digest": format_digest(part.sha256)}
    return Response(status_code=204, headers=headers)


@router.post("/{upload_id}/complete", max_body_size=JSON_BYTES)
def complete_upload(upload_id: str, context: ContextDep, account_id: AccountId) -> UploadView:
    """All parts are there: make one file of them. Its SHA-256 is verified before the answer."""
    return _describe(context, service.complete_upload(context, account_id, upload_id))


def _describe(context: Context, upload: Upload) -> UploadView:
    parts = service.list_parts(context.storage, upload)
    return describe_upload(upload, parts, service.as_multipart(upload).count)
