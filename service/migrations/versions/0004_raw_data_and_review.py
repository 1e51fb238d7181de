"""Raw data that the service formats, and submissions that are held for their owner's look."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

# No constraint is among the new columns, so that SQLite adds and drops them in place.


def submission_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("source", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("review_seconds", sa.Double),
        sa.Column("held_until", TIME),
        sa.Column("released_at", TIME),
        sa.Column("notify", sa.Boolean),
    ]


def upgrade() -> None:
    for column in submission_columns():
        op.add_column("submission", column)
    op.create_index("ix_submission_held_until", "submission", ["held_until"])


def downgrade() -> None:
    op.drop_index("ix_submission_held_until", "submission")
    for column in submission_columns():
        op.drop_column("submission", column.name)
