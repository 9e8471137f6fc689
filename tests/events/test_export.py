"""An export has all selected events, and is safe to open in a spreadsheet."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from structlog.testing import capture_logs

from event_trigger.events.export import _cell
from tests.support.destinations import fire
from tests.support.planting import LARGE, plant_event, plant_large
from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.streams import begun_export
from tests.support.triggers import make_api
from tests.support.waiting import REVOKED_WITHIN, eventually

KEEP_FOR = timedelta(hours=48)


async def test_ndjson_has_a_line_for_each_event_as_the_list_shows_it(
    ada: httpx.AsyncClient,
) -> None:
    trigger = await make_api(ada, payload={"a": 1, "text": "ä\n\u2028"})
    for how in ("trigger", "test", "trigger"):
        await fire(ada, trigger, how)

    answer = await ada.get("/events/export", params={"format": "ndjson"})

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="events.ndjson"'
    lines = answer.text.splitlines()
    assert [json.loads(line) for line in lines] == await read_all(ada, "/events")
    assert answer.text.endswith("}\n")


async def test_csv_has_a_header_and_quotes_where_needed(ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada, payload={"a": 'say "x", \n y'})
    first = await fire(ada, trigger)
    second = (await ada.post(f"/events/{first}/replay")).json()["id"]

    answer = await ada.get("/events/export", params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["id"] for row in rows] == [str(second), str(first)]
    assert [row["replay_of"] for row in rows] == [str(first), ""]
    assert [json.loads(row["payload"]) for row in rows] == [{"a": 'say "x", \n y'}] * 2
    assert {row["scheduled_for"] for row in rows} == {""}
    assert {row["is_test"] for row in rows} == {"false"}


async def test_the_filters_are_those_of_the_list(ada: httpx.AsyncClient, service: Service) -> None:
    one, other, his = await make_api(ada), await make_api(ada), await make_api(service.client(BOB))
    await fire(service.client(BOB), his)
    await fire(ada, other)
    wanted = await fire(ada, one)
    await fire(ada, one, "test")

    answer = await ada.get("/events/export", params={"trigger_id": one["id"], "is_test": False})

    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [wanted]
    assert places_of(await ada.get("/events/export", params={"format": "xml"})) == ["format"]


async def test_an_export_goes_over_many_pages(ada: httpx.AsyncClient, database: Any) -> None:
    await database.execute(
        "INSERT INTO events (shard, owner_id, trigger_id, type, is_test)"
        " SELECT $1::bigint % 64, $1, 1, 'api', false FROM generate_series(1, 2500)",
        ADA,
    )

    lines = (await ada.get("/events/export")).text.splitlines()

    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == 2500


async def test_events_that_expire_during_an_export_are_left_out(
    service: Service, database: Any
) -> None:
    await plant_large(database)
    gone_at = await _plant_almost_gone(database)

    async with begun_export(service) as rest:
        await eventually(
            lambda: database.fetchval("SELECT clock_timestamp()"), lambda now: now > gone_at
        )
        read = b"".join([chunk async for chunk in rest])

    assert read.count(b"\n") == LARGE


async def _plant_almost_gone(database: Any) -> datetime:
    """Stores events that expire in a few seconds; gives the instant at which they do."""
    first = await database.fetchval("SELECT min(starts_at) FROM event_partitions")
    await database.execute(
        f"CREATE TABLE events_past PARTITION OF events"
        f" FOR VALUES FROM ('{(first - 2 * KEEP_FOR).isoformat()}') TO ('{first.isoformat()}')"
    )
    gone_at: datetime = await database.fetchval("SELECT clock_timestamp() + interval '5 s'")
    for _ in range(3):
        await plant_event(database, trigger_id=1, triggered_at=gone_at - KEEP_FOR)
    return gone_at


@pytest.mark.parametrize(
    ("reader", "what_happens"),
    [
        (ADA, "UPDATE logins SET revoked_at = now() WHERE user_id = $1"),
        (ADA, "UPDATE users SET disabled_at = now() WHERE id = $1"),
        (ADMIN, "UPDATE users SET role = 'user' WHERE id = $1"),
    ],
)
async def test_an_export_that_ends_with_its_login_does_not_look_whole(
    service: Service, database: Any, reader: int, what_happens: str
) -> None:
    await plant_large(database)
    chunks: list[bytes] = []
    with capture_logs() as logged:
        async with begun_export(service, reader) as rest:
            await database.execute(what_happens, reader)
            await asyncio.sleep(REVOKED_WITHIN)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await _read_into(chunks, rest)

    assert 0 < b"".join(chunks).count(b"\n") < LARGE
    said = [line["event"] for line in logged]
    assert "export_broken_off" in said
    assert "request_crashed" not in said


async def _read_into(chunks: list[bytes], rest: AsyncIterator[bytes]) -> None:
    async for chunk in rest:
        chunks.append(chunk)  # noqa: PERF401 (what has come before an error counts)


async def test_an_export_measures_few_payloads_that_do_not_fit(
    ada: httpx.AsyncClient, database: Any
) -> None:
    """The database reads a payload whole to tell its size."""
    await database.execute(
        "INSERT INTO events (shard, owner_id, trigger_id, type, is_test)"
        " SELECT $1::bigint % 64, $1, 1, 'api', false FROM generate_series(1, 1500)",
        ADA,
    )
    await plant_large(database, 40)
    measured: list[int] = []

    def look(_c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "octet_length" in statement:
            measured.append(parameters[-1])

    event.listen(Engine, "before_cursor_execute", look)
    lines = (await ada.get("/events/export")).text.splitlines()
    event.remove(Engine, "before_cursor_execute", look)

    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 1540
    assert max(measured[1:9]) <= 10
    assert measured[-1] > 500


async def test_an_empty_export_is_empty(ada: httpx.AsyncClient) -> None:
    assert (await ada.get("/events/export")).text == ""
    table = (await ada.get("/events/export", params={"format": "csv"})).text
    assert table.startswith("id,trigger_id,type,")
    assert table.count("\r\n") == 1


def test_formulas_are_marked_as_text() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"):
        assert _cell(text) == f"'{text}"
    assert _cell('{"a": "=1"}') == '{"a": "=1"}'
    assert (_cell(None), _cell(True), _cell(-5)) == ("", "true", "'-5")
