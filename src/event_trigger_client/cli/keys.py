"""The commands on API keys, which take a login: a key cannot manage other keys."""

from datetime import datetime, timezone
from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.login import Email, PasswordStdin
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run, id_of, name_of
from event_trigger_client.cli.signing_in import keys_client
from event_trigger_client.cli.times import duration

app = group("List, create and revoke API keys. Each asks for your password.")

_LISTED = fields("id", "name", "prefix", "scopes", "expires_at", "last_used_at")
_MADE = fields("id", "name", "scopes", "trigger_ids", "expires_at", "key")


@command(app, "list")
def list_keys(run: Run, email: Email = None, password_stdin: PasswordStdin = False) -> None:
    """List the keys of the project, newest first, without their text."""
    with keys_client(run, email=email, password_stdin=password_stdin) as client:
        run.output.list(client.keys.list(), _LISTED, named_by="id")


@command(app, "create")
def create(
    run: Run,
    name: Annotated[str, Argument(help="What the key is for.")],
    scope: Annotated[list[str], Option(help="Such as triggers:fire; may be repeated.")],
    trigger: Annotated[
        list[str] | None, Option("--trigger", "-t", help="Good for this trigger only.")
    ] = None,
    expires_in: Annotated[str, Option(help="How long it works.")] = "365d",
    email: Email = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Create an API key for a program. Its text is in the answer, and is shown this once."""
    expires_at = datetime.now(timezone.utc) + duration(expires_in, "--expires-in")
    with keys_client(run, email=email, password_stdin=password_stdin) as client:
        limits: dict[str, Any] = {}
        if trigger:
            limits["trigger_ids"] = [client.triggers.id_of(name_of(one)) for one in trigger]
        made = client.keys.create(name, scope, expires_at=expires_at.isoformat(), **limits)
        run.warn(made)
        run.output.one(made, _MADE, named_by="key")


@command(app, "revoke")
def revoke(
    run: Run,
    keys: Annotated[list[str], Argument(help="Ids of keys.", metavar="KEY...")],
    email: Email = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """End API keys: every replica refuses them within a second."""
    with keys_client(run, email=email, password_stdin=password_stdin) as client:

        def do(one: str) -> dict[str, str]:
            client.keys.delete(id_of(one))
            return {"revoked": one}

        run.output.list(run.each(keys, do), fields("revoked"), named_by="revoked")
