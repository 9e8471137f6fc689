"""Nobody's webhook is a way into our network, however an address is written or found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy, is_public
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.urls import UrlRefused, parse_target
from event_trigger.models import DeliveryError
from tests.support.names import PUBLIC, resolving
from tests.support.problems import places_of
from tests.support.services import ADA, running_service


def words(text: str) -> list[str]:
    return text.split()


LOOPBACK = words("""
    127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0X7F.1
    0x7f.0x0.0x0.0x1 0177.0.0.1 017700000001 0177.1 127.0.0.01 127.0.0.1. 127.0.0.1.. 0.0.0.0 0
    localhost LOCALHOST localhost. a.localhost
    [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:127.0.0.1]
    [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
    [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:0001::1] [2001:0:7f00:1::1]
    [2a00:1450::5efe:7f00:1] [2a00:1450:0:0:200:5efe:7f00:1]
""")
ELSEWHERE = words("""
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 100.64.0.1 192.0.0.1 192.0.2.1
    198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 0xa9fea9fe 2852039166 169.16689662 [::ffff:169.254.169.254]
    [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::] [fe80::1] [fe80::1%25lo] [fe80::1%lo] [::1%25lo]
    [fc00::1] [fd00::1] [fec0::1] [ff02::1] [100::1] [5f00::1] [3fff::1] [2001::1] [2001:db8::1]
    [4000::1]
""")
CLOUDS = words("""
    168.63.129.16 0xa83f8110 2822734096 168.4161808 [::ffff:168.63.129.16] [::ffff:a83f:8110]
    [64:ff9b::a83f:8110] [2002:a83f:8110::1] [2a00:1450::5efe:a83f:8110]
    169.254.169.254 169.254.170.2 169.254.0.23 169.254.42.42 192.0.0.192 100.100.100.200
    [fd00:ec2::254] [fd20:ce::254] [fd00:c1::a9fe:a9fe] [fd00:42::42] [fe80::a9fe:a9fe]
""")  # Azure; AWS, GCP, Tencent, Scaleway, Oracle and Alibaba; and the same over IPv6
TRICKS = [
    *("１２７.０.０.１", "①②⑦.0.0.1", "127。0。0。1", "ⓛocalhost", "127%2e0%2e0%2e1"),
    *("user@127.0.0.1", "user:word@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1#@example.com"),
    *("127.0.0.1\\@example.com", "example.com\\@127.0.0.1", "127.0.0.1%23@example.com"),
    *("127.0.0.1%00.example.com", " 127.0.0.1", "127.0.0.1\t", "127.0.0.1\n", "127.0.0.1\r\nX: y"),
    *("[127.0.0.1]", "[::ffff:0x7f.1]", "[::1", "::1", "", ".", "-", "a..b", "127.0.0.1:0"),
]
SPELLINGS = [*LOOPBACK, *ELSEWHERE, *CLOUDS, *TRICKS]


class Trap:
    """Listens on all of loopback, which may not be called, and counts connections."""

    def __init__(self) -> None:
        self.port = 0
        self.called_at: list[str] = []

    @property
    def connections(self) -> int:
        return len(self.called_at)

    def count(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called_at.append(writer.get_extra_info("sockname")[0])
        writer.close()


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    made = Trap()
    first = await asyncio.start_server(made.count, "0.0.0.0", 0)
    made.port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(made.count, "::1", made.port)
    async with first, second:
        yield made


def addressed(host: str, port: int) -> str:
    return f"{host}:{port}" if not host.endswith(":0") else host


async def post(sender: Sender, url: str) -> AttemptResult:
    return await sender.send(url, {}, b"{}", within=5)


def test_there_are_many_ways_to_write_an_address() -> None:
    assert len(set(SPELLINGS)) >= 100


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_no_spelling_reaches_an_address_that_is_not_public(scheme: str) -> None:
    """Skips the check on saving, and goes straight to the connection."""
    sender = Sender(AddressPolicy(), DnsResolver().lookup)
    async with trap() as trapped:
        for host in SPELLINGS:
            answer = await post(sender, f"{scheme}://{addressed(host, trapped.port)}/hook")
            assert answer.error is not None, host
            assert answer.response is None, host
    await sender.aclose()

    assert trapped.connections == 0


async def test_no_spelling_can_be_saved(ada: httpx.AsyncClient) -> None:
    made = (await ada.post("/destinations", json={"url": "https://1.1.1.1/hook"})).json()
    for host in SPELLINGS:
        body = {"url": f"https://{addressed(host, 8443)}/hook"}

        refused = await ada.post("/destinations", json=body)
        changed = await ada.patch(f"/destinations/{made['id']}", json=body)

        for answer in (refused, changed):
            assert answer.status_code == 422, host
            assert places_of(answer) == ["#/url"], host
            assert len(host) < 5 or host not in answer.text
    listed = (await ada.get("/destinations")).json()
    assert [one["url"] for one in listed] == ["https://1.1.1.1/hook"]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "168.63.129.16", "0.0.0.0"),
        *("::1", "::ffff:127.0.0.1", "fe80::1%1"),
    ],
)
async def test_a_name_that_comes_to_lead_inward_is_not_followed(address: str) -> None:
    sender = Sender(AddressPolicy(), resolving(address).lookup)
    async with trap() as trapped:
        answer = await post(sender, f"https://rebinding.example:{trapped.port}/hook")
    await sender.aclose()

    assert answer.error == DeliveryError.ADDRESS_REFUSED
    assert trapped.connections == 0


async def test_a_url_that_was_public_when_saved_is_checked_again_when_connecting(
    database_url: str,
) -> None:
    names = resolving(PUBLIC, "127.0.0.1")
    async with trap() as trapped, running_service(database_url, names) as service:
        ada = service.client(ADA)
        url = f"https://rebinding.example:{trapped.port}/hook"
        made = await ada.post("/destinations", json={"url": url})
        tried = await ada.post(f"/destinations/{made.json()['id']}/test")

    assert made.status_code == 201
    assert tried.status_code == 200
    attempt = tried.json()
    assert (attempt["error"], attempt["status_code"], attempt["response"]) == (
        "address_refused",
        None,
        None,
    )
    assert trapped.connections == 0


async def test_a_name_that_leads_inward_is_refused_when_it_is_saved(database_url: str) -> None:
    async with running_service(database_url, resolving("10.1.2.3")) as service:
        answer = await service.client(ADA).post(
            "/destinations", json={"url": "https://intranet.example/hook"}
        )

    assert places_of(answer) == ["#/url"]
    assert "10.1.2.3" not in answer.text


async def test_allowed_networks_may_be_called_and_no_others() -> None:
    guard = AddressPolicy([ip_network("127.0.0.1/32")])
    sender = Sender(guard, resolving("127.0.0.2").lookup)
    async with trap() as trapped:
        allowed = await post(sender, f"http://127.0.0.1:{trapped.port}/hook")
        mapped = await post(sender, f"http://[::ffff:127.0.0.1]:{trapped.port}/hook")
        others = [
            await post(sender, f"http://{host}:{trapped.port}/hook")
            for host in ("127.0.0.2", "[::1]", "name.example")
        ]
    await sender.aclose()

    assert allowed.error == mapped.error == DeliveryError.CONNECTION_FAILED  # it hangs up
    assert [one.error for one in others] == [DeliveryError.ADDRESS_REFUSED] * 3
    assert trapped.connections == 2


@pytest.mark.parametrize("addresses", [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")])
async def test_of_several_addresses_only_those_that_may_be_called_are(
    addresses: tuple[str, str],
) -> None:
    sender = Sender(AddressPolicy([ip_network("127.0.0.1/32")]), resolving(addresses).lookup)
    async with trap() as trapped:  # listens at both
        hung_up = await post(sender, f"http://name.example:{trapped.port}/hook")
    nobody_listens = await post(sender, f"http://name.example:{trapped.port}/hook")
    await sender.aclose()

    assert hung_up.error == DeliveryError.CONNECTION_FAILED
    assert trapped.called_at == ["127.0.0.1"]
    assert nobody_listens.error == DeliveryError.ADDRESS_REFUSED


def test_plain_http_is_for_allowed_addresses_only() -> None:
    guard = AddressPolicy([ip_network("10.0.0.0/8")])

    def may_call(text: str, *, is_encrypted: bool) -> bool:
        return guard.may_call(ip_address(text), is_encrypted=is_encrypted)

    assert may_call("10.1.2.3", is_encrypted=False)
    assert may_call("10.1.2.3", is_encrypted=True)
    assert may_call(PUBLIC, is_encrypted=True)
    assert not may_call(PUBLIC, is_encrypted=False)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", PUBLIC, "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"],
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_as_public_as_it_is_by_itself(inner: IPv4Address) -> None:
    number = int(inner)
    wrapped = [0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80]

    assert {is_public(IPv6Address(one)) for one in wrapped} == {is_public(inner)}


@given(st.text(max_size=60))
def test_an_accepted_url_has_one_meaning(text: str) -> None:
    url = f"https://{text}"
    try:
        target = parse_target(url)
    except UrlRefused:
        return

    parsed = httpx.URL(url)
    assert parsed.host == str(target.host).lower()
    assert (parsed.port or 443) == target.port
    assert not parsed.userinfo
