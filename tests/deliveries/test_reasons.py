"""The reason of a TLS failure and the location of a redirect are on record with the attempt."""

from ipaddress import ip_network

from structlog.testing import capture_logs

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.worker import DeliveryWorker
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.vault import Vault
from tests.support.destinations import fire, list_deliveries, make_destination, read_delivery
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, idle_service, make_settings
from tests.support.triggers import make_api

ELSEWHERE = "https://www.example.com/hook?key=v"


class AsIfPublic(AddressPolicy):
    """Takes loopback for the Internet."""

    def may_tell_of(self, address: str) -> bool:
        return address == "127.0.0.1"


async def test_reasons_and_locations_are_read_with_the_attempts(
    database_url: str, receiver: Receiver
) -> None:
    receiver.answers["/moved"], receiver.headers = 302, {"Location": ELSEWHERE}
    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        moved = await make_destination(ada, receiver.url + "/moved")
        not_tls = await make_destination(ada, receiver.url.replace("http:", "https:") + "/hook")
        await fire(ada, await make_api(ada, destinations=[moved["id"], not_tls["id"]]))
        engine = create_engine(database_url)
        sender = Sender(AsIfPublic([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
        renderer, vault = Renderer(), Vault.of(make_settings(database_url))
        worker = DeliveryWorker(
            create_sessions(engine),
            AttemptParts(sender, renderer, vault, (), public_url=None),
            on_capacity=lambda: None,
        )

        with capture_logs() as lines:
            await worker.deliver_due()
            await worker.drain(10)
        done = [await read_delivery(ada, one["id"]) for one in await list_deliveries(ada)]
        await renderer.aclose()
        await sender.aclose()
        await engine.dispose()

    found = {one["destination_id"]: one["attempts"][0] for one in done}
    assert found[moved["id"]]["error"] == "redirected"
    assert found[moved["id"]]["location"] == ELSEWHERE
    assert found[moved["id"]]["reason"] is None
    assert found[not_tls["id"]]["error"] == "tls_failed"
    assert "does not speak TLS" in found[not_tls["id"]]["reason"]
    assert found[not_tls["id"]]["location"] is None
    told = [one for one in lines if one["event"] == "receiver_misconfigured"]
    logged = {one["destination_id"]: one for one in told}
    assert logged[moved["id"]]["location"] == "https://www.example.com"
    assert logged[not_tls["id"]]["reason"] == found[not_tls["id"]]["reason"]
