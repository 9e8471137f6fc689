"""The rendered request of a delivery that waits is kept if it is small, and no longer than that."""

from typing import Any

import httpx
import pytest

from event_trigger.deliveries.queue.requests import LARGEST_KEPT, NewRequest
from tests.support.destinations import fire, list_deliveries, make_destination, read_delivery
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.triggers import make_api
from tests.support.waiting import eventually

DUE = "UPDATE deliveries SET next_attempt_at = now() WHERE id = $1"
KEPT = "SELECT array_agg(delivery_id) FROM delivery_requests"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    """Tries again only after an hour."""
    return {"retry_after": "3600", **ALLOW_LOOPBACK}


async def test_small_requests_are_kept_until_their_delivery_ends_in_any_way(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    receiver.answers |= {f"/{n}": 400 for n in range(4)}
    form = {"format": "template", "template": "{{ data.text | json }}"}
    made = [await make_destination(ada, f"{receiver.url}/{n}", **form) for n in range(4)]
    sizes = [10, 10, 10, LARGEST_KEPT]
    for one, size in zip(made, sizes, strict=True):
        trigger = await make_api(ada, destinations=[one["id"]], payload={"text": "x" * size})
        await fire(ada, trigger)
    waiting = await eventually(
        lambda: list_deliveries(ada, status="retrying"), lambda found: len(found) == 4
    )
    ids = {one["destination_id"]: one["id"] for one in waiting}
    cancelled, acted_on, deleted, large = (ids[one["id"]] for one in made)
    kept = await database.fetchval(KEPT)

    await ada.post(f"/deliveries/{cancelled}/cancel")
    after_cancel = await database.fetchval(KEPT)
    await ada.post("/deliveries/actions", json={"action": "cancel", "ids": [acted_on]})
    after_action = await database.fetchval(KEPT)
    await ada.delete(f"/destinations/{made[2]['id']}")
    await database.execute(DUE, deleted)
    await eventually(lambda: database.fetchval(KEPT), lambda found: found is None)
    await ada.post(f"/deliveries/{large}/redeliver")
    await eventually(lambda: read_delivery(ada, large), lambda found: len(found["attempts"]) == 2)

    assert sorted(kept) == sorted([cancelled, acted_on, deleted])
    assert sorted(after_cancel) == sorted([acted_on, deleted])
    assert after_action == [deleted]
    bodies = [one.body for one in receiver.received if one.target == "/3"]
    assert bodies == [b'"' + b"x" * LARGEST_KEPT + b'"'] * 2


@pytest.mark.parametrize(
    ("url", "body", "is_small"),
    [
        ("https://a/", b"x" * (LARGEST_KEPT - 10), True),
        ("https://a/", b"x" * (LARGEST_KEPT - 9), False),
        ("https://a/" + "x" * (LARGEST_KEPT - 10), None, True),
        ("https://a/" + "x" * (LARGEST_KEPT - 9), None, False),
    ],
)
def test_a_request_is_small_by_its_url_and_body(
    url: str, body: bytes | None, is_small: bool
) -> None:
    assert NewRequest(1, b"form", url, body).is_small is is_small
