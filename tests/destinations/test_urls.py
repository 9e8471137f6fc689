"""A URL is sent byte for byte as it was saved; one with more than one meaning is not saved."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.urls import UrlRefused, parse_target
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.misbehaving import raw_server
from tests.support.odd_answers import NO_CONTENT, read_request
from tests.support.problems import problem_of
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, running_service
from tests.support.triggers import make_api

PATHS = [
    *("/hook?x=%2Fa", "/a%2Fb", "/a%2fb", "/%7euser/~user", "/a//b", "//a", "/a/?", "/?", "/a?b?c"),
    *("/a;b=c,d/(e)!*'$&", "/a?b=[1]&c[]=2", "/a?b=c+d%20e", "/a%2520b", "/a?q=../..&r=.", "/a..b"),
    *("/...", "/.well-known/x", "/a:b@c=d", "/%E2%82%AC", "/a?b=%C3%28%00"),
]
REFUSED = {
    "segments": [
        *("/..", "/.", "/a/../b", "/a/./b", "/a/..", "/./?x=1", "/%2e%2E/b", "/.%2e"),
        *("/a/..%2Fb", "/a%5c..%5Cb", "/%2e?x"),
    ],
    "%25": ["/%", "/%zz", "/a?%2", "/a?b=100%", "/%u0041", "/%2g"],
    "%20": [
        *("/a b", "/a\tb", "/a\nb", "/a\\b", "/\xe9", "/a?b=\u20ac", "/{a}", "/a|b"),
        *('/"', "/<a>", "/a^", "/`"),
    ],
    "%23": ["/#", "/a#b", "#", "/a?b#c"],
}
REFUSED_WHOLE = [
    ("https://ada@1.1.1.1/", "header"),
    ("https://ada:word@1.1.1.1/", "header"),
    ("https://b\xfccher.example/", "xn--"),
    ("https://b\xfccher.example", "xn--"),
    ("ftp://1.1.1.1/", "https://example.com/hook"),
    ("1.1.1.1/hook", "https://example.com/hook"),
    ("https://1.1.1.1\\@example.com/", "%5C"),
]
parts = [
    "%2F",
    "%2e",
    "%20",
    "%zz",
    "%",
    "/",
    "/",
    "?",
    ".",
    "..",
    "a",
    "b=c",
    "&",
    "+",
    ";",
    "[1]",
]
anything = st.lists(st.sampled_from([*parts, "!$'()*,:@~", " ", "#", "\\", "\xe9"]), max_size=12)


@asynccontextmanager
async def noting_targets() -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of a receiver, without a path, and the request targets that it received."""
    seen: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            seen.append(request[0])
            writer.write(NO_CONTENT + b"\r\n")

    async with raw_server(note) as url:
        yield url.removesuffix("/hook"), seen


async def test_a_delivery_goes_to_the_url_as_it_was_saved(database_url: str) -> None:
    async with (
        noting_targets() as (url, seen),
        running_service(database_url, **ALLOW_LOOPBACK) as service,
    ):
        ada = service.client(ADA)
        made = [await make_destination(ada, url + path) for path in (*PATHS, "", "?x=%2Fa")]
        trigger = await make_api(ada, destinations=[one["id"] for one in made])
        await fire(ada, trigger)
        await until_finished(ada, len(made))

    assert [one["url"] for one in made] == [url + path for path in (*PATHS, "", "?x=%2Fa")]
    assert sorted(seen) == sorted([*PATHS, "/", "/?x=%2Fa"])


async def test_a_url_saved_before_this_rule_is_sent_as_it_is(database_url: str) -> None:
    async with (
        noting_targets() as (url, seen),
        running_service(database_url, **ALLOW_LOOPBACK) as service,
    ):
        ada = service.client(ADA)
        made = await make_destination(ada, url + "/hook")
        connection = await connect(database_url)
        await connection.execute("UPDATE destinations SET url = $1", url + "/a/../b/%2e?x=%zz%")
        await connection.close()
        await fire(ada, await make_api(ada, destinations=[made["id"]]))
        [delivery] = await until_finished(ada)

    assert delivery["status"] == "delivered"
    assert seen == ["/a/../b/%2e?x=%zz%"]


def test_every_accepted_url_is_sent_byte_for_byte() -> None:
    """Calls the sender directly, so that many URLs are tried."""
    stack = AsyncExitStack()
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    with asyncio.Runner() as runner:
        url, seen = runner.run(stack.enter_async_context(noting_targets()))

        async def send(to: str) -> int | None:
            return (await sender.send(to, {}, b"{}", within=10)).status_code

        @settings(max_examples=300)
        @given(st.sampled_from("/?"), anything.map("".join))
        def send_any(beginning: str, more: str) -> None:
            try:
                parse_target(url + beginning + more)
            except UrlRefused:
                return
            seen.clear()
            assert runner.run(send(url + beginning + more)) == 204
            assert seen == [f"/{more}" if beginning == "/" else f"/?{more}"]

        send_any()
        runner.run(sender.aclose())
        runner.run(stack.aclose())


async def test_an_ambiguous_url_is_refused_in_words(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, "https://1.1.1.1/hook")
    wanted = [(f"https://1.1.1.1{end}", advice) for advice, ends in REFUSED.items() for end in ends]
    for url, advice in [*wanted, *REFUSED_WHOLE]:
        refused = await ada.post("/destinations", json={"url": url})
        changed = await ada.patch(f"/destinations/{made['id']}", json={"url": url})

        for answer in (refused, changed):
            [error] = problem_of(answer, 422)["errors"]
            assert error["pointer"] == "#/url", url
            assert advice in error["detail"], url
