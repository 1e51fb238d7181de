"""Uploads as rows of their own, idempotency keys, share links, deletion and retention."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(36)
WORD = sa.String(16)
TIME = sa.DateTime(timezone=True)
HASH = sa.String(64)
LISTED = sa.text("deleted_at IS NULL")
INDEXES = {
    "ix_submission_upload_id": ["upload_id"],
    "ix_submission_deleted_at": ["deleted_at"],
    "ix_submission_retained_until": ["retained_until"],
    "ix_submission_cancel_wanted_ended_at": ["cancel_wanted", "ended_at"],
}

# No constraint is among the new columns, so that SQLite adds and drops them in place.


def submission_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("upload_id", ID),
        sa.Column("rerun_of", ID),
        sa.Column("retained_until", TIME),
        sa.Column("deleted_at", TIME),
    ]


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", HASH),
        sa.Column("part_bytes", sa.BigInteger, nullable=False),
        sa.Column("multipart_id", sa.String(1024)),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("completed_at", TIME),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_index("ix_upload_account_id_sha256", "upload", ["account_id", "sha256"])
    op.create_index("ix_upload_state_expires_at", "upload", ["state", "expires_at"])
    op.create_table(
        "idempotency_key",
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("route", sa.String(200), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("resource_id", ID, nullable=False, index=True),
        sa.Column("created_at", TIME, nullable=False, index=True),
    )
    op.create_table(
        "share_link",
        sa.Column("id", ID, primary_key=True),
        sa.Column("submission_id", ID, sa.ForeignKey("submission.id"), nullable=False, index=True),
        sa.Column("hash", HASH, nullable=False, unique=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
    )
    op.create_table(
        "tombstone",
        sa.Column("submission_id", ID, primary_key=True),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("deleted_at", TIME, nullable=False),
    )
    for column in submission_columns():
        op.add_column("submission", column)
    op.execute(
        "INSERT INTO upload (id, account_id, name, state, key, size_bytes, sha256, part_bytes,"
        " created_at, completed_at, expires_at)"
        " SELECT id, account_id, name, 'complete', bundle_key, bundle_bytes, bundle_sha256,"
        " bundle_bytes, created_at, created_at, created_at FROM submission"
    )
    op.execute("UPDATE submission SET upload_id = id")
    for name, columns in INDEXES.items():
        op.create_index(name, "submission", columns)
    op.create_index(
        "ix_submission_account_id_id",
        "submission",
        ["account_id", "id", "state", "name", "deleted_at"],
        sqlite_where=LISTED,
        postgresql_where=LISTED,
    )


def downgrade() -> None:
    for name in ("ix_submission_account_id_id", *INDEXES):
        op.drop_index(name, "submission")
    for column in submission_columns():
        op.drop_column("submission", column.name)
    for table in ("tombstone", "share_link", "idempotency_key", "upload"):
        op.drop_table(table)
