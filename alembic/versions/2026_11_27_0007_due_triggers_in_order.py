"""Due triggers in the order of their ids, where several are due at one instant

Revision: 0007, after 0006; 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = "ix_triggers_due_in_shard"


def upgrade() -> None:
    replace_index("shard", "next_fire_at", "id")


def downgrade() -> None:
    replace_index("shard", "next_fire_at")


def replace_index(*columns: str) -> None:
    """Builds the new index before it drops the old one: only the drop blocks readers."""
    waiting = sa.text("next_fire_at IS NOT NULL")
    op.create_index(f"{NAME}_new", "triggers", [*columns], postgresql_where=waiting)
    op.drop_index(NAME, "triggers")
    op.execute(f"ALTER INDEX {NAME}_new RENAME TO {NAME}")
