"""Makes the sender of mails from the settings; it trusts the authorities that requests trust."""

from event_trigger.config import Settings
from event_trigger.deliveries.http.tls_contexts import context_of
from event_trigger.mail.sender import Mailer
from event_trigger.mail_settings import Encryption

_WITHIN_SECONDS = 15.0


async def try_mail_server(settings: Settings) -> str | None:
    """Connects and signs in as sending does, and says what came of it; None without a server.

    Raises ValueError, in words for the operator.
    """
    mailer, server = mailer_of(settings), settings.mail_server
    if mailer is None or server is None:
        return None
    result = await mailer.try_out(within=_WITHIN_SECONDS)
    at = f"The mail server {server.host}:{server.port}"
    if result.error is not None:
        said = " ".join(str(one) for one in (result.code, result.reply) if one is not None)
        details = ". ".join(one.rstrip(".") for one in (result.reason, said) if one)
        raise ValueError(f"{at}: {result.error}" + (f". {details}." if details else "."))
    told = {Encryption.TLS: "over TLS", Encryption.STARTTLS: "over TLS (STARTTLS)"}
    how = told.get(server.encryption, "without encryption")
    signed_in = ", and takes the login" if server.username is not None else ""
    return f"{at} answers {how}{signed_in}."


def mailer_of(settings: Settings) -> Mailer | None:
    """Returns None where the operator has set no mail server."""
    server, sender = settings.mail_server, settings.mail_sender
    if server is None or sender is None:
        return None
    return Mailer(server, sender, context_of(settings.ca_file))
