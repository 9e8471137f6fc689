"""Checks answers that are errors: RFC 9457, and the members that this service adds."""

from typing import Any

import httpx

_MEMBERS = {"type", "title", "status", "detail", "errors"}
_OF_TOKENS = {"error", "error_description"}  # RFC 6749


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Checks that an answer is a complete problem of that status, and gives its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) - _OF_TOKENS in ({*_MEMBERS}, _MEMBERS - {"errors"})
    assert body["status"] == status
    assert body["type"].startswith("urn:event-trigger:problem:")
    assert body["title"]
    assert body["detail"]
    for error in body.get("errors", []):
        assert set(error) in ({"pointer", "detail"}, {"parameter", "detail"})
        assert error.get("pointer", "#").startswith("#")
    return body


def places_of(answer: httpx.Response, status: int = 422) -> list[str]:
    """Gives the pointers and parameters that a 422 names."""
    errors = problem_of(answer, status)["errors"]
    return [error.get("pointer") or error["parameter"] for error in errors]
