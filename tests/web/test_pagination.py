"""A cursor names the last row of a page; forged cursors are refused."""

import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.errors import Invalid
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.pagination import encode_cursor, id_cursor, instant_cursor
from tests.support.problems import places_of
from tests.support.services import Service

IDS = st.integers(0, LARGEST_ID)
EPOCH, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 12, 31, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), LAST - EPOCH).map(lambda age: EPOCH + age)


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service whose first trigger has the id 1."""
    return own_service


@given(IDS)
def test_an_id_comes_back_from_its_cursor(row_id: int) -> None:
    assert id_cursor(encode_cursor(row_id)) == row_id


@given(INSTANTS, IDS)
def test_an_instant_comes_back_to_the_microsecond(instant: datetime, row_id: int) -> None:
    cursor = encode_cursor(instant, row_id)

    assert instant_cursor(cursor) == (instant, row_id)
    assert len(cursor) <= 200
    assert cursor.isascii()
    assert "=" not in cursor


@given(
    st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: base64.b64encode(raw).decode())
)
def test_any_text_is_a_position_or_refused(cursor: str) -> None:
    for read in (id_cursor, instant_cursor):
        with suppress(Invalid):
            position = read(cursor)

            assert isinstance(position, int | tuple)


def test_without_a_cursor_the_first_page_is_meant() -> None:
    assert id_cursor(None) is None
    assert instant_cursor(None) is None


def test_the_largest_position_is_an_instant_that_postgresql_knows() -> None:
    position = instant_cursor(encode_cursor(LARGEST_ID, LARGEST_ID))

    assert position is not None
    assert position[0] <= datetime(9001, 1, 1, tzinfo=UTC)


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


FORGED = {
    "not base64": "%C3%A9",
    "NUL": "%00",
    "one character": "a",
    "not JSON": cursor_of("x"),
    "not UTF-8": "____",
    "a number": cursor_of("1"),
    "an object": cursor_of("{}"),
    "null": cursor_of("null"),
    "no position": cursor_of("[]"),
    "a longer position": cursor_of("[1,2,3]"),
    "text": cursor_of('["1","2"]'),
    "booleans": cursor_of("[true,true]"),
    "fractions": cursor_of("[1.5,1.5]"),
    "negative": cursor_of("[-1,-1]"),
    "over 64 bits": cursor_of(f"[{2**63},{2**63}]"),
    "NaN": cursor_of("[NaN,NaN]"),
    "Infinity": cursor_of("[Infinity,1]"),
    "nested": cursor_of("[" * 140),
    "SQL": cursor_of("' OR 1=1 --"),
    "too long": "A" * 201,
    "much too long": "A" * 50_000,
}


async def test_forged_cursors_are_refused(ada: httpx.AsyncClient) -> None:
    for name, cursor in FORGED.items():
        for path in ("/triggers", "/events"):
            answer = await ada.get(f"{path}?cursor={cursor}")

            assert places_of(answer) == ["cursor"], name


async def test_a_cursor_is_of_one_list_only(ada: httpx.AsyncClient) -> None:
    of_triggers, of_events = encode_cursor(1), encode_cursor(datetime.now(UTC), 1)

    wrong = [
        await ada.get(f"/events?cursor={of_triggers}"),
        await ada.get(f"/triggers?cursor={of_events}"),
    ]

    assert [places_of(answer) for answer in wrong] == [["cursor"], ["cursor"]]


async def test_any_position_is_a_page(ada: httpx.AsyncClient) -> None:
    far = datetime.now(UTC) + timedelta(days=365)
    cursors = {
        "/triggers": [encode_cursor(0), encode_cursor(LARGEST_ID)],
        "/events": [
            encode_cursor(0, 0),
            encode_cursor(LARGEST_ID, LARGEST_ID),
            encode_cursor(far, 1),
        ],
    }

    for path, positions in cursors.items():
        for cursor in positions:
            assert (await ada.get(f"{path}?cursor={cursor}")).json() == []


async def _add(client: httpx.AsyncClient) -> None:
    trigger = {"type": "api", "name": "a name & more", "tags": ["t"]}
    await client.post("/triggers", json=trigger)
    await client.post("/triggers/1/trigger")


async def _next(client: httpx.AsyncClient, path: str) -> tuple[list[int], str | None]:
    answer = await client.get(path)
    return [row["id"] for row in answer.json()], answer.links.get("next", {}).get("url")


LISTS = ["/triggers?tag=t&q=name%20%26&type=api", "/events?trigger_id=1&type=api&is_test=false"]


async def test_following_the_links_shows_each_row_once_newest_first(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    for _ in range(5):
        await _add(ada)
    await ada.post("/triggers", json={"type": "api", "name": "what no filter selects"})
    await ada.post("/triggers/1/test")

    for start, limit, client in product(LISTS, (1, 2, 5, 7), (ada, overseer)):
        path: str | None = f"{start}&limit={limit}"
        pages = []
        while path:
            page, path = await _next(client, path)
            pages.append(page)

        assert [row for page in pages for row in page] == [5, 4, 3, 2, 1]
        assert {len(page) for page in pages[:-1]} <= {limit}


async def test_new_rows_come_before_the_first_page_and_not_into_a_later_one(
    ada: httpx.AsyncClient,
) -> None:
    for _ in range(5):
        await _add(ada)

    for start in LISTS:
        first, path = await _next(ada, f"{start}&limit=3")
        await _add(ada)
        assert path is not None
        second, _ = await _next(ada, path)

        assert [*first, *second] == list(range(first[0], 0, -1))


async def test_a_link_is_absolute_and_names_no_impossible_host(ada: httpx.AsyncClient) -> None:
    for _ in range(2):
        await ada.post("/triggers", json={"type": "api"})

    for host in ("service.test", "[", "a b", "", "//x", "a?b#c"):
        answer = await ada.get("/triggers?limit=1&tag=", headers={"host": host})

        link = answer.headers["link"].replace(":None", "")  # the port, which httpx leaves out
        url = f"http://service.test/triggers?limit=1&cursor={encode_cursor(2)}"
        assert link == f'<{url}>; rel="next"'
