"""The first tables: accounts, tokens, submissions, runs, points, transitions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36)
WORD = sa.String(16)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "token",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.Column("revoked_at", TIME),
    )
    op.create_table(
        "submission",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("status_reason", sa.Text, nullable=False),
        sa.Column("budget_seconds", sa.Double, nullable=False),
        sa.Column("solution", sa.String(200), nullable=False),
        sa.Column("bundle_key", sa.String(200), nullable=False),
        sa.Column("bundle_bytes", sa.BigInteger, nullable=False),
        sa.Column("bundle_sha256", sa.String(64), nullable=False),
        sa.Column("current_run_id", ID),
        sa.Column("report", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("cancel_wanted", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
    )
    op.create_index(
        "ix_submission_account_id_created_at", "submission", ["account_id", "created_at"]
    )
    op.create_index("ix_submission_state_created_at", "submission", ["state", "created_at"])
    op.create_table(
        "run",
        sa.Column("id", ID, primary_key=True),
        sa.Column("submission_id", ID, sa.ForeignKey("submission.id"), nullable=False, index=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("executor", sa.String(32), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("fence", sa.String(64), nullable=False),
        sa.Column("deadline", TIME),
        sa.Column("outcome", sa.JSON),
        sa.Column("absences", sa.Integer, nullable=False),
        sa.Column("observed_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("ended_at", TIME),
    )
    op.create_index("ix_run_state", "run", ["state"])
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("submission_id", ID, sa.ForeignKey("submission.id"), nullable=False, index=True),
        sa.Column("run_id", ID),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("from_state", WORD),
        sa.Column("to_state", WORD, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
    )
    op.create_table(
        "point",
        sa.Column("run_id", ID, sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("nauc", sa.Double),
        sa.Column("accuracy", sa.Double),
        sa.Column("alc", sa.Double),
    )


def downgrade() -> None:
    for table in ("point", "transition", "run", "submission", "token", "account"):
        op.drop_table(table)
