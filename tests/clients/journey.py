"""Uses the client that openapi-python-client generates, as a client of the API would.

Run as `python journey.py URL EMAIL PASSWORD RECEIVER`; it prints each step that it has taken. The
generated package `event_trigger_api` must be importable.
"""

import json
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from event_trigger_api import AuthenticatedClient, Client
from event_trigger_api.api.auth import get_me, sign_in
from event_trigger_api.api.deliveries import list_deliveries, test_destination
from event_trigger_api.api.destinations import (
    create_destination,
    delete_destination,
    list_destinations,
    update_destination,
)
from event_trigger_api.api.events import export_events, list_events, stream_events
from event_trigger_api.api.keys import create_key, delete_key
from event_trigger_api.api.overview import get_overview
from event_trigger_api.api.triggers import (
    create_trigger,
    fire_trigger,
    get_trigger,
    list_triggers,
    put_trigger_by_key,
    update_trigger,
)
from event_trigger_api.models import (
    ApiKeyCreate,
    ApiKeyCreated,
    ApiTriggerCreate,
    ApiTriggerListed,
    ApiTriggerWritten,
    AttemptRead,
    DestinationCreate,
    DestinationCreated,
    DestinationUpdate,
    DestinationWritten,
    EventListed,
    EventRead,
    ExportFormat,
    Fired,
    JsonObject,
    MeRead,
    OverviewRead,
    ProblemRead,
    ScheduledDetails,
    ScheduledDetailsRead,
    ScheduledTriggerCreate,
    ScheduledTriggerReplace,
    ScheduledTriggerWritten,
    Scope,
    SignInForm,
    TokenRead,
    TriggerCount,
    TriggerUpdate,
    Verdict,
    View,
)
from event_trigger_api.types import UNSET

LARGEST_ID = 2**63 - 1


