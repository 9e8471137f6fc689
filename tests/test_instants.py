"""Instants are read leniently, and written in one way."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.instants import instant_text, parse_instant
from tests.support.problems import places_of
from tests.support.triggers import read

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
FIRST, LAST = datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("8999-12-31")
INSTANTS = st.datetimes(FIRST, LAST, timezones=ZONES)


@given(INSTANTS, st.sampled_from("Tt "), st.sampled_from(["", ":"]), st.booleans())
def test_every_way_to_write_an_instant_is_read_as_that_instant(
    instant: datetime, between: str, colon: str, is_short: bool
) -> None:
    if is_short:
        instant = instant.replace(second=0, microsecond=0)
    offset = f"{instant:%z}"
    written = instant.replace(tzinfo=None).isoformat(between, "minutes" if is_short else "auto")

    found = parse_instant(f"{written}{offset[:3]}{colon}{offset[3:]}")

    assert (found, found.tzinfo) == (instant, UTC)
    assert parse_instant(instant_text(found)) == found


@given(INSTANTS, st.sampled_from("zZ"))
def test_what_is_written_is_rfc_3339_with_microseconds_if_there_are_any(
    instant: datetime, z: str
) -> None:
    utc = instant.astimezone(UTC)

    written = instant_text(utc)

    fraction = r"\.\d{6}" if utc.microsecond else ""
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{fraction}Z", written)
    assert parse_instant(written.lower().replace("z", z)) == utc


@given(st.text("0123456789-+:.TtZz ,", max_size=30) | st.text(max_size=30))
def test_any_text_is_an_instant_or_refused_with_words(text: str) -> None:
    with suppress(ValueError):
        assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-13T10:00:00",  # in which zone?
        "2026-03-13",
        "13.03.2026T10:00Z",
        "2026-03-13T10Z",
        "2026-03-13T1000Z",
        "20260313T100000Z",
        "2026-03-13T10:00:00,5Z",
        "2026-03-13T10:00+1",
        "2026-03-13T10:00+01",
        "2026-03-13T10:00+01:60",
        "2026-03-13T10:00:00 01:00",
        "2026-03-13T10:00:00 Z",
        "1773396000",
    ],
)
def test_what_could_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2026-03-13T10:00:00Z"):
        parse_instant(text)


async def test_bodies_and_queries_are_read_leniently_and_answered_strictly(
    ada: httpx.AsyncClient,
) -> None:
    for time in ("2999-03-13t10:00+0100", "2999-03-13 09:00z", "2999-03-13T09:00:00.000Z"):
        details = {"time": time, "interval": 60, "recurring": True, "until": "2999-03-14T00:00Z"}
        made = await ada.post("/triggers", json={"type": "scheduled", "details": details})

        trigger = await read(ada, made.json()["id"])
        assert trigger["details"]["time"] == trigger["next_fire_at"] == "2999-03-13T09:00:00Z"
        assert trigger["details"]["until"] == "2999-03-14T00:00:00Z"
        asked = await ada.get("/events", params={"since": time})
        assert asked.status_code == 200, asked.text

    ambiguous = {"type": "scheduled", "details": {"time": "2999-03-13T10:00:00 01:00"}}
    assert places_of(await ada.post("/triggers", json=ambiguous)) == ["#/details/time"]
