"""The log as a file: everything that the filters select, safe to open in a spreadsheet."""

import csv
import io
import json
from typing import Any

import httpx

from event_trigger.events.export import _cell
from tests.support.destinations import fire
from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import make_api


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


async def test_csv_has_a_header_and_quotes_what_needs_it(ada: httpx.AsyncClient) -> None:
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


async def test_an_empty_export_is_empty(ada: httpx.AsyncClient) -> None:
    assert (await ada.get("/events/export")).text == ""
    table = (await ada.get("/events/export", params={"format": "csv"})).text
    assert table.startswith("id,trigger_id,type,")
    assert table.count("\r\n") == 1


def test_what_a_spreadsheet_would_compute_is_marked_as_text() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"):
        assert _cell(text) == f"'{text}"
    assert _cell('{"a": "=1"}') == '{"a": "=1"}'
    assert (_cell(None), _cell(True), _cell(-5)) == ("", "true", "'-5")