def go(url: str, email: str, password: str, receiver: str) -> Iterator[str]:
    """Yields the name of each step once it has been taken."""
    form = SignInForm(username=email, password=password)
    tokens = sign_in.sync(client=Client(base_url=url), body=form)
    assert isinstance(tokens, TokenRead)
    client = AuthenticatedClient(base_url=url, token=tokens.access_token)
    me = get_me.sync(client=client)
    assert isinstance(me, MeRead)
    assert me.email == email
    yield "sign in"

    details = ScheduledDetails(cron="0 9 * * mon-fri", timezone="Europe/Berlin", recurring=False)
    daily = create_trigger.sync(
        client=client, body=ScheduledTriggerCreate(type_="scheduled", details=details)
    )
    assert isinstance(daily, ScheduledTriggerWritten)
    assert isinstance(daily.details, ScheduledDetailsRead)
    assert (daily.details.cron, daily.details.timezone) == (details.cron, details.timezone)
    trigger = create_trigger.sync(client=client, body=ApiTriggerCreate(type_="api", name="Deploy"))
    assert isinstance(trigger, ApiTriggerWritten)
    yield "create triggers"

    tagged = ApiTriggerCreate(type_="api", tags=["once"])
    first, second = (
        create_trigger.sync_detailed(client=client, body=tagged, idempotency_key="create once")
        for _ in range(2)
    )
    assert isinstance(first.parsed, ApiTriggerWritten)
    assert isinstance(second.parsed, ApiTriggerWritten)
    assert second.parsed.id == first.parsed.id
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    once = list_triggers.sync(client=client, tag=["once"], view=View.SUMMARY)
    assert isinstance(once, list)
    assert [(type(one), one.payload) for one in once] == [(ApiTriggerListed, UNSET)]
    yield "create once"

    nightly = ScheduledTriggerReplace(type_="scheduled", details=ScheduledDetails(cron="0 2 * * *"))
    made, replaced = (
        put_trigger_by_key.sync_detailed("nightly-report", client=client, body=nightly)
        for _ in range(2)
    )
    assert (made.status_code, replaced.status_code) == (201, 200)
    assert isinstance(made.parsed, ScheduledTriggerWritten)
    assert isinstance(replaced.parsed, ScheduledTriggerWritten)
    assert (replaced.parsed.id, replaced.parsed.key) == (made.parsed.id, "nightly-report")
    assert replaced.headers["ETag"] == made.headers["ETag"]
    stale = put_trigger_by_key.sync("nightly-report", client=client, body=nightly, if_match='"no"')
    assert isinstance(stale, ProblemRead)
    assert stale.status == 412
    yield "put by key"

    ids = []
    for number in range(3):
        body = JsonObject.from_dict({"number": number, "nothing": None})
        fired = fire_trigger.sync_detailed(
            trigger.id, client=client, body=body, idempotency_key=f"call {number}"
        )
        assert isinstance(fired.parsed, Fired)
        ids.append(int(fired.headers["Event-Id"]))
    again = fire_trigger.sync_detailed(
        trigger.id, client=client, body=body, idempotency_key="call 2"
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    without = fire_trigger.sync_detailed(trigger.id, client=client)
    ids.append(int(without.headers["Event-Id"]))
    yield "fire"

    seen: list[EventListed] = []
    cursor: dict[str, str] = {}
    while True:
        page = list_events.sync_detailed(client=client, trigger_id=[trigger.id], limit=2, **cursor)
        assert isinstance(page.parsed, list)
        seen += page.parsed
        if "Link" not in page.headers:
            break
        target = page.headers["Link"].removeprefix("<").partition(">")[0]
        cursor = {"cursor": parse_qs(urlsplit(target).query)["cursor"][0]}
    assert [event.id for event in seen] == ids[::-1]
    assert seen[-1].payload is not None
    assert seen[-1].payload.to_dict() == {"number": 0, "nothing": None}
    assert seen[0].payload is None
    yield "page through events"

    counts = list_events.sync(client=client, aggregate=True)
    assert isinstance(counts, list)
    assert counts == [TriggerCount(trigger_id=trigger.id, count=4)]
    yield "aggregate"

    # a generated function reads to the end, which a stream has not: so its lines are read here
    request = stream_events._get_kwargs(last_event_id=ids[0])
    with client.get_httpx_client().stream(**request) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        streamed = [
            EventRead.from_dict(json.loads(next(lines).removeprefix("data: "))) for _ in ids[1:]
        ]
    assert [event.id for event in streamed] == ids[1:]
    yield "stream"

    exported = export_events.sync(client=client, format_=ExportFormat.NDJSON)
    assert isinstance(exported, str)
    rows = [EventRead.from_dict(json.loads(line)) for line in exported.splitlines()]
    assert [row.id for row in rows] == ids[::-1]
    yield "export"

    destination = create_destination.sync(client=client, body=DestinationCreate(url=receiver))
    assert isinstance(destination, DestinationCreated)
    assert destination.secret is not None
    assert destination.secret.startswith("whsec_")
    changed = update_destination.sync(
        destination.id, client=client, body=DestinationUpdate(description="Billing")
    )
    assert isinstance(changed, DestinationWritten)
    assert (changed.description, changed.timeout) == ("Billing", destination.timeout)
    attempt = test_destination.sync(destination.id, client=client)
    assert isinstance(attempt, AttemptRead)
    assert attempt.status_code == 204
    named = update_trigger.sync(
        trigger.id, client=client, body=TriggerUpdate(destinations=[destination.id])
    )
    assert isinstance(named, ApiTriggerWritten)
    assert (named.destinations, named.name) == ([destination.id], "Deploy")
    listed = list_destinations.sync(client=client)
    assert isinstance(listed, list)
    assert [one.id for one in listed] == [destination.id]
    assert isinstance(list_deliveries.sync(client=client, destination_id=destination.id), list)
    assert delete_destination.sync_detailed(destination.id, client=client).status_code == 204
    yield "destinations"

    key = create_key.sync(
        client=client, body=ApiKeyCreate(name="Deploy script", scopes=[Scope.TRIGGERSFIRE])
    )
    assert isinstance(key, ApiKeyCreated)
    machine = AuthenticatedClient(base_url=url, token=key.key)
    assert isinstance(fire_trigger.sync(trigger.id, client=machine), Fired)
    refused = list_events.sync(client=machine)
    assert isinstance(refused, ProblemRead)
    assert refused.status == 403
    assert delete_key.sync_detailed(key.id, client=client).status_code == 204
    yield "keys"

    overview = get_overview.sync(client=client)
    assert isinstance(overview, OverviewRead)
    assert overview.verdict in Verdict
    assert overview.due.late == 0
    yield "overview"

    missing = get_trigger.sync(LARGEST_ID, client=client)
    assert isinstance(missing, ProblemRead)
    assert (missing.status, missing.type_) == (404, "urn:event-trigger:problem:not-found")
    never = ScheduledTriggerCreate(type_="scheduled", details=ScheduledDetails(cron="0 0 30 2 *"))
    invalid = create_trigger.sync(client=client, body=never)
    assert isinstance(invalid, ProblemRead)
    assert isinstance(invalid.errors, list)
    assert [error.pointer for error in invalid.errors] == ["#/details/cron"]
    yield "errors"


if __name__ == "__main__":
    for step in go(*sys.argv[1:]):
        print(step)
