"""A login can be the session of a browser, known by its cookie

Revision: 0041, after 0040; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("logins", sa.Column("cookie_hash", sa.LargeBinary))


def downgrade() -> None:
    op.execute("DELETE FROM logins WHERE cookie_hash IS NOT NULL")
    op.drop_column("logins", "cookie_hash")
