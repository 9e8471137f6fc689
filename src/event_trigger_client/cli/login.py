"""The commands that sign in and out, and that tell as whom calls are made."""

import platform
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, NamedTuple

from typer import Option

import event_trigger_client
from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.profiles import Profile, check_name
from event_trigger_client.cli.run import Run, new_client, token_name
from event_trigger_client.cli.signing_in import check_url, fresh_login
from event_trigger_client.cli.times import duration

_NOT_FOR_PROGRAMS = frozenset({"admin", "metrics:read"})  # they reach beyond the project
PasswordStdin = Annotated[
    bool, Option("--password-stdin", help="Read the password from standard input.")
]
Email = Annotated[str | None, Option("--email", help="The e-mail address of your account.")]


class Wanted(NamedTuple):
    """The key that a login makes."""

    name: str
    scopes: list[str] | None
    lifetime: timedelta


def login(
    run: Run,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    with_token: Annotated[
        bool, Option("--with-token", help="Read an API key from standard input, and keep that.")
    ] = False,
    scope: Annotated[
        list[str] | None, Option(help="A scope of the new key; all of your project's if none.")
    ] = None,
    expires_in: Annotated[str, Option(help="How long the new key works.")] = "90d",
    key_name: Annotated[str | None, Option(help="The key's name; else the machine's.")] = None,
) -> None:
    """Sign in, and keep an API key for this machine.

    Asks for the password once, and keeps an API key instead of it: in the system's keyring if the
    package keyring is installed, else in a file that only you can read. The key of an earlier
    login of the same profile ends.
    """
    name = run.profile_name
    check_name(name)
    before = run.profiles.get(name)
    url = _url_for(run, name, before)
    project = run.given_project
    if with_token:
        made = _with_token(Profile(name, url, project=project), asking.first_line("an API key"))
        _keep(run, *made)
    else:
        known = email or (before.email if before is not None else None)
        address = known or asking.text("E-mail", "--email")
        password = asking.password(f"Password of {address}", from_stdin=password_stdin)
        wanted = Wanted(key_name or _machine(), scope, duration(expires_in, "--expires-in"))
        with fresh_login(url, address, password, project=project) as client:
            profile = Profile(name, url, email=address, project=project)
            _make_and_keep(run, client, profile, wanted)
            if before is not None and before.key_id is not None:
                _end_key(client, before.key_id)
    _tell(run)


def logout(
    run: Run,
    keep_key: Annotated[
        bool, Option("--keep-key", help="Only forget the key here; it goes on working.")
    ] = False,
) -> None:
    """Forget the kept API key, and end it.

    A key that another program has given (login --with-token) is only forgotten.
    """
    profile = run.profile
    if profile is None:
        raise Failed("You are not signed in.", ExitCode.SIGN_IN)
    if profile.key_id is not None and not keep_key and _end_itself(run, profile):
        run.say(f"Key {profile.key_id} has ended.")
    elif profile.key_id is not None:
        run.say(
            f"Key {profile.key_id} goes on working until it expires."
            f" End it: event-trigger keys revoke {profile.key_id}"
        )
    run.credentials.forget(token_name(profile.name), profile.token_in)
    run.profiles.remove(profile.name)
    run.say(f"Signed out of {profile.url}.")


def whoami(run: Run) -> None:
    """Show the user, the project and the scopes of your calls."""
    me = run.client.request("GET", "/auth/me")
    shown = {"url": run.target.url, "credential": run.target.source, **me}
    run.output.one(shown, _ME, named_by="email")


_ME = [
    *fields("email", "role", "project:project.name", "project id:project.id"),
    *fields("project role:project.role", "scopes", "expires_at", "url", "credential"),
]


def _url_for(run: Run, name: str, before: Profile | None) -> str:
    """Finds the service to sign in to; a profile of another one is not replaced."""
    given = run.given_url
    url = given or (before.url if before is not None else None)
    url = check_url(run, url or asking.text("Address of the service", "--url"))
    if before is not None and before.url != url:
        raise Failed(
            f"The profile {name!r} is for {before.url}. Write --profile and another name to have"
            " both, or sign out first.",
            ExitCode.USAGE,
        )
    return url


def _with_token(profile: Profile, token: str) -> tuple[Profile, str]:
    """Asks the service whose key it is."""
    with new_client(profile.url, token=token, project=profile.project) as client:
        me = client.request("GET", "/auth/me")
    return replace(profile, email=me["email"]), token


def _make_and_keep(
    run: Run, client: "event_trigger_client.Client", profile: Profile, wanted: Wanted
) -> None:
    """Makes the key, and ends it again if it cannot be kept."""
    scopes = wanted.scopes or _project_scopes(client.request("GET", "/auth/me"))
    expires_at = datetime.now(timezone.utc) + wanted.lifetime
    key = client.keys.create(wanted.name, scopes, expires_at=expires_at.isoformat())
    if key["key"] is None:
        client.keys.delete(key["id"])
        raise Failed("The answer with the new key was lost on its way. Sign in again.")
    try:
        _keep(run, replace(profile, key_id=key["id"]), key["key"])
    except Failed:
        client.keys.delete(key["id"])
        raise


def _keep(run: Run, profile: Profile, token: str) -> None:
    place = run.credentials.keep(token_name(profile.name), token)
    run.profiles.put(replace(profile, token_in=place))
    run.forget()


def _project_scopes(me: dict[str, Any]) -> list[str]:
    return [one for one in me["scopes"] if one not in _NOT_FOR_PROGRAMS]


def _end_key(client: "event_trigger_client.Client", key_id: int) -> None:
    from event_trigger_client.errors import NotFound  # noqa: PLC0415 - imports httpx

    try:
        client.keys.delete(key_id)
    except NotFound:
        return  # it has ended before


def _end_itself(run: Run, profile: Profile) -> bool:
    """Ends the kept key with the key itself; False unless the service says that it has ended."""
    from event_trigger_client.errors import EventTriggerError, Unauthorized  # noqa: PLC0415 - as above

    assert profile.key_id is not None
    token = run.credentials.get(token_name(profile.name), profile.token_in)
    if token is None:
        return False
    with new_client(profile.url, token=token, project=profile.project) as client:
        try:
            client.keys.delete(profile.key_id)
        except Unauthorized:
            return True  # it has ended before
        except EventTriggerError:
            return False
    return True


def _machine() -> str:
    return f"event-trigger on {platform.node() or 'a machine'}"[:100]


def _tell(run: Run) -> None:
    """Shows what was kept: the profile, and who may do what until when."""
    me = run.client.request("GET", "/auth/me")
    run.say(f"Signed in to {run.target.url} as {me['email']}.")
    shown = {"profile": run.profile_name, "url": run.target.url, "key_id": None, **me}
    if run.profile is not None:
        shown["key_id"] = run.profile.key_id
    run.output.one(shown, _KEPT, named_by="profile")


_KEPT = fields("profile", "url", "key_id", "scopes", "expires_at")
