"""Installations have ids, and events know how many deliveries have led to them

Revision: 0012, after 0011; 2026-11-29
"""

import secrets

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT, instant_now, number

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def hops() -> sa.Column[int]:
    return sa.Column("hops", sa.SmallInteger, server_default="0", nullable=False)


def upgrade() -> None:
    """Rewrites no table. The next start stores the identity of the database for the id."""
    installation = op.create_table(
        "installation",
        sa.Column("is_only", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("system_identifier", sa.Text),
        sa.Column("database_oid", sa.Text),
        number("xid"),
        instant_now("made_at"),
        sa.PrimaryKeyConstraint("is_only", name="pk_installation"),
        sa.CheckConstraint("is_only", name="ck_installation_one_row"),
    )
    this_transaction = sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    op.execute(sa.insert(installation).values(name=secrets.token_hex(8), xid=this_transaction))
    op.add_column("deliveries", sa.Column("installation", sa.Text))
    op.add_column("deliveries", hops())
    op.add_column("triggers", sa.Column("loop_refused_at", INSTANT))
    op.add_column("events", hops())


def downgrade() -> None:
    op.drop_column("events", "hops")
    op.drop_column("triggers", "loop_refused_at")
    op.drop_column("deliveries", "hops")
    op.drop_column("deliveries", "installation")
    op.drop_table("installation")
