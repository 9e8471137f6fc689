"""Every change is recorded with its actor, time, address and difference, but no secret."""

import json
from typing import Any

import httpx
import pytest

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.audit.recorder import AuditedSession
from event_trigger.audit.repository import AuditLog
from event_trigger.audit.sign_ins import MAX_FAILED_PER_MINUTE, OTHER_ACCOUNTS
from event_trigger.auth.users import set_password
from event_trigger.db.clock import database_now
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.jobs import AUDIT_KEPT_FOR
from event_trigger.models import ActorKind
from tests.support.destinations import fire, list_deliveries, make_destination
from tests.support.keys import holding, make_key
from tests.support.logins import ask_for_tokens, refresh, sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, ADMIN, BOB, Service, from_address, quick_passwords
from tests.support.triggers import make_api

URL = "https://1.1.1.1/hook"
CANARY = "canary-3f9a1c"


async def entries(admin: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    """Returns the audit entries, oldest first."""
    answer = await admin.get("/audit", params={"limit": 1000, **filters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found[::-1]


async def test_a_change_says_who_what_where_and_what_differs(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada, name="before", tags=["a"])

    changed = await ada.patch(
        f"/triggers/{trigger['id']}", json={"name": "after", "tags": ["b"], "payload": {"c": 1}}
    )

    [made, entry] = await entries(admin, target="trigger")
    assert made["action"] == "create_trigger"
    assert (made["before"], made["after"]["name"]) == (None, "before")
    assert entry["action"] == "update_trigger"
    assert (entry["target"], entry["target_id"]) == ("trigger", trigger["id"])
    assert entry["before"] == {"name": "before", "tags": ["a"]}
    assert (entry["after"]["name"], entry["after"]["tags"]) == ("after", ["b"])
    assert (entry["actor"], entry["user_id"], entry["key_id"]) == ("login", ADA, None)
    assert entry["address"] == "127.0.0.1"
    assert entry["request_id"] == changed.headers["x-request-id"]
    assert entry["refused"] is False


async def test_what_a_key_does_names_the_key(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    key = await make_key(ada)
    trigger = await make_api(holding(service, key))

    [entry] = await entries(admin, target="trigger")

    assert (entry["actor"], entry["user_id"], entry["key_id"]) == ("key", ADA, key["id"])
    assert entry["target_id"] == trigger["id"]


async def test_every_kind_of_change_is_there_and_nothing_that_only_reads(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    trigger, destination = await make_api(ada), await make_destination(ada, URL)
    t, d = f"/triggers/{trigger['id']}", f"/destinations/{destination['id']}"
    for method, path, body in (
        ("GET", t, None),
        ("GET", d, None),
        ("POST", f"{t}/pause", None),
        ("POST", f"{t}/resume", None),
        ("POST", f"{t}/trigger", None),
        ("PATCH", d, {"timeout": 5}),
        ("POST", f"{d}/disable", None),
        ("POST", f"{d}/enable", None),
        ("POST", f"{d}/rotate-secret", None),
        ("DELETE", t, None),
        ("DELETE", d, None),
    ):
        assert (await ada.request(method, path, json=body)).is_success, path
    key = await make_key(ada)
    await ada.delete(f"/auth/keys/{key['id']}")
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    tokens = await sign_in(anonymous)
    await anonymous.post("/auth/logout", headers=tokens.headers)

    assert [one["action"] for one in await entries(admin)] == [
        "create_trigger",
        "create_destination",
        "pause_trigger",
        "resume_trigger",
        "update_destination",
        "disable_destination",
        "enable_destination",
        "rotate_destination_secret",
        "delete_trigger",
        "delete_destination",
        "create_key",
        "delete_key",
        "update_user",
        "sign_in",
        "sign_out",
    ]


async def test_a_refused_admin_action_is_there_but_not_for_every_try(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for client in (ada, ada, bob):
        await client.patch(f"/users/{ADA}", json={"role": "admin"})
    await ada.get("/users")

    found = [(one["action"], one["user_id"]) for one in await entries(admin, refused=True)]

    assert found == [("update_user", ADA), ("update_user", BOB), ("list_users", ADA)]


async def test_an_admin_who_may_not_is_there(admin: httpx.AsyncClient) -> None:
    await admin.patch(f"/users/{ADMIN}", json={"role": "user"})

    [entry] = await entries(admin)

    assert (entry["action"], entry["user_id"], entry["refused"]) == ("update_user", ADMIN, True)


async def test_a_stolen_refresh_token_is_there_once_and_says_whose_it_was(
    anonymous: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    tokens = await sign_in(anonymous)
    for _ in range(4):
        await refresh(anonymous, tokens)
        await database.execute("UPDATE refresh_tokens SET used_at = now() - interval '11 s'")

    [_, entry] = await entries(admin, target="login")

    assert entry["after"] == {"revoked": "a refresh token was used twice", "user_id": ADA}


async def test_sending_again_is_there(ada: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    destination = await make_destination(ada, URL)
    await ada.post(f"/destinations/{destination['id']}/disable")
    await fire(ada, await make_api(ada, destinations=[destination["id"]]))
    [delivery] = await list_deliveries(ada)

    await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    [entry] = await entries(admin, target="delivery")
    assert (entry["action"], entry["target_id"]) == ("redeliver", delivery["id"])


async def test_what_fails_leaves_no_entry(ada: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await ada.patch("/triggers/987654321", json={"name": "x"})
    await ada.post("/triggers", json={"type": "scheduled", "details": {"cron": "* *"}})

    assert await entries(admin) == []


async def test_no_secret_is_in_it(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    made = await make_destination(ada, URL, headers={"X-Key": CANARY})
    await ada.patch(f"/destinations/{made['id']}", json={"headers": {"X-Key": CANARY + "2"}})
    await ada.post(f"/destinations/{made['id']}/rotate-secret")
    trigger = await make_api(ada, payload={"token": CANARY})
    await ada.patch(f"/triggers/{trigger['id']}", json={"payload": {"token": CANARY + "2"}})
    key = await make_key(ada)

    said = json.dumps(await entries(admin))

    for secret in (CANARY, made["secret"].removeprefix("whsec_"), key["key"]):
        assert secret not in said
    assert said.count("(replaced)") == 3


async def test_a_failed_sign_in_is_there_with_account_and_address(
    service: Service, admin: httpx.AsyncClient
) -> None:
    guesser = from_address(service, "192.0.2.7")
    for email in ("Ada@example.com", "ada@example.com", "nobody@example.com", "a pass word\x1b[2J"):
        problem_of(await ask_for_tokens(guesser, email, "wrong"), 401)
    await ask_for_tokens(guesser)

    found = await entries(admin, action="sign_in", refused=True)

    assert {(one["actor"], one["address"], one["target"]) for one in found} == {
        ("anonymous", "192.0.2.7", "user")
    }
    assert [(one["after"]["email"], one["after"]["failures"]) for one in found] == [
        ("ada@example.com", 2),
        ("nobody@example.com", 1),
        ("(no e-mail address)", 1),
    ]
    assert [(one["user_id"], one["target_id"]) for one in found] == [
        (None, ADA),
        (None, None),
        (None, None),
    ]
    assert len(await entries(admin, action="sign_in", target_id=ADA)) == 1


async def test_nobody_fills_it_by_guessing(
    service: Service, admin: httpx.AsyncClient, database: Any
) -> None:
    for number in range(MAX_FAILED_PER_MINUTE + 4):
        guesser = from_address(service, f"192.0.2.{number}")
        await ask_for_tokens(guesser, f"{number}@example.com", "wrong")
    await ask_for_tokens(from_address(service, "192.0.2.1"), "1@example.com", "wrong")

    found = await entries(admin, action="sign_in", limit=1000)

    assert len(found) == MAX_FAILED_PER_MINUTE + 1
    assert (found[-1]["address"], found[-1]["after"]) == (
        None,
        {"email": OTHER_ACCOUNTS, "failures": 4},
    )
    assert [one["after"]["failures"] for one in found if one["address"] == "192.0.2.1"] == [2]


async def test_who_reads_a_secret_is_there_once_a_minute(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    made = await make_destination(ada, URL)
    machine = holding(service, await make_key(ada))
    for _ in range(3):
        await ada.get(f"/destinations/{made['id']}/secret")
        await machine.get(f"/destinations/{made['id']}/secret")

    found = await entries(admin, action="get_destination_secret")

    assert {one["actor"] for one in found} == {"login", "key"}
    assert [(one["target"], one["target_id"], one["after"]) for one in found] == [
        ("destination", made["id"], None)
    ] * 2


def schema_of(size: int, filler: str = "x") -> dict[str, Any]:
    """Returns a trigger's details with a schema description of that length."""
    return {"schema": {"type": "object", "description": filler * size}}


@pytest.mark.parametrize("filler", ["x", "\u00e9", '"', "\U0001f600"])
async def test_of_a_large_value_there_is_the_beginning_and_its_size(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any, filler: str
) -> None:
    small = schema_of(10)
    large = schema_of(15_000 // (len(json.dumps(filler)) - 2), filler)
    trigger = await make_api(ada, details=small)

    await ada.patch(f"/triggers/{trigger['id']}", json={"details": large})

    [_, entry] = await entries(admin, target="trigger")
    said, whole = entry["after"]["details"], json.dumps(large)
    size = await database.fetchval(
        "SELECT octet_length(CAST(after -> 'details' AS text)) FROM audit_entries WHERE id = $1",
        entry["id"],
    )
    assert entry["before"]["details"]["schema"] == small["schema"]
    assert said.startswith('{"schema": {"type": "object", "description": ')
    assert said.endswith(" bytes of JSON)")
    assert int(said.split("(cut: ")[1].split()[0]) >= len(whole)
    assert 3_000 < size <= 4_096


async def test_a_page_ends_before_it_is_too_large_and_the_next_goes_on(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    for _ in range(6):
        await make_api(ada)
    # as versions before stored it
    await database.execute(
        "UPDATE audit_entries SET after = json_build_object('details', repeat('x', 1500000))"
    )

    pages = [await admin.get("/audit", params={"limit": 1000})]
    while "next" in pages[-1].links:
        pages.append(await admin.get(pages[-1].links["next"]["url"]))

    assert [len(one.json()) for one in pages] == [2, 2, 2]
    ids = [entry["id"] for one in pages for entry in one.json()]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 6


async def test_it_is_read_page_by_page_and_by_what_it_is_about(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    made = [(await make_api(ada))["id"] for _ in range(5)]

    page = await admin.get("/audit", params={"limit": 2, "target": "trigger"})
    found = page.json()
    while "next" in page.links:
        page = await admin.get(page.links["next"]["url"])
        found += page.json()

    assert [one["target_id"] for one in found] == made[::-1]
    assert len(await entries(admin, user_id=ADA, action="create_trigger")) == 5
    assert len(await entries(admin, target="trigger", target_id=made[0])) == 1
    assert await entries(admin, until=found[-1]["at"]) == []
    assert len(await entries(admin, since=found[0]["at"])) == 1


async def test_what_the_operator_does_is_there(service: Service) -> None:
    engine = create_engine(service.database_url)
    with acting_as(Actor(ActorKind.OPERATOR, command="user password")):
        sessions = create_sessions(engine, AuditedSession)
        await set_password(sessions, quick_passwords(), email="bob@example.com", password="another")
    await engine.dispose()

    [entry] = await entries(service.client(ADMIN))

    assert (entry["actor"], entry["action"], entry["target_id"]) == (
        "operator",
        "user password",
        BOB,
    )
    assert entry["after"] == {"password_hash": "(replaced)"}


@pytest.mark.parametrize(("days", "left"), [(89, 1), (91, 0)])
async def test_it_is_kept_for_90_days(
    ada: httpx.AsyncClient, service: Service, database: Any, days: int, left: int
) -> None:
    await make_api(ada)
    await database.execute("UPDATE audit_entries SET at = now() - make_interval(days => $1)", days)
    engine = create_engine(service.database_url)

    async with create_sessions(engine).begin() as session:
        await AuditLog(session).purge_older_than(await database_now(session) - AUDIT_KEPT_FOR)

    await engine.dispose()
    assert await database.fetchval("SELECT count(*) FROM audit_entries") == left
