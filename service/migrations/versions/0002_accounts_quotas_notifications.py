"""Accounts that people sign up for, the ledger, and the outbox of notifications."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(36)
WORD = sa.String(16)
TIME = sa.DateTime(timezone=True)
HASH = sa.String(64)
EMAIL = sa.String(254)

# No constraint is among the new columns, so that SQLite adds and drops them in place: a copy of the
# table would cut every row off that refers to it.


def account_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("email", EMAIL),
        sa.Column("verified_at", TIME),
        sa.Column("password_hash", sa.String(200)),
        sa.Column("oidc_subject", sa.String(300)),
        sa.Column("role", WORD, nullable=False, server_default="member"),
        sa.Column("locale", sa.String(16), nullable=False, server_default="en"),
        sa.Column("wants_mail", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("limits", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("weight", sa.Double, nullable=False, server_default="1"),
        sa.Column("fair_tag", sa.Double, nullable=False, server_default="0"),
        sa.Column("fair_clock", sa.Double, nullable=False, server_default="0"),
        sa.Column("disabled_at", TIME),
    ]


def token_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("name", sa.String(100), nullable=False, server_default=""),
        sa.Column("scopes", sa.String(200), nullable=False, server_default="read submit admin"),
        sa.Column("expires_at", TIME),
    ]


def upgrade() -> None:
    for column in account_columns():
        op.add_column("account", column)
    op.create_index("ix_account_email", "account", ["email"], unique=True)
    op.create_index("ix_account_oidc_subject", "account", ["oidc_subject"], unique=True)
    op.execute("UPDATE account SET role = 'admin' WHERE name = 'local'")
    for column in token_columns():
        op.add_column("token", column)
    op.create_table(
        "browser_session",
        sa.Column("hash", HASH, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("token_id", ID, sa.ForeignKey("token.id"), index=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_table(
        "one_time_token",
        sa.Column("hash", HASH, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("purpose", WORD, nullable=False),
        sa.Column("email", EMAIL),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
    )
    op.create_table(
        "invitation",
        sa.Column("id", ID, primary_key=True),
        sa.Column("hash", HASH, nullable=False, unique=True),
        sa.Column("email", EMAIL),
        sa.Column("role", WORD, nullable=False),
        sa.Column("created_by", ID, sa.ForeignKey("account.id")),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_by", ID, sa.ForeignKey("account.id")),
        sa.Column("used_at", TIME),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("submission_id", ID, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("submissions", sa.Integer, nullable=False),
        sa.Column("compute_milliseconds", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.UniqueConstraint("submission_id", "kind"),
    )
    op.create_index("ix_ledger_entry_account_id_day", "ledger_entry", ["account_id", "day"])
    op.create_table(
        "webhook",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME),
    )
    op.create_table(
        "notification",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("webhook_id", ID, sa.ForeignKey("webhook.id"), index=True),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=False),
        sa.Column("last_answer", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("delivered_at", TIME),
    )
    op.create_index(
        "ix_notification_state_next_attempt_at", "notification", ["state", "next_attempt_at"]
    )


def downgrade() -> None:
    for table in (
        "notification",
        "webhook",
        "ledger_entry",
        "audit_entry",
        "invitation",
        "one_time_token",
        "browser_session",
    ):
        op.drop_table(table)
    op.drop_index("ix_account_email", "account")
    op.drop_index("ix_account_oidc_subject", "account")
    for table, columns in (("token", token_columns()), ("account", account_columns())):
        for column in columns:
            op.drop_column(table, column.name)
