"""An index has the sessions of browsers by their cookies

Revision: 0042, after 0041; 2026-11-30
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_INDEX, _TABLE = "ix_logins_cookie", "logins"


def upgrade() -> None:
    create_index_concurrently(
        _INDEX, _TABLE, ["cookie_hash"], where="cookie_hash IS NOT NULL", unique=True
    )


def downgrade() -> None:
    drop_index_concurrently(_INDEX, _TABLE)
