"""Hooks keep their replaced secrets for a day

Revision: 0031, after 0030; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_KNOWN_BEFORE = "'standard_webhooks', 'github', 'none'"


def upgrade() -> None:
    """Rewrites no row: the column is null."""
    op.add_column("hooks", sa.Column("former", sa.LargeBinary))


def downgrade() -> None:
    """Takes away hooks and options that the version before cannot read."""
    op.execute(f"DELETE FROM hooks WHERE verify NOT IN ({_KNOWN_BEFORE})")  # noqa: S608
    op.execute(f"""
        UPDATE triggers SET details = CAST(CAST(details AS jsonb) - 'hook' AS json)
        WHERE details -> 'hook' ->> 'verify' NOT IN ({_KNOWN_BEFORE})
    """)  # noqa: S608
    # in an UPDATE, a cluster calls no function with columns that is STABLE: jsonb_build_object is
    op.execute("""
        UPDATE triggers SET details = CAST(jsonb_set(CAST(details AS jsonb), '{hook}',
            CAST('{"verify": ' || CAST(details -> 'hook' -> 'verify' AS text) || '}' AS jsonb)
            ) AS json)
        WHERE CAST(details -> 'hook' AS jsonb) - 'verify' <> CAST('{}' AS jsonb)
    """)
    op.drop_column("hooks", "former")
