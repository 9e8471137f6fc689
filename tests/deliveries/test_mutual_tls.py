"""A receiver that wants a client certificate gets that of the destination, and no other."""

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from event_trigger.deliveries.http.tls_contexts import TlsContexts
from event_trigger.destinations.client_certificates import ClientCertificate
from tests.support.certificates import Authority, Issued, server_context, tls_receiver
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.problems import places_of
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import make_api

AUTHORITY, CLIENTS = Authority("Of receivers"), Authority("Of clients")


@pytest.fixture
def service_settings(tmp_path: Path) -> dict[str, Any]:
    """Trusts the receivers' authority, by `EVENT_TRIGGER_CA_FILE`."""
    return {**ALLOW_LOOPBACK, "ca_file": AUTHORITY.save(tmp_path), "retry_after": ()}


@pytest.fixture
def service(own_service: Service) -> Service:
    return own_service


def identity(issued: Issued) -> dict[str, object]:
    return {"client_certificate": issued.as_given}


async def test_each_destination_shows_its_own_certificate_on_its_own_connections(
    service: Service, tmp_path: Path
) -> None:
    file = AUTHORITY.issue("127.0.0.1").save(tmp_path)
    context = server_context(file, clients_of=CLIENTS.save(tmp_path))
    ada, bob = service.client(ADA), service.client(BOB)
    one, two = CLIENTS.issue("one"), CLIENTS.issue("two")
    stranger = Authority("Of strangers").issue("stranger")
    async with tls_receiver(context) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/hook"
        made = [
            await make_destination(ada, url, **more)
            for more in (identity(one), identity(two), {}, identity(stranger))
        ]
        bobs = await make_destination(bob, url, **identity(one))
        trigger = await make_api(ada, destinations=[each["id"] for each in made])
        for _ in range(2):
            await fire(ada, trigger)
        done = await until_finished(ada, 8)
        pinged = await bob.post(f"/destinations/{bobs['id']}/test")

    errors = {
        each["id"]: {found["error"] for found in done if found["destination_id"] == each["id"]}
        for each in made
    }
    assert [errors[each["id"]] for each in made[:2]] == [{None}] * 2
    for each in made[2:]:  # the connection may be reset before the reason has arrived
        assert errors[each["id"]] <= {"tls_failed", "connection_failed"}
    assert pinged.json()["error"] is None
    assert sorted(map(str, receiver.subjects)) == ["one", "one", "one", "two", "two"]
    by_connection: dict[object, set[str | None]] = {}
    for connection, subject in zip(receiver.connections, receiver.subjects, strict=True):
        by_connection.setdefault(connection, set()).add(subject)
    assert {len(subjects) for subjects in by_connection.values()} == {1}
    assert len(by_connection) >= 3


async def test_a_certificate_that_is_not_shown_is_not_presented(
    service: Service, tmp_path: Path, database: Any
) -> None:
    """A downgrade below migration 0030 drops the column, and leaves what is sealed."""
    file = AUTHORITY.issue("127.0.0.1").save(tmp_path)
    context = server_context(file, clients_of=CLIENTS.save(tmp_path))
    ada = service.client(ADA)
    async with tls_receiver(context) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/hook"
        made = await make_destination(ada, url, **identity(CLIENTS.issue("one")))
        await database.execute("UPDATE destinations SET client_certificate = NULL")
        await fire(ada, await make_api(ada, destinations=[made["id"]]))
        [done] = await until_finished(ada)
        pinged = (await ada.post(f"/destinations/{made['id']}/test")).json()

    assert {done["error"], pinged["error"]} <= {"tls_failed", "connection_failed"}
    assert receiver.subjects == []


async def test_a_certificate_that_is_not_wanted_is_not_asked_for(
    service: Service, tmp_path: Path
) -> None:
    context = server_context(AUTHORITY.issue("127.0.0.1").save(tmp_path))
    ada = service.client(ADA)
    async with tls_receiver(context) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/hook"
        made = await make_destination(ada, url, **identity(CLIENTS.issue("one")))
        tried = await ada.post(f"/destinations/{made['id']}/test")

    assert tried.json()["status_code"] == 204
    assert receiver.subjects == [None]


async def test_over_plain_http_there_is_no_client_certificate(ada: httpx.AsyncClient) -> None:
    one = identity(CLIENTS.issue("one"))
    plain = await make_destination(ada, "http://127.0.0.1:9/hook")

    refused = [
        await ada.post("/destinations", json={"url": plain["url"], **one}),
        await ada.patch(f"/destinations/{plain['id']}", json=one),
    ]

    assert [places_of(each) for each in refused] == [["#/client_certificate"]] * 2


async def test_contexts_are_shared_by_attempts_and_not_by_owners() -> None:
    contexts, issued = TlsContexts(None, most=4, most_of_owner=2), CLIENTS.issue("one")

    async def get(owner_id: int, number: int = 0) -> ssl.SSLContext:
        chain = f"{number}\n{issued.certificate}"  # a remark makes another certificate of it
        return await contexts.get(ClientCertificate(owner_id, chain, issued.private_key))

    first, again, other = await get(1), await get(1), await get(2)
    none, others = await contexts.get(None), TlsContexts(None)
    for number in range(3):  # one owner's leave room for those of others
        await get(1, number)
    kept, forgotten = await get(2), await get(1)

    none_of_others = await others.get(None)

    contexts.close()
    others.close()
    assert again is first
    assert kept is other
    assert forgotten is not first
    assert len({first, other, none}) == 3
    assert none is none_of_others


async def test_a_certificate_that_openssl_refuses_is_tried_again() -> None:
    contexts = TlsContexts(None)
    broken = ClientCertificate(1, "no certificate", "no key")

    for _ in range(2):
        with pytest.raises(OSError, match="PEM"):
            await contexts.get(broken)

    contexts.close()
