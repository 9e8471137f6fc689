"""Shows the signing secret of a destination, for its operations by id and by key."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record_read
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.mail_urls import is_mail
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import SecretRead, SecretReplaced
from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.errors import Conflict, NotFound
from event_trigger.models import Destination
from event_trigger.vault import Vault


class NotSigned(Conflict):
    slug, title = "mails-not-signed", "Mails are not signed"
    default_detail = "This destination gets mails, which are not signed: it has no secret."


def check_signed(destination: Destination) -> None:
    """Raises NotSigned for a destination whose deliveries are mails."""
    if is_mail(destination.url):
        raise NotSigned


async def show_secret(session: AsyncSession, vault: Vault, key: OwnedId) -> SecretRead:
    """Reads a destination's secret, and records that; raises NotFound, and NotSigned."""
    destination = await get_one(session, key)
    check_signed(destination)
    secret = _read_secret(destination, vault)
    await record_read(session, "destination", key.id, project_id=key.owner_id)
    return secret


def replaced_secret(destination: Destination, vault: Vault) -> SecretReplaced:
    """Shows the new secret of a destination whose secret was replaced."""
    return SecretReplaced(**_read_secret(destination, vault).model_dump())


def _read_secret(destination: Destination, vault: Vault) -> SecretRead:
    secrets = secrets_of(destination, vault)
    until = secrets.previous[0].until if secrets.previous else None
    return SecretRead(secret=secrets.current, previous_secret_until=until)


async def get_one(session: AsyncSession, key: OwnedId) -> Destination:
    destination = await Destinations(session).get(key)
    if destination is None:
        raise NotFound
    return destination
