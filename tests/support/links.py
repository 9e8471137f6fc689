"""Plants links that set a new password."""

import secrets

from event_trigger.auth.credential_cache import hash_credential
from tests.support.databases import connect

_ADD = """
    INSERT INTO password_resets (user_id, token_hash, expires_at)
    SELECT id, $1, now() + interval '30 minutes' FROM users WHERE email = $2
"""


async def plant_reset(database_url: str, email: str) -> str:
    """Adds a link for the account with an address, and gives its token."""
    token = secrets.token_urlsafe(32)
    connection = await connect(database_url)
    await connection.execute(_ADD, hash_credential(token), email)
    await connection.close()
    return token
