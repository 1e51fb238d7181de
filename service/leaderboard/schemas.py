"""What the API says of the leaderboard, and what it takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]


class PublicationRequest(BaseModel):
    """The names under which a result is shown."""

    model_config = ConfigDict(extra="forbid")

    dataset: Name = Field(description="what everybody will read as the data's name")
    author: Name = Field(description="what everybody will read as yours")


class PublicationView(PublicationRequest):
    """A result that is shown."""

    submission_id: str
    created_at: datetime


class EntryView(BaseModel):
    """The best shown result of one solution on the same data with the same budget."""

    model_config = ConfigDict(from_attributes=True)

    rank: int
    solution: str
    author: str
    alc: float
    nauc: float | None
    accuracy: float | None
    published_at: datetime


class BoardView(BaseModel):
    """The results on the same data, for as long; the same data are the same bytes."""

    model_config = ConfigDict(from_attributes=True)

    dataset: str
    sha256: str = Field(description="of the uploaded file, in hexadecimal")
    budget_seconds: float
    entries: list[EntryView]


class LeaderboardView(BaseModel):
    """Every dataset of which a result is shown, the latest first."""

    items: list[BoardView]
