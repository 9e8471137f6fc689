"""Destinations may have a client certificate

Revision: 0030, after 0029; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrites no row: the new column is null."""
    op.add_column("destinations", sa.Column("client_certificate", sa.JSON))


def downgrade() -> None:
    """Certificates stay in `sealed`, which older versions read without them."""
    op.drop_column("destinations", "client_certificate")
