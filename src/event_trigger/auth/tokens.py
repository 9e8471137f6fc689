"""Signs and reads access tokens: the only module that knows python-jose."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid4

from jose import jwt
from jose.exceptions import JOSEError

from event_trigger.models.base import LARGEST_ID

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "event-trigger"
ACCESS_FOR = timedelta(hours=1)
LONGEST_TOKEN = 2048
MOST_KNOWN = 4096
_REQUIRED = {f"require_{claim}": True for claim in ("iat", "sub", "aud", "iss", "jti")}
# the library asks this machine's clock, also when it is only to require `exp`: we read it below
_BY_OUR_CLOCK = {"verify_exp": False, "verify_nbf": False}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Whom a valid token speaks for, the login it descends from, and until when."""

    user_id: int
    login_id: UUID
    expires_at: datetime = field(compare=False)  # two that speak for the same are equal


class Tokens:
    """HS256 tokens under the current secret; those under the previous one are still read.

    What the time is, the caller says: the database's clock, and not this machine's.
    """

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._current = _key_id(secret)
        self._secrets = {_key_id(one): one for one in (previous, secret) if one is not None}
        self._known = lru_cache(MOST_KNOWN)(self._decode)  # what was right stays so till it expires

    def issue(self, *, user_id: int, login_id: UUID, at: datetime) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(login_id),
            "jti": uuid4().hex,
            "iat": at,
            "exp": at + ACCESS_FOR,
        }
        headers = {"kid": self._current}
        return jwt.encode(claims, self._secrets[self._current], ALGORITHM, headers=headers)

    def read(self, token: str, *, at: datetime) -> AccessClaims | None:
        """Gives the claims of a token that is ours, whole and unexpired; of any other, None."""
        if len(token) > LONGEST_TOKEN:
            return None
        try:
            claims = self._known(token)
        except (JOSEError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None
        return claims if claims is not None and at < claims.expires_at else None

    def _decode(self, token: str) -> AccessClaims | None:
        secret = self._secrets[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options=_REQUIRED | _BY_OUR_CLOCK,
        )
        user_id, login_id = claims["sub"], claims["sid"]
        if not _USER_ID.fullmatch(user_id) or int(user_id) > LARGEST_ID:
            return None
        if "nbf" in claims:  # ours are good at once
            return None
        return AccessClaims(
            user_id=int(user_id),
            login_id=UUID(str(login_id)),
            expires_at=_EPOCH + timedelta(seconds=int(claims["exp"])),
        )


def _key_id(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]
