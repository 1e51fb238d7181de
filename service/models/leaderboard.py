"""The table of results that their owners show to everybody of this installation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, utc_now


class Publication(Base):
    """One result in the leaderboard, under names that its owner chose for it."""

    __tablename__ = "publication"

    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(String(100))  #: what the owner calls the data
    author: Mapped[str] = mapped_column(String(100))  #: what the owner wants to be called
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
