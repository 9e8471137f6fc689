"""Destinations may be addresses of e-mail, whose mails have a subject

Revision: 0038, after 0034; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrites no row: the new columns are null."""
    op.add_column("destinations", sa.Column("subject", sa.Text))
    op.add_column("delivery_requests", sa.Column("subject", sa.Text))


def downgrade() -> None:
    """Disables the destinations that the version before could not send to."""
    op.execute("""
        UPDATE destinations SET disabled_reason = coalesce(disabled_reason, 'by_hand')
        WHERE url ILIKE 'mailto:%'
    """)
    op.drop_column("delivery_requests", "subject")
    op.drop_column("destinations", "subject")
