"""Refuses token requests as OAuth 2.0 clients expect it: with RFC 6749's `error`, section 5.2."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from event_trigger.auth.logins.lifecycle import NoScopeLeft, RefreshRefused, ScopeTooWide
from event_trigger.auth.logins.token_form import UnsupportedGrantType
from event_trigger.errors import BadRequest, Problem, Unauthorized


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
