"""Finds the secret that signs requests: a destination's, a file's, or this machine's own."""

import base64
import os
from typing import Annotated, Any

from typer import Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.run import Run, name_of

VARIABLE = "EVENT_TRIGGER_SIGNING_SECRET"
_LISTEN = "listen"
_BYTES = 32

SecretFile = Annotated[
    str | None,
    Option(
        "--secret-file",
        metavar="FILE",
        help=f"Has the secret; - is stdin. Else ${VARIABLE} has it.",
    ),
]
DestinationSecret = Annotated[
    str | None, Option("--destination", "-d", help="Use the secret of this destination.")
]


def signing_secret(run: Run, *, file: str | None, destination: str | None) -> str:
    """Returns the secret that was named; without a name that of `listen` on this machine."""
    if file is not None:
        return asking.content_of(file).decode(errors="replace").strip()
    if destination is not None:
        return run.client.destinations.secret(name_of(destination))
    return os.environ.get(VARIABLE) or listening_secret(run)


def listening_secret(run: Run) -> str:
    """Returns the secret of `listen`, which is made once and kept as API keys are."""
    kept = run.credentials.get_anywhere(_LISTEN)
    if kept is None:
        kept = f"whsec_{base64.b64encode(os.urandom(_BYTES)).decode()}"
        run.credentials.keep(_LISTEN, kept)
    return kept


def signer(secret: str) -> Any:
    """Makes what signs and verifies by Standard Webhooks."""
    from standardwebhooks import Webhook  # noqa: PLC0415 - only signing needs it

    try:
        return Webhook(secret)
    except Exception:  # the library raises several kinds
        raise Failed("That is no signing secret. One begins with whsec_.", ExitCode.USAGE) from None
