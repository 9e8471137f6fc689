"""The commands that sign and verify requests as deliveries are signed (Standard Webhooks)."""

import os
from datetime import datetime, timezone
from typing import Annotated

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import fields, write_line
from event_trigger_client.cli.run import Run
from event_trigger_client.cli.secrets_of import (
    DestinationSecret,
    SecretFile,
    signer,
    signing_secret,
)

app = group("Sign and verify requests as deliveries are signed.")

Body = Annotated[str, Argument(metavar="FILE", help="The body, byte for byte; - is stdin.")]


@command(app, "sign")
def sign(
    run: Run,
    body: Body,
    secret_file: SecretFile = None,
    destination: DestinationSecret = None,
    id_: Annotated[str | None, Option("--id", help="The webhook-id; else a new one.")] = None,
) -> None:
    """Print the headers that sign a body; `curl -H @-` takes them.

    Without an option and without the variable, the secret is the one of `listen`.
    """
    secret = signing_secret(run, file=secret_file, destination=destination)
    message_id = id_ or f"msg_{os.urandom(16).hex()}"
    headers = signed(secret, message_id, text_of(body), datetime.now(timezone.utc))
    if run.output.format is Format.TABLE:
        for name, value in headers.items():
            write_line(f"{name}: {value}")
    else:
        run.output.one(headers, fields(*headers), named_by="webhook-signature")


@command(app, "verify")
def verify(
    run: Run,
    body: Body,
    header: Annotated[
        list[str], Option("--header", "-H", help="'NAME: VALUE'; the three webhook-… ones.")
    ],
    secret_file: SecretFile = None,
    destination: DestinationSecret = None,
) -> None:
    """Check the signature of a request; exit 1 if it is wrong, or older than five minutes."""
    from standardwebhooks import WebhookVerificationError  # noqa: PLC0415

    given = dict(one.split(":", 1) for one in header if ":" in one)
    headers = {name.strip().lower(): value.strip() for name, value in given.items()}
    webhook = signer(signing_secret(run, file=secret_file, destination=destination))
    try:
        webhook.verify(text_of(body), headers, json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise Failed(f"Not verified: {error}.") from None
    shown = {"verified": True, "webhook_id": headers["webhook-id"]}
    run.output.one(shown, fields(*shown), named_by="webhook_id")


def signed(secret: str, message_id: str, body: str, at: datetime) -> dict[str, str]:
    """Returns the three headers of a signed request."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signer(secret).sign(message_id, at, body),
    }


def text_of(place: str) -> str:
    try:
        return asking.content_of(place).decode()
    except UnicodeDecodeError:
        raise Failed(f"{place} is no text in UTF-8, as bodies are.", ExitCode.USAGE) from None
