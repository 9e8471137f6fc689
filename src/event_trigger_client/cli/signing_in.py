"""Signs in with a password for as long as a command needs it, and ends that login."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import event_trigger_client
from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.run import Run, checked_url, new_client

_TIMEOUT = 30.0  # seconds
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY_PREFIX = "etk_"


@contextmanager
def fresh_login(
    url: str, email: str, password: str, *, project: str | None = None
) -> Iterator["event_trigger_client.Client"]:
    """Gives a client that has just signed in, and signs it out afterwards."""
    with new_client(url, token=_token(url, email, password), project=project) as client:
        try:
            yield client
        finally:
            client.request("POST", "/auth/logout")


@contextmanager
def keys_client(
    run: Run, *, email: str | None, password_stdin: bool
) -> Iterator["event_trigger_client.Client"]:
    """Gives a client that may manage keys: that takes a login, which an API key is not."""
    target = run.target
    if target.token is not None and not target.token.startswith(_KEY_PREFIX):
        yield run.client
        return
    known = email or (run.profile.email if run.profile is not None else None)
    address = known or asking.text("E-mail", "--email")
    password = asking.password(f"Password of {address}", from_stdin=password_stdin)
    project = target.project or _project_of(run)
    with fresh_login(target.url, address, password, project=project) as client:
        yield client


def check_url(run: Run, url: str) -> str:
    """Returns an address without its last slash; warns of one that passwords should not go to."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - help and completion do without it

    parts = urlsplit(checked_url(url))
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        run.say("Warning: http is not encrypted, so others may read your password on its way.")
    return url.rstrip("/")


def _project_of(run: Run) -> str | None:
    """Returns the project of the key that calls are made with."""
    if run.target.token is None:
        return None
    project = run.client.request("GET", "/auth/me")["project"]
    return None if project is None else str(project["id"])


def _token(url: str, email: str, password: str) -> str:
    import httpx  # noqa: PLC0415 - 150 ms, which help need not spend

    from event_trigger_client import errors  # noqa: PLC0415 - imports httpx
    from event_trigger_client.answers import json_in  # noqa: PLC0415

    form = {"username": email, "password": password}
    try:
        response = httpx.post(f"{url}/auth/token", data=form, timeout=_TIMEOUT)
    except httpx.TransportError as error:
        reason = f"{type(error).__name__}: {error}"
        raise Failed(f"{url} has no answer ({reason}).", ExitCode.UNREACHABLE) from None
    if response.is_error:
        problem = errors.problem_in(response)
        if response.status_code in {400, 401}:
            raise Failed(problem.detail or problem.title, ExitCode.SIGN_IN)
        raise problem
    answer: Any = json_in(response)
    if not isinstance(answer, dict) or "access_token" not in answer:
        raise errors.UnexpectedAnswer(f"{url} does not sign in as this service does.")
    token: str = answer["access_token"]
    return token
