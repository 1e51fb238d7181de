"""What the surest mistakes look and sound like: ``mistakes.json``, its form checked by the run."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Response

from autodl.errors import UsageError
from service.context import Context, ContextDep
from service.models import Submission
from service.submissions import results
from service.submissions.access import Found

MISTAKES = "mistakes.json"
CACHE = {"Cache-Control": "private, max-age=3600"}
#: by what an address ends with: the media type, and the member that has the bytes
KINDS = {"jpg": ("image/jpeg", "content"), "wav": ("audio/wav", "sound")}

router = APIRouter(include_in_schema=False)


def read_mistakes(context: Context, submission: Submission) -> dict[int, dict[str, Any]]:
    """What was made of the test items that were surest and wrong, by their rows."""
    found = results.find_json(context, submission, MISTAKES) if submission.result else None
    return {item["record"]: item for item in (found or {}).get("items", ())}


@router.get("/submissions/{submission_id}/mistakes/{row}.{kind}")
def show_mistake(submission: Found, context: ContextDep, row: int, kind: str) -> Response:
    """The picture or the sound of one of them."""
    item = read_mistakes(context, submission).get(row, {})
    media_type, member = KINDS.get(kind, ("", ""))
    has_bytes = member == "sound" or item.get("kind") == "picture"
    if not member or not has_bytes or not item.get(member):
        raise UsageError("resource-not-found", "There is no such picture or sound.")
    content = base64.b64decode(item[member])
    return Response(content, media_type=media_type, headers=results.FILE_HEADERS | CACHE)
