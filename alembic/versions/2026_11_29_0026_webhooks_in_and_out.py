"""Events know their source, destinations their format, hooks their options

Revision: 0026, after 0025; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("events", "source_kind", sa.Text),
    ("events", "source", sa.JSON),
    ("deliveries", "trigger_key", sa.Text),
    ("deliveries", "source_kind", sa.Text),
    ("delivery_attempts", "reason", sa.Text),
    ("delivery_attempts", "location", sa.Text),
    ("destinations", "template", sa.Text),
    ("destinations", "content_type", sa.Text),
    ("hooks", "options", sa.JSON),
)
_DEFAULTS = (("format", "cloudevents"), ("method", "POST"))


def upgrade() -> None:
    """Rewrites no row: new columns are null, or have a constant default."""
    for table, name, kind in _COLUMNS:
        op.add_column(table, sa.Column(name, kind))
    for name, default in _DEFAULTS:
        op.add_column(
            "destinations", sa.Column(name, sa.Text, server_default=default, nullable=False)
        )


def downgrade() -> None:
    for name, _ in _DEFAULTS:
        op.drop_column("destinations", name)
    for table, name, _ in reversed(_COLUMNS):
        op.drop_column(table, name)
