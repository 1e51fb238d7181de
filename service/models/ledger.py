"""The table of what was used: what stands in it is never changed, only added to."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Date, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, enum_type, utc_now


class EntryKind(StrEnum):
    """The two entries of a submission."""

    HOLD = "hold"  #: at its acceptance: the most that it can cost
    SETTLE = "settle"  #: at its end: what of that was not used, as a negative number


class LedgerEntry(Base):
    """A change of what an account has used of a day; a day's sum is what counts."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("submission_id", "kind"),  # a submission ends once
        Index("ix_ledger_entry_account_id_day", "account_id", "day"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    #: No foreign key: the account stands when the submission has been deleted.
    submission_id: Mapped[str] = mapped_column(String(36))
    kind: Mapped[EntryKind] = mapped_column(enum_type(EntryKind))
    day: Mapped[date] = mapped_column(Date)  #: in UTC, that of the acceptance for both entries
    submissions: Mapped[int]
    compute_milliseconds: Mapped[int] = mapped_column(BigInteger)
    cause: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=utc_now)
