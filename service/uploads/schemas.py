"""What the API says of an upload."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from service.models import Upload, UploadState
from service.storage import Part

MAX_NAME_CHARACTERS = 200
MAX_PARTS_A_REQUEST = 1000
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Asked(BaseModel):
    """The body of a request: nothing that is not known is passed over."""

    model_config = ConfigDict(extra="forbid")


class UploadRequest(Asked):
    """What is going to be sent."""

    name: str = Field(
        default="bundle.zip",
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        description="of the file",
    )
    size_bytes: int = Field(ge=1, strict=True)
    sha256: Sha256 | None = Field(
        default=None,
        description="of the whole, in hexadecimal; what you have sent before is not sent again",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return check_name(value)


class PartRequest(Asked):
    """A part that is about to be sent."""

    number: int = Field(ge=1, le=1_000_000, strict=True)
    sha256: Sha256 = Field(description="of this part, in hexadecimal")


class PartsRequest(Asked):
    """Parts that are about to be sent."""

    parts: list[PartRequest] = Field(min_length=1, max_length=MAX_PARTS_A_REQUEST)


class PartView(BaseModel):
    """A part that is there."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    size_bytes: int
    sha256: str


class SignedPartView(BaseModel):
    """How to send one part: `PUT` its bytes to the address, with these fields."""

    number: int
    size_bytes: int
    url: str = Field(description="good for this part only; may be relative to this service")
    headers: dict[str, str]


class SignedParts(BaseModel):
    """How to send the parts that were asked for."""

    parts: list[SignedPartView]
    expires_at: datetime


class UploadView(BaseModel):
    """A bundle on its way to us, or arrived."""

    id: str
    name: str
    state: UploadState
    size_bytes: int
    sha256: str | None = Field(description="of the whole; verified when the state is `complete`")
    part_bytes: int = Field(description="the size of every part but the last")
    parts_total: int
    parts: list[PartView] = Field(description="those that are there; empty of a complete upload")
    created_at: datetime
    expires_at: datetime = Field(description="then it is removed, unless a submission uses it")
    links: dict[str, str]


def check_name(value: str) -> str:
    """A file's name as it may be kept; ``ValueError`` for what cannot be shown."""
    value = " ".join(value.split())
    if not value or not value.isprintable():
        raise ValueError("a name has printable characters only")
    return value


def describe_upload(upload: Upload, parts: list[Part], total: int) -> UploadView:
    """The row as the API shows it."""
    own = f"/v1/uploads/{upload.id}"
    return UploadView(
        id=upload.id,
        name=upload.name,
        state=upload.state,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        part_bytes=upload.part_bytes,
        parts_total=total,
        parts=[PartView.model_validate(part) for part in parts],
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        links={"self": own, "parts": f"{own}/parts", "complete": f"{own}/complete"},
    )
