"""The trace that a submission belongs to, when a run's programs worked, and indexes for metrics.

Each column is empty at first and so costs no copy of its table. On PostgreSQL the indexes are made
while others write; on SQLite nobody else writes during a migration anyway.
"""

from contextlib import AbstractContextManager, nullcontext

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRACEPARENT = sa.String(55)
INDEXES = {
    "ix_run_started_at": ("run", ["started_at"]),
    "ix_run_ended_at": ("run", ["ended_at"]),
    "ix_submission_ended_at": ("submission", ["ended_at"]),
    "ix_account_fair_clock": ("account", ["fair_clock"]),
}


def _beside_others() -> AbstractContextManager[None]:
    """Outside of a transaction, as PostgreSQL wants it."""
    context = op.get_context()
    return context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext()


def upgrade() -> None:
    op.add_column("upload", sa.Column("traceparent", TRACEPARENT))
    op.add_column("submission", sa.Column("traceparent", TRACEPARENT))
    op.add_column("run", sa.Column("steps", sa.JSON))
    with _beside_others():
        for name, (table, columns) in INDEXES.items():
            op.create_index(name, table, columns, if_not_exists=True, postgresql_concurrently=True)


def downgrade() -> None:
    with _beside_others():
        for name, (table, _) in INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.drop_column("run", "steps")
    op.drop_column("submission", "traceparent")
    op.drop_column("upload", "traceparent")
