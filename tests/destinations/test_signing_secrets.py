"""Which secrets sign: the newest, and each that was replaced less than 24 hours ago."""

from datetime import UTC, datetime, timedelta

import httpx

from event_trigger.destinations.client_certificates import ClientCertificate
from event_trigger.destinations.signing_secrets import (
    MOST_PREVIOUS,
    RetiredSecret,
    Secrets,
    seal_into,
    secrets_of,
)
from event_trigger.models import Destination
from event_trigger.vault import Vault
from tests.support.destinations import make_destination
from tests.support.problems import problem_of

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_replaced_secret_signs_until_its_instant_and_no_longer() -> None:
    secrets = Secrets("c", (RetiredSecret("b", NOW + SECOND), RetiredSecret("a", NOW)))

    assert secrets.signing(now=NOW - SECOND) == ["c", "b", "a"]
    assert secrets.signing(now=NOW) == ["c", "b"]
    assert secrets.signing(now=NOW + SECOND) == ["c"]


def test_sealing_again_keeps_every_secret_and_shows_a_certificate_only_while_there_is_one() -> None:
    old, new = Vault("o" * 32), Vault("n" * 32, "o" * 32)
    certificate = ClientCertificate(7, "chain", "key")
    secrets = Secrets("c", (RetiredSecret("b", NOW),), {"X": "y"}, certificate)
    row = Destination(owner_id=7, client_certificate={"subject": "CN=a"})

    seal_into(row, secrets, old)
    seal_into(row, secrets_of(row, new), new)

    assert (row.key_id, secrets_of(row, new)) == (new.current, secrets)
    assert row.client_certificate == {"subject": "CN=a"}
    row.client_certificate = None
    assert secrets_of(row, new).client_certificate is None
    seal_into(row, Secrets("c"), new)
    assert row.client_certificate is None
    assert secrets_of(row, new) == Secrets("c")


async def test_a_secret_is_replaced_a_few_times_a_day_at_the_most(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, "https://1.1.1.1/hook")
    path = f"/destinations/{made['id']}/rotate-secret"
    renewed = [(await ada.post(path)).json()["secret"] for _ in range(MOST_PREVIOUS)]

    problem = problem_of(await ada.post(path), 409)

    assert problem["type"] == "urn:event-trigger:problem:secret-replaced-often"
    shown = (await ada.get(f"/destinations/{made['id']}/secret")).json()
    assert shown["secret"] == renewed[-1]
