"""Where the operator traces, an event, its deliveries and their attempts are in one trace."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.collector import Collector, ReceivedSpan, collecting, tracing_to
from tests.support.destinations import make_destination
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.hooks import make_hook
from tests.support.processes import ROOT, log_entries, serving, with_database
from tests.support.receiver import Received, Receiver, receiving
from tests.support.services import ADA, token_of
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "theirs=1"}
FIRE, DELIVERY = "event_trigger.fire", "event_trigger.delivery"
SETTINGS = {"EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8", "EVENT_TRIGGER_RETRY_AFTER": "600"}
CALL = "POST /triggers/{trigger_id}/trigger"


def settings_of(database_url: str, collector: Collector, **more: str) -> dict[str, str]:
    return with_database(database_url) | SETTINGS | tracing_to(collector.url) | more


async def until_received(receiver: Receiver, count: int) -> Sequence[Received]:
    async def received() -> Sequence[Received]:
        return [*receiver.received]

    return await eventually(received, lambda found: len(found) >= count)


def sent_by(request: Received) -> tuple[str, str]:
    _, trace_id, span_id, flags = request.headers["traceparent"].split("-")
    assert int(flags, 16) & 1  # sampled
    return trace_id, span_id


async def test_one_trace_leads_from_a_call_to_the_attempt_of_a_second_process(
    folder: Path, database_url: str, database: Any
) -> None:
    async with collecting() as collector, receiving() as receiver:
        settings = settings_of(database_url, collector)
        receiver.answers = {"/hook": 503}
        async with serving(folder, **settings) as first, first.client(token_of(ADA)) as ada:
            told = await make_destination(ada, f"{receiver.url}/hook?key=canary-query")
            trigger = await make_api(ada, destinations=[told["id"]])
            path = f"/triggers/{trigger['id']}/trigger"
            fired = await ada.post(path, json={"n": 1}, headers=SENT)
            await collector.until(DELIVERY)
            await database_says(database, "SELECT attempt_count FROM deliveries", 1)
            await first.end(signal.SIGKILL)
        receiver.answers = {}
        await database.execute("UPDATE deliveries SET next_attempt_at = now()")
        async with serving(folder, "--workers", "2", **settings):
            deliveries = await collector.until(DELIVERY, 2)

    [call], [event], requests = (collector.named(one) for one in (CALL, FIRE, "POST"))
    assert {one.trace_id for one in (call, event, *deliveries, *requests)} == {TRACE}
    assert (call.parent_id, event.parent_id) == (CALLER, call.span_id)
    assert {one.parent_id for one in deliveries} == {event.span_id}
    assert [one.parent_id for one in requests] == [one.span_id for one in deliveries]
    assert len({one.process for one in deliveries}) == 2
    assert [one["event_trigger.delivery.status"] for one in deliveries] == ["retrying", "delivered"]
    assert [one["http.response.status_code"] for one in requests] == [503, 204]
    assert [one["error.type"] for one in (*deliveries, *requests)] == [
        *("rejected", None),
        *("503", None),
    ]
    assert [one.is_failed for one in (*deliveries, *requests)] == [True, False] * 2
    assert requests[1]["http.request.resend_count"] == 1
    assert call["http.response.status_code"] == 200
    assert event["event_trigger.event.id"] == int(fired.headers["event-id"])
    assert {one.service for one in collector.spans} == {"event-trigger"}
    # the receiver goes on with the request's span
    attempts = receiver.at("/hook")
    assert [sent_by(one) for one in attempts] == [(TRACE, one.span_id) for one in requests]
    assert {one.headers["tracestate"] for one in attempts} == {"theirs=1"}


async def database_says(database: Any, query: str, wanted: object) -> None:
    await eventually(lambda: database.fetchval(query), lambda found: bool(found == wanted))


async def test_every_way_to_fire_is_traced_and_named_in_the_log(
    folder: Path, database_url: str
) -> None:
    async with collecting() as collector, receiving() as receiver:
        settings = settings_of(database_url, collector)
        async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
            told = await make_destination(ada, f"{receiver.url}/hook")
            named = {"destinations": [told["id"]]}
            trigger, quiet = await make_api(ada, key="mine", **named), await make_api(ada)
            hook = await make_hook(ada, verify="none", **named)
            path = f"/triggers/{trigger['id']}/trigger"
            fired = await ada.post(path)
            for way in (f"{path}?&", "/triggers/by-key/mine/test", httpx.URL(hook.url).path):
                assert (await ada.post(way)).status_code == 200
            batch = {"calls": [{"trigger": trigger["id"]}, {"trigger": "mine"}]}
            await ada.post("/triggers/trigger-batch", json=batch)
            await ada.post(
                "/triggers/trigger-batch", json={"calls": [{"trigger": quiet["id"]}] * 101}
            )
            for replayed in ("", "?&"):
                replay = f"/events/{fired.headers['event-id']}/replay{replayed}"
                assert (await ada.post(replay)).status_code == 201
            await ada.post(f"/destinations/{told['id']}/test")
            await make_scheduled(ada, {"interval": "PT1S", "recurring": False}, **named)
            await until_received(receiver, 10)
            for probe in ("/healthz", "/readyz", "/metrics"):
                await ada.get(probe)
            refused = await ada.post("/triggers/999/trigger")
        await collector.until("POST", 10)

    assert refused.status_code == 404
    spans = {one.span_id: one for one in collector.spans}
    sent = [spans[span_id] for _, span_id in map(sent_by, receiver.received)]
    assert sorted(way_to(one, spans) for one in sent) == sorted(
        [
            *[(CALL, FIRE, DELIVERY, "POST")] * 2,
            ("POST /triggers/by-key/{key}/test", FIRE, DELIVERY, "POST"),
            ("POST /hooks/{token}", FIRE, DELIVERY, "POST"),
            *[("POST /triggers/trigger-batch", FIRE, DELIVERY, "POST")] * 2,
            *[("POST /events/{event_id}/replay", FIRE, DELIVERY, "POST")] * 2,
            ("POST /destinations/{destination_id}/test", "POST"),
            (FIRE, DELIVERY, "POST"),  # a due instant
        ]
    )
    assert [one.name for one in collector.spans if "z" in one.name or "metrics" in one.name] == []
    [many] = [one for one in collector.named(FIRE) if one["messaging.batch.message_count"]]
    assert many["messaging.batch.message_count"] == 101
    [failed] = [one for one in collector.named(FIRE) if one.is_failed]
    assert failed["error.type"] == "not-found"
    named_in_log = {
        (one["path"], one["trace_id"], one["span_id"])
        for one in log_entries(served, "request")
        if one["path"].endswith(("/trigger", "/trigger-batch"))
    }
    assert len(named_in_log) == 5
    assert {trace for _, trace, span in named_in_log if spans[span].trace_id == trace} == {
        one for _, one, _ in named_in_log
    }


async def test_a_silence_begins_a_trace_and_a_ping_that_ends_it_another(
    folder: Path, database_url: str
) -> None:
    async with collecting() as collector, receiving() as receiver:
        settings = settings_of(database_url, collector)
        async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
            told = await make_destination(ada, f"{receiver.url}/hook")
            soon = {"interval": "PT1S", "grace": "PT1S"}
            heartbeat = await make_heartbeat(ada, soon, destinations=[told["id"]])
            quiet = await make_heartbeat(ada, soon)
            for one in (heartbeat, quiet):
                await ping(ada, one)
            await until_received(receiver, 1)
            await collector.until("POST", 1)
            await ping(ada, heartbeat)
            await until_received(receiver, 2)
        await collector.until("POST", 2)

    spans = {one.span_id: one for one in collector.spans}
    sent = [spans[span_id] for _, span_id in map(sent_by, receiver.received[:2])]
    assert [way_to(one, spans) for one in sent] == [
        (FIRE, DELIVERY, "POST"),  # a deadline
        ("GET /hooks/{token}", FIRE, DELIVERY, "POST"),
    ]
    silences = [one for one in collector.named(FIRE) if one["event_trigger.event.scheduled_for"]]
    assert {one["event_trigger.event.type"] for one in collector.named(FIRE)} == {"heartbeat"}
    assert {heartbeat["id"], quiet["id"]} <= {one["event_trigger.trigger.id"] for one in silences}
    assert all(one["event_trigger.event.id"] for one in collector.named(FIRE))


def way_to(span: ReceivedSpan, spans: dict[str, ReceivedSpan]) -> tuple[str, ...]:
    """Gives the names of the spans that led to one, which all are in its trace."""
    if not span.parent_id:
        return (span.name,)
    parent = spans[span.parent_id]
    assert parent.trace_id == span.trace_id
    return (*way_to(parent, spans), span.name)


async def test_no_secret_is_in_any_span(folder: Path, database_url: str) -> None:
    """A secret is a payload, a query, a header, a hook's token, or a path of a receiver."""
    async with collecting() as collector, receiving() as receiver:
        settings = settings_of(
            database_url, collector, OTEL_EXPORTER_OTLP_HEADERS="api-key=canary-collector"
        )
        async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
            told = await make_destination(
                ada,
                f"{receiver.url}/canary-path?token=canary-token",
                headers={"X-Own": "canary-header", "Traceparent": "canary-theirs"},
            )
            trigger = await make_api(ada, name="canary-name", destinations=[told["id"]])
            hook = await make_hook(ada, verify="none", destinations=[told["id"]])
            path = f"/triggers/{trigger['id']}/trigger"
            hook_path = httpx.URL(hook.url).path
            odd = {"Host": "canary-host" + "x" * 2000, "baggage": "a=canary-baggage"}
            for way in (path, f"{path}?&", hook_path, f"{hook_path}?key=canary-asked"):
                await ada.post(way, json={"a": "canary-payload"})
            await ada.post(f"{hook_path}canary-wrong", json={})
            await ada.get("/events?q=canary-search&canary-name=1", headers=odd)
            await ada.get("/canary-nowhere", headers={"Cookie": "canary-cookie"})
            await until_received(receiver, 4)
            await collector.until("POST", 4)
        logged = served.logged

    assert len(collector.spans) > 15
    assert {one["api-key"] for one in collector.headers} == {"canary-collector"}
    for secret in (
        *("payload", "path", "token", "header", "theirs", "name", "asked", "wrong", "search"),
        *("nowhere", "cookie", "baggage", "collector"),
    ):
        assert f"canary-{secret}".encode() not in collector.sent, secret
    assert "canary-collector" not in logged
    assert hook_path.rpartition("/")[2].encode() not in collector.sent
    assert token_of(ADA).encode() not in collector.sent
    assert max(len(str(one)) for span in collector.spans for one in span.attributes.values()) == 256
    assert [one.headers["traceparent"] for one in receiver.received if "canary" in str(one)] != []


