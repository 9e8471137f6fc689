"""Signs and reads access tokens; the only module that uses python-jose."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from jose import jwt
from jose.exceptions import JOSEError

from event_trigger.models.base import LARGEST_ID

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "event-trigger"
ACCESS_TOKEN_LIFETIME = timedelta(hours=1)
LONGEST_TOKEN_CHARACTERS = 2048
MAX_CACHED_TOKENS = 4096
_REQUIRED = {f"require_{claim}": True for claim in ("iat", "sub", "aud", "iss", "jti")}
# python-jose compares `exp` with this machine's clock; `read` uses the database's instead
_BY_OUR_CLOCK = {"verify_exp": False, "verify_nbf": False}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The user, login and expiry of a valid access token.

    `scopes` are those that it was narrowed to beside its login; None is all of the login's.
    """

    user_id: int
    login_id: UUID
    expires_at: datetime = field(compare=False)  # refreshed tokens are equal
    scopes: frozenset[str] | None = None

    def narrow(self, held: Sequence[str] | None) -> Sequence[str] | None:
        """Limits the scopes that the login was narrowed to; None is all of its user's."""
        if self.scopes is None:
            return held
        return sorted(self.scopes if held is None else self.scopes.intersection(held))


class Tokens:
    """Signs HS256 tokens with the current secret, and reads those of the previous one, too.

    The caller passes the time, which is the database's and not this machine's.
    """

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._current = _key_id(secret)
        self._secrets = {_key_id(one): one for one in (previous, secret) if one is not None}
        # a valid token stays valid until it expires, which `read` checks
        self._decode_cached = lru_cache(MAX_CACHED_TOKENS)(self._decode)

    def issue(
        self, *, user_id: int, login_id: UUID, at: datetime, scopes: Iterable[str] | None = None
    ) -> str:
        """Makes an access token; with `scopes`, it has only these of the login's."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(login_id),
            "jti": uuid4().hex,
            "iat": at,
            "exp": at + ACCESS_TOKEN_LIFETIME,
        }
        if scopes is not None:
            claims["scope"] = " ".join(sorted(scopes))  # RFC 9068
        headers = {"kid": self._current}
        return jwt.encode(claims, self._secrets[self._current], ALGORITHM, headers=headers)

    def read(self, token: str, *, at: datetime) -> AccessClaims | None:
        """Returns the claims of a token with a valid signature that has not expired, else None."""
        if len(token) > LONGEST_TOKEN_CHARACTERS:
            return None
        try:
            claims = self._decode_cached(token)
        except (
            JOSEError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
        ):
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
        if "nbf" in claims:  # our own tokens never have one
            return None
        return AccessClaims(
            user_id=int(user_id),
            login_id=UUID(str(login_id)),
            expires_at=_EPOCH + timedelta(seconds=int(claims["exp"])),
            scopes=frozenset(claims["scope"].split()) if "scope" in claims else None,
        )


def _key_id(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]
