"""A call with an Idempotency-Key creates once, and is answered as the first time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.idempotency.repository import ANSWERS_KEPT_FOR, purge_kept_answers
from event_trigger.models import ProjectRole
from tests.support.databases import connect, now_of
from tests.support.destinations import fire, until_finished
from tests.support.hooks import make_hook
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.logins import sign_in
from tests.support.memberships import add_project
from tests.support.one_server import one_server
from tests.support.problems import places_of, problem_of
from tests.support.projects import make_project
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, ADMIN, BOB, PASSWORD, Service, idle_service, running_service
from tests.support.triggers import make_api

REUSED = "urn:event-trigger:problem:idempotency-key-reused"
IN_USE = "urn:event-trigger:problem:idempotency-key-in-use"
API = {"type": "api", "details": {}}
_NO_TRIGGERS = "it has database triggers, which distributed tables cannot have"


async def post(
    client: httpx.AsyncClient, path: str = "/triggers", body: Any = API, *, key: str = "k"
) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


def is_replayed(answer: httpx.Response) -> bool:
    return "idempotent-replayed" in answer.headers


def assert_repeats(again: dict[str, Any], first: dict[str, Any], secrets: Sequence[str]) -> None:
    """Checks that an answer is the first one, with null for its secrets and a word about them."""
    expected = first
    if secrets:
        assert all(first[name] for name in secrets)
        [warning] = again["warnings"]
        assert all(name in warning for name in secrets)
        expected = {**first, **dict.fromkeys(secrets), "warnings": [warning]}
    assert again == expected


async def count(database: Any, table: str = "triggers") -> int:
    return int(await database.fetchval(f"SELECT count(*) FROM {table}"))


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


async def test_everything_that_creates_does_it_once_and_keeps_no_secret(
    database_url: str, database: Any
) -> None:
    async with (
        receiving() as receiver,
        running_service(database_url, open_registration=True, **ALLOW_LOOPBACK) as service,
    ):
        ada, anonymous = service.client(ADA), service.client()
        project = await make_project(ada)
        hook = await make_hook(ada, "github")
        destination = (await ada.post("/destinations", json={"url": receiver.url})).json()
        event_id = await fire(ada, await make_api(ada, destinations=[destination["id"]]))
        [delivery] = await until_finished(ada)
        invitation = await post(ada, f"/projects/{project}/invitations", {"role": "viewer"})
        token = invitation.json()["url"]
        rotate_hook = f"/triggers/{hook.trigger_id}/hook/rotate"
        rotate_secret = f"/destinations/{destination['id']}/rotate-secret"
        member = {"email": "bob@example.com", "role": "viewer"}
        account = {"email": "eve@example.com", "password": PASSWORD}
        of_hook = ("hook_url", "hook_secret")
        calls: list[tuple[httpx.AsyncClient, str, Any, tuple[str, ...]]] = [
            (ada, "/triggers", API, ()),
            (ada, "/triggers", {**API, "details": {"hook": {"verify": "github"}}}, of_hook),
            (ada, rotate_hook, None, of_hook),
            (ada, "/destinations", {"url": receiver.url}, ("secret",)),
            (ada, rotate_secret, None, ("secret",)),
            (ada, "/auth/keys", {"name": "a", "scopes": ["triggers:read"]}, ("key",)),
            (ada, "/projects", {"name": "Billing"}, ()),
            (ada, f"/projects/{project}/members", member, ()),
            (ada, f"/projects/{project}/invitations", {"role": "editor"}, ("url",)),
            (ada, f"/events/{event_id}/replay", None, ()),
            (ada, f"/deliveries/{delivery['id']}/redeliver", None, ()),
            (service.client(ADMIN), "/invitations/accept", {"token": token}, ()),
            (anonymous, "/auth/register", account, ()),
        ]
        for number, (client, path, body, secrets) in enumerate(calls):
            key = f"key {number}"
            first = await post(client, path, body, key=key)
            again = await post(client, path, body, key=key)

            assert first.is_success, (path, first.text)
            assert (is_replayed(first), is_replayed(again)) == (False, True), path
            assert again.status_code == first.status_code
            assert again.headers.get("location") == first.headers.get("location")
            assert_repeats(again.json(), first.json(), secrets)
            stored = "".join(map(str, await database.fetch("SELECT t::text FROM kept_answers t")))
            assert not [name for name in secrets if first.json()[name] in stored], path
            change = {"email": "mallory@example.com"} if client is anonymous else {"name": "B"}
            if client in {ada, anonymous}:
                reused = await post(client, path, {**(body or {}), **change}, key=key)
                assert problem_of(reused, 422)["type"] == REUSED, path
        assert await count(database, "users") == 4
        assert await count(database, "events") == 2


async def test_a_key_counts_for_one_caller_one_place_and_one_body(
    service: Service, database: Any
) -> None:
    ada, anonymous = service.client(ADA), service.client()
    team = await add_project(service, BOB, {ADA: ProjectRole.EDITOR})
    key = holding(service, await make_key(ada, "triggers:write"))
    reordered = '{"details": {}, "type":   "api"}'

    first = await post(ada)
    same = await ada.post(
        "/triggers",
        content=reordered,
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    made = [
        first,
        await post(service.client(BOB)),
        await post(service.client(ADA, project=team)),
        await post(service.client(BOB, project=team)),
        await post(key),
        await post(ada, key="K"),
    ]
    narrowed = {
        "Idempotency-Key": "k",
        **(await sign_in(anonymous, scope="triggers:write")).headers,
    }
    lesser = await anonymous.post("/triggers", json=API, headers=narrowed)
    full = {"Idempotency-Key": "k", **(await sign_in(anonymous)).headers}
    by_another_login = await anonymous.post("/triggers", json=API, headers=full)

    assert same.content == by_another_login.content == first.content
    assert len({one.json()["id"] for one in made}) == len(made) == await count(database)
    assert not any(map(is_replayed, made))
    refused = problem_of(lesser, 403)
    assert refused["type"] == "urn:event-trigger:problem:answer-needs-more-rights"
    problem_of(await post(holding(service, await make_key(ada, "triggers:read"))), 403)
    assert problem_of(await post(ada, body={**API, "name": "a"}), 422)["type"] == REUSED
    for wrong in ("", "k" * 256):
        assert places_of(await post(ada, key=wrong)) == ["Idempotency-Key"]
    twice = [("Idempotency-Key", "k"), ("Idempotency-Key", "other")]
    for path in ("/triggers", f"/triggers/{first.json()['id']}/trigger"):
        assert places_of(await ada.post(path, json=API, headers=twice)) == ["Idempotency-Key"]
    assert await count(database) == len(made)


async def test_a_refused_call_does_not_use_up_its_key(ada: httpx.AsyncClient) -> None:
    body = {**API, "destinations": [1]}

    refused = await post(ada, body=body)
    await ada.post("/destinations", json={"url": "https://1.1.1.1/"})
    made = await post(ada, body=body)

    assert places_of(refused) == ["#/destinations/0"]
    assert made.status_code == 201
    assert not is_replayed(made)


async def test_twenty_at_once_on_two_replicas_make_one(database_url: str, database: Any) -> None:
    async with idle_service(database_url) as one, idle_service(database_url) as other:
        clients = [one.client(ADA), other.client(ADA)] * 10

        answers = await asyncio.gather(*(post(client) for client in clients))
        last = await post(clients[0])

    assert await count(database) == await count(database, "kept_answers") == 1
    assert is_replayed(last)
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.content for answer in made} == {last.content}
    assert sum(not is_replayed(answer) for answer in made) == 1
    for answer in answers:
        if answer not in made:
            assert problem_of(answer, 409)["type"] == IN_USE
            assert answer.headers["retry-after"] == "1"


async def test_while_the_first_call_runs_others_wait_for_nothing(
    database_url: str, database: Any, ada: httpx.AsyncClient
) -> None:
    holder = await connect(database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", ADA)
        first = asyncio.create_task(post(ada))
        await until_somebody_waits(database)

        second = await post(ada)

    await holder.close()
    assert problem_of(second, 409)["type"] == IN_USE
    assert (await first).status_code == 201
    assert is_replayed(await post(ada))


@pytest.mark.parametrize(
    "when",
    ["while it creates", pytest.param("as it commits", marks=one_server(_NO_TRIGGERS))],
)
async def test_a_call_that_is_cut_off_leaves_nothing_and_can_be_repeated(
    database_url: str, database: Any, ada: httpx.AsyncClient, when: str
) -> None:
    if when == "while it creates":
        async with (holder := await connect(database_url)).transaction():
            await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", ADA)
            cut_off = asyncio.create_task(post(ada))
            await until_somebody_waits(database)
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            answer = await cut_off
        await holder.close()
    else:
        await database.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'no' USING ERRCODE = '57014'; END $$;"
            " CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON kept_answers"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        answer = await post(ada)
        await database.execute("DROP TRIGGER fails ON kept_answers")
    left = await count(database), await count(database, "kept_answers")

    repeated = await post(ada)

    problem_of(answer, 503)
    assert left == (0, 0)
    assert repeated.status_code == 201
    assert not is_replayed(repeated)
    assert (await count(database), await count(database, "kept_answers")) == (1, 1)


async def test_an_answer_is_kept_for_48_hours(
    ada: httpx.AsyncClient, sessions: Sessions, database: Any
) -> None:
    age = "UPDATE kept_answers SET created_at = now() - interval '48 h' + interval '1 min' * $1"
    other = {**API, "name": "after it"}
    await post(ada, key="other")
    await post(ada)
    await database.execute(age, 1)
    replayed = await post(ada)
    await database.execute(age, 0)

    second = await post(ada, body=other)
    again = await post(ada, body=other)
    await purge_kept_answers(sessions, await now_of(database) - ANSWERS_KEPT_FOR)

    assert is_replayed(replayed)
    assert (second.status_code, is_replayed(second)) == (201, False)
    assert is_replayed(again)
    assert await count(database, "kept_answers") == 1
    assert is_replayed(await post(ada, body=other))


async def test_an_erased_users_address_leaves_the_kept_answers(
    service: Service, database: Any
) -> None:
    ada, admin = service.client(ADA), service.client(ADMIN)
    project = await make_project(ada)
    member = {"email": "bob@example.com", "role": "viewer"}
    assert (await post(ada, f"/projects/{project}/members", member)).status_code == 201
    invited = await post(ada, f"/projects/{project}/invitations", member)
    assert invited.status_code == 201
    await post(ada)

    assert (await admin.delete(f"/users/{BOB}")).status_code == 200

    stored = [str(row) for row in await database.fetch("SELECT t::text FROM kept_answers t")]
    assert len(stored) == 1
    assert "bob@" not in stored[0]


async def test_batches_and_actions_are_done_once(ada: httpx.AsyncClient, database: Any) -> None:
    trigger = (await ada.post("/triggers", json={"type": "api"})).json()
    keyed = {"Idempotency-Key": "once"}
    bodies = {
        "/triggers/trigger-batch": {"calls": [{"trigger": trigger["id"]}] * 2},
        "/triggers/actions": {"action": "fire", "ids": [trigger["id"]]},
    }
    for path, body in bodies.items():
        first = await ada.post(path, json=body, headers=keyed)
        again = await ada.post(path, json=body, headers=keyed)

        assert first.status_code == again.status_code == 200
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"

    assert await database.fetchval("SELECT count(*) FROM events") == 3


async def test_a_call_without_a_body_or_a_statement_is_answered(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    keyed = {"Idempotency-Key": "once"}
    nothing = {"calls": [{"trigger": 0}]}

    accepted = await anonymous.post("/invitations/accept", headers=keyed)
    batches = await asyncio.gather(
        *(ada.post("/triggers/trigger-batch", json=nothing, headers=keyed) for _ in range(12))
    )

    assert accepted.status_code == 422
    assert {one.status_code for one in batches} <= {200, 409}