async def test_a_collector_that_is_away_holds_nothing_up(folder: Path, database_url: str) -> None:
    more = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "EVENT_TRIGGER_LOG_LEVEL": "debug"}
    settings = with_database(database_url) | tracing_to("http://127.0.0.1:9", **more)
    async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
        path = f"/triggers/{(await make_api(ada))['id']}/trigger"

        async def lost() -> Sequence[Any]:
            assert (await ada.post(path)).status_code == 200
            return log_entries(served, "traces_not_sent")

        await eventually(lost, bool)
        for _ in range(30):
            await lost()
        ended = await served.end()

    assert ended == 0
    assert len(log_entries(served, "traces_not_sent")) == 1
    assert "opentelemetry" not in served.logged
    assert "Traceback" not in served.logged


@pytest.mark.parametrize(
    "off",
    [
        {},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
    ],
)
async def test_without_a_collector_or_a_sample_nothing_is_sent(
    folder: Path, database_url: str, database: Any, off: dict[str, str]
) -> None:
    async with collecting() as collector, receiving() as receiver:
        traced = tracing_to(collector.url) if off else {}
        settings = with_database(database_url) | SETTINGS | traced | off
        async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
            told = await make_destination(ada, f"{receiver.url}/hook")
            trigger = await make_api(ada, destinations=[told["id"]])
            await ada.post(f"/triggers/{trigger['id']}/trigger", headers=SENT)
            [received] = await until_received(receiver, 1)
        kept = await database.fetchval("SELECT trace_context FROM deliveries")

    assert collector.spans == []
    assert log_entries(served, "traces_off") == []
    if "OTEL_TRACES_SAMPLER" not in off:
        assert ("traceparent" in received.headers, kept) == (False, None)
    else:  # a receiver learns that the trace is not sampled
        assert not int(received.headers["traceparent"][-2:], 16) & 1


_HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Hidden())
"""


async def test_one_warning_says_what_to_install(folder: Path, database_url: str) -> None:
    (folder / "sitecustomize.py").write_text(_HIDE)
    settings = with_database(database_url) | tracing_to("http://127.0.0.1:9")
    settings["PYTHONPATH"] = f"{folder}:{ROOT / 'src'}"
    async with (
        serving(folder, "--workers", "2", **settings) as served,
        served.client(token_of(ADA)) as ada,
    ):
        path = f"/triggers/{(await make_api(ada))['id']}/trigger"
        assert (await ada.post(path)).status_code == 200

    [warned] = log_entries(served, "traces_off")
    assert warned["level"] == "warning"
    assert "event-trigger[otel]" in warned["reason"]


async def test_only_the_protocol_that_is_there_is_used(folder: Path, database_url: str) -> None:
    settings = with_database(database_url) | tracing_to("http://127.0.0.1:9")
    settings["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
    async with serving(folder, **settings) as served:
        pass

    [warned] = log_entries(served, "traces_off")
    assert "http/protobuf" in warned["reason"]


def test_a_default_install_has_no_exporter() -> None:
    """Only the pins of the extra, and those for development, have it."""
    pins = {
        one: "opentelemetry-sdk==" in (ROOT / f"requirements{one}.txt").read_text()
        for one in ("", "-otel", "-dev", "-build", "-bench")
    }

    assert pins == {"": False, "-otel": True, "-dev": True, "-build": False, "-bench": False}
