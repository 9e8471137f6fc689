"""Reads the form of `POST /auth/token`, and refuses it as OAuth 2.0 clients expect (RFC 6749)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from event_trigger.auth.logins.lifecycle import NoScopeLeft, RefreshRefused, ScopeTooWide
from event_trigger.errors import BadRequest, FieldError, Problem, Unauthorized, pointer
from event_trigger.web.invalid_requests import invalid_request
from event_trigger.web.schemas import Text


class InvalidTokenRequest(BadRequest):
    slug, title = "invalid-token-request", "The token request is not valid"


class UnsupportedGrantType(InvalidTokenRequest):
    slug, title = "unsupported-grant-type", "No such grant type"


class _Grant(BaseModel):
    """A form; unknown fields are ignored, as RFC 6749 says, such as those of the client."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    scope: Annotated[Text, Field(max_length=1000)] = ""

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that are asked for; None is all."""
        return frozenset(self.scope.split()) or None


class PasswordGrant(_Grant):
    """RFC 6749, section 4.3.2."""

    username: Annotated[Text, Field(max_length=320)]
    password: Annotated[Text, Field(max_length=1024, repr=False)]


class RefreshGrant(_Grant):
    """RFC 6749, section 6."""

    refresh_token: Annotated[Text, Field(max_length=200, repr=False)]


_GRANTS: dict[str, type[PasswordGrant | RefreshGrant]] = {
    "password": PasswordGrant,
    "refresh_token": RefreshGrant,
}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "title": "TokenRequest",
                    "type": "object",
                    "properties": {
                        "grant_type": {
                            "type": "string",
                            "enum": [*_GRANTS],
                            "default": "password",
                        },
                        "username": {
                            "type": "string",
                            "maxLength": 320,
                            "description": "Your e-mail address, with `password`.",
                            "examples": ["admin@localhost"],
                        },
                        "password": {
                            "type": "string",
                            "maxLength": 1024,
                            "format": "password",
                            "examples": ["correct horse battery staple"],
                        },
                        "refresh_token": {
                            "type": "string",
                            "maxLength": 200,
                            "description": "With `grant_type=refresh_token`, instead of both.",
                        },
                        "scope": {
                            "type": "string",
                            "maxLength": 1000,
                            "description": "Narrows the login to these scopes, separated by spaces;"
                            " with `refresh_token`, only the access token.",
                        },
                    },
                }
            }
        },
    }
}


def read_grant(fields: Iterable[tuple[str, Any]]) -> PasswordGrant | RefreshGrant:
    """Reads the fields of a form, of which empty ones count as absent (RFC 6749, section 3.2).

    Raises InvalidTokenRequest or UnsupportedGrantType, which name the fields at fault.
    """
    given = [(name, value) for name, value in fields if value != ""]
    form = dict(given)
    if len(form) < len(given):
        names = [name for name, _ in given]
        repeated = {name for name in names if names.count(name) > 1}
        raise _refused(InvalidTokenRequest, sorted(repeated), "Send each field once.")
    kind = form.get("grant_type", "password")
    grant = _GRANTS.get(kind) if isinstance(kind, str) else None
    if grant is None:
        named = " or ".join(_GRANTS)
        raise _refused(UnsupportedGrantType, ["grant_type"], f"Write {named}, or leave it out.")
    try:
        return grant.model_validate(form)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        invalid = invalid_request(found)
        raise InvalidTokenRequest(invalid.detail, errors=invalid.errors) from None


def _refused(kind: type[BadRequest], names: Iterable[str], detail: str) -> BadRequest:
    errors = [FieldError("pointer", pointer(name[:100]), detail) for name in names]
    return kind(detail, errors=errors)


class OAuthError(StrEnum):
    """The codes of section 5.2, and one of section 4.1.2.1 for those who have to wait."""

    INVALID_REQUEST = "invalid_request"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


class GrantRefused(BadRequest):
    """Answers a refresh token that is not good with RFC 6749's 400, and not with 401.

    It commits, so that a reused token ends its login.
    """

    slug, title = "refresh-refused", "Refresh token refused"
    keeps_writes = True


@contextmanager
def refusing_as_oauth() -> Iterator[None]:
    """Adds `error` and `error_description` to the problems of a token request."""
    try:
        yield
    except RefreshRefused as refused:
        raise _with_error(GrantRefused(refused.detail), OAuthError.INVALID_GRANT) from None
    except Problem as problem:
        raise as_oauth(problem) from None


def as_oauth(problem: Problem) -> Problem:
    return _with_error(problem, _error_of(problem))


def _error_of(problem: Problem) -> OAuthError:
    match problem:
        case NoScopeLeft() | ScopeTooWide():
            return OAuthError.INVALID_SCOPE
        case UnsupportedGrantType():
            return OAuthError.UNSUPPORTED_GRANT_TYPE
        case BadRequest():
            return OAuthError.INVALID_REQUEST
        case Unauthorized():
            return OAuthError.INVALID_GRANT
    return OAuthError.TEMPORARILY_UNAVAILABLE


def _with_error(problem: Problem, error: OAuthError) -> Problem:
    problem.members = {"error": error, "error_description": _described(problem.detail)}
    return problem


def _described(detail: str) -> str:
    """Replaces the characters that RFC 6749 does not allow in a description."""
    return "".join(one if one.isascii() and one not in '"\\' else "'" for one in detail)
