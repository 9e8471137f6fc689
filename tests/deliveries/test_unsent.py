"""A request that cannot be sent has failed, and keeps no others from being sent."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from event_trigger.destinations.signing_secrets import seal_into, secrets_of
from event_trigger.models import Destination, shard_of
from event_trigger.web.dependencies import state_of
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.receiver import Receiver
from tests.support.services import ADA, Service
from tests.support.triggers import make_api

TEMPLATE = {"format": "template", "template": "{{ data | json }}"}


@pytest.mark.parametrize("form", [{}, TEMPLATE], ids=["plain", "rendered"])
async def test_a_request_that_cannot_be_signed_is_a_failed_attempt_and_others_are_sent(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver, form: dict[str, Any]
) -> None:
    names = ("broken", "whole")
    broken, whole = [await make_destination(ada, f"{receiver.url}/{one}", **form) for one in names]
    sessions, vault = state_of(service.app).sessions, state_of(service.app).vault
    async with sessions.begin() as session:  # no request of the API takes such a secret
        row = await session.get_one(Destination, (shard_of(ADA), broken["id"]))
        seal_into(row, replace(secrets_of(row, vault), current="whsec_x"), vault)
    trigger = await make_api(ada, destinations=[broken["id"], whole["id"]])

    await fire(ada, trigger)

    ended = {one["destination_id"]: one for one in await until_finished(ada, 2)}
    failed = ended[broken["id"]]
    assert ended[whole["id"]]["status"] == "delivered"
    assert (failed["status"], failed["attempt_count"]) == ("exhausted", 3)
    assert {one["error"] for one in failed["attempts"]} == {"protocol_violated"}
    assert receiver.at("/broken") == []
