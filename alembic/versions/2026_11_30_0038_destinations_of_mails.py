"""Destinations may be addresses of e-mail, whose mails have a subject; people get mails, too

Revision: 0038, after 0037; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import identity, instant, instant_now, number

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrites no row: the new columns are null, and the new tables empty."""
    op.add_column("destinations", sa.Column("subject", sa.Text))
    op.add_column("delivery_requests", sa.Column("subject", sa.Text))
    op.create_table(
        "password_resets",
        identity(),
        number("user_id"),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        instant_now("created_at"),
        instant("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_password_resets"),
        sa.UniqueConstraint("token_hash", name="uq_password_resets_token_hash"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_password_resets_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"])
    op.create_table(
        "account_mails",
        identity(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("reset_id", sa.BigInteger),
        sa.Column("invitation_id", sa.BigInteger),
        number("lease", "0"),
        sa.Column("tries", sa.SmallInteger, server_default="0", nullable=False),
        instant_now("next_attempt_at"),
        instant_now("created_at"),
        instant("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_account_mails"),
        sa.ForeignKeyConstraint(
            ["reset_id"],
            ["password_resets.id"],
            name="fk_account_mails_reset_id_password_resets",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["invitation_id"],
            ["invitations.id"],
            name="fk_account_mails_invitation_id_invitations",
            ondelete="CASCADE",
        ),
    )
    for column in ("reset_id", "invitation_id", "next_attempt_at"):
        op.create_index(f"ix_account_mails_{column}", "account_mails", [column])


def downgrade() -> None:
    """Disables the destinations that the version before could not send to."""
    op.execute("""
        UPDATE destinations SET disabled_reason = coalesce(disabled_reason, 'by_hand')
        WHERE url ILIKE 'mailto:%'
    """)
    op.drop_table("account_mails")
    op.drop_table("password_resets")
    op.drop_column("delivery_requests", "subject")
    op.drop_column("destinations", "subject")
