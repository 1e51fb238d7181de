"""Addresses that let their holder send one part, and nothing else, until a time."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from autodl.errors import UsageError
from service.storage import Part


class PartSigner:
    """Signs the address of a part with the installation's secret, as S3 does with its key."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"autodl upload part\0" + secret.encode()).digest()

    def _mac(self, upload_id: str, number: int, sha256: str, expires: int) -> str:
        text = f"{upload_id}/{number}/{sha256}/{expires}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def sign(self, upload_id: str, part: Part, seconds: float) -> str:
        """The address of the part, good for so many seconds."""
        expires = int(time.time() + seconds)
        signature = self._mac(upload_id, part.number, part.sha256, expires)
        query = urlencode({"sha256": part.sha256, "expires": expires, "signature": signature})
        return f"/v1/uploads/{upload_id}/parts/{part.number}?{query}"

    def verify(
        self, upload_id: str, number: int, *, sha256: str, expires: int, signature: str
    ) -> None:
        """Raises ``UsageError``: ``part-url-invalid`` or ``part-url-expired``."""
        right = self._mac(upload_id, number, sha256, expires)
        if not hmac.compare_digest(right.encode(), signature.encode()):
            raise UsageError(
                "part-url-invalid",
                "The address of this part was not given out by this service.",
                hint="Ask for it: POST /v1/uploads/ID/parts.",
            )
        if expires < time.time():
            raise UsageError(
                "part-url-expired",
                "The address of this part is no longer good.",
                hint="Ask for a new one: POST /v1/uploads/ID/parts.",
            )
