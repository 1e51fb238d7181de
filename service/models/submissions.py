"""The tables of the work: ``submission`` is what was asked, ``run`` one try at it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.executors.base import RunKind as RunKind
from service.models.base import Base, Json, enum_type, new_id, utc_now


class SubmissionState(StrEnum):
    """The life of a submission; which step may follow which is in ``submissions/states.py``."""

    UPLOADING = "uploading"
    VALIDATING = "validating"
    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    SCORING = "scoring"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class RunState(StrEnum):
    """The life of a run."""

    CREATED = "created"  #: the row exists, the executor has not been asked
    SUBMITTED = "submitted"  #: the executor has it
    RUNNING = "running"  #: it was seen at work
    ENDED = "ended"  #: its outcome is recorded
    LOST = "lost"  #: the executor no longer knows it


#: its outcome is not recorded yet
LIVE = (RunState.CREATED, RunState.SUBMITTED, RunState.RUNNING)


class Submission(Base):
    """One request: a dataset, a solution, a budget."""

    __tablename__ = "submission"
    __table_args__ = (
        Index("ix_submission_account_id_created_at", "account_id", "created_at"),
        Index("ix_submission_state_created_at", "state", "created_at"),
        Index("ix_submission_cancel_wanted_ended_at", "cancel_wanted", "ended_at"),
        Index(  # everything that finds and orders a page of the list
            "ix_submission_account_id_id",
            *("account_id", "id", "state", "name", "deleted_at"),
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str]
    state: Mapped[SubmissionState] = mapped_column(enum_type(SubmissionState))
    status_reason: Mapped[str] = mapped_column(Text)  #: what is being waited for, in words
    budget_seconds: Mapped[float]
    solution: Mapped[str]
    bundle_key: Mapped[str]
    bundle_bytes: Mapped[int] = mapped_column(BigInteger)
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    upload_id: Mapped[str | None] = mapped_column(String(36), index=True)  #: whose bytes these are
    #: ``executors.base.Source``: the file's name, and how raw data are made a bundle
    source: Mapped[Json] = mapped_column(default=dict)
    review_seconds: Mapped[float | None]  #: hold it so long for its owner once the check has passed
    held_until: Mapped[datetime | None] = mapped_column(index=True)  #: set while it is held
    released_at: Mapped[datetime | None]  #: when its owner let it run
    notify: Mapped[bool | None]  #: by mail at its end; None: as the account has it
    rerun_of: Mapped[str | None] = mapped_column(String(36))
    #: Of the request that sent the bytes: the trace that the whole submission belongs to.
    traceparent: Mapped[str | None] = mapped_column(String(55))
    #: The only run that may write. No foreign key: ``run`` points here already.
    current_run_id: Mapped[str | None] = mapped_column(String(36))
    #: Findings of the check; they are many, and read only where they are shown.
    report: Mapped[Json | None] = mapped_column(deferred=True)
    result: Mapped[Json | None]  #: the figures of a success, see ``submissions/service.py``
    error: Mapped[Json | None]  #: family, code, message, hint, file, record, line
    cancel_wanted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    retained_until: Mapped[datetime | None] = mapped_column(index=True)  #: None: until deleted
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)  #: gone for all but the purge


class Run(Base):
    """One try at a submission."""

    __tablename__ = "run"
    __table_args__ = (Index("ix_run_state", "state"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), index=True)
    number: Mapped[int]  #: counts a submission's runs from 1
    kind: Mapped[RunKind] = mapped_column(enum_type(RunKind))
    executor: Mapped[str] = mapped_column(String(32))
    spec: Mapped[Json]  #: ``executors.base.RunSpec`` without its token
    state: Mapped[RunState] = mapped_column(enum_type(RunState), default=RunState.CREATED)
    fence: Mapped[str] = mapped_column(String(64))  #: SHA-256 of the run's token
    deadline: Mapped[datetime | None]  #: the backstop; set when the executor took it
    outcome: Mapped[Json | None]  #: ``end`` (an ``executors.base.End``) and ``message``
    absences: Mapped[int] = mapped_column(default=0)  #: observations in a row that missed it
    observed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None] = mapped_column(index=True)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    steps: Mapped[Json | None]  #: of each of its programs: [begin, end], seconds of Unix time


class CurvePoint(Base):
    """One scored prediction of a run."""

    __tablename__ = "point"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)  #: 0-based
    seconds: Mapped[float]
    nauc: Mapped[float | None]  #: None where it is not defined
    accuracy: Mapped[float | None]
    alc: Mapped[float | None]  #: the area so far, were this point the last


class Transition(Base):
    """A change of a submission's state, written with it, never changed."""

    __tablename__ = "transition"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), index=True)
    run_id: Mapped[str | None] = mapped_column(String(36))
    at: Mapped[datetime] = mapped_column(default=utc_now)
    actor: Mapped[str] = mapped_column(String(64))
    from_state: Mapped[SubmissionState | None] = mapped_column(enum_type(SubmissionState))
    to_state: Mapped[SubmissionState] = mapped_column(enum_type(SubmissionState))
    cause: Mapped[str] = mapped_column(Text)
