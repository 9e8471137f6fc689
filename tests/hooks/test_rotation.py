"""A hook's secret is replaced at once, or so that the old one counts for a day more."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.destinations.lifecycle import KeyRotation
from event_trigger.hooks.rotation import rotate_hook_keys
from event_trigger.hooks.sealing import FormerSecret, seal_into, secrets_of
from event_trigger.models import Hook
from event_trigger.triggers.hook_port import HookSecrets
from event_trigger.vault import Sealed, Vault
from tests.support.hooks import BODY, MadeHook, github, hook_of, make_hook
from tests.support.problems import places_of, problem_of
from tests.support.senders import SENDERS
from tests.support.services import ADA, SECRET, Service, running_service
from tests.support.triggers import read

NEW_KEY = "another-key-" * 4
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


async def rotated(client: httpx.AsyncClient, hook: MadeHook, **body: Any) -> MadeHook:
    answer = await client.post(f"/triggers/{hook.trigger_id}/hook/rotate", json=body)
    assert answer.status_code == 200, answer.text
    return hook_of(answer.json())


async def statuses(client: httpx.AsyncClient, *hooks: MadeHook) -> list[int]:
    calls = [await client.post(one.url, content=BODY, headers=github(one)) for one in hooks]
    return [answer.status_code for answer in calls]


async def test_with_keep_old_both_secrets_count_under_the_same_url(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    first = await make_hook(ada, "github")

    second = await rotated(ada, first, keep_old=True)
    third = await rotated(ada, first, keep_old=True)
    kept = await statuses(anonymous, first, second, third)
    fourth = await rotated(ada, first)
    ended = await statuses(anonymous, first, fourth)

    assert first.url == second.url == third.url != fourth.url
    assert len({one.secret for one in (first, second, third, fourth)}) == 4
    assert kept == [200, 200, 200]
    assert ended == [404, 200]
    crossed = [MadeHook(0, fourth.url, one.secret) for one in (first, second, third)]
    assert await statuses(anonymous, *crossed) == [401, 401, 401]


async def test_a_secret_that_was_given_in_place_ends_those_before(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    first = await make_hook(ada, "github")
    second = await rotated(ada, first, keep_old=True)

    given = {"details": {"hook": {"secret": "canary-given"}}}
    await ada.patch(f"/triggers/{first.trigger_id}", json=given)

    third = MadeHook(first.trigger_id, first.url, "canary-given")
    assert await statuses(anonymous, first, second, third) == [401, 401, 200]


async def test_a_sender_that_issues_another_secret_is_followed(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    first = await make_hook(ada, "github")

    kept = await rotated(ada, first, keep_old=True, secret="canary-two")
    moved = await rotated(ada, first, secret="canary-three")

    assert kept.url == first.url
    assert not kept.secret
    assert not moved.secret
    assert moved.url != first.url
    three = MadeHook(first.trigger_id, moved.url, "canary-three")
    assert await statuses(anonymous, first, three) == [404, 200]
    audited = await admin.get("/audit")
    entries = [one["after"] for one in audited.json() if one["target"] == "hook"]
    assert entries == [
        {"url": "(replaced)", "secret": "(replaced)"},
        {"secret": "(replaced)"},
    ]
    assert "canary" not in audited.text


async def test_a_rotation_that_cannot_be_is_refused(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    none, signed = await make_hook(ada, "none"), await make_hook(ada, "github")
    discord = SENDERS["Discord"]
    key = {"hook": {**discord.hook, "secret": discord.secret}}
    public = hook_of((await ada.post("/triggers", json={"type": "api", "details": key})).json())

    async def places(hook: MadeHook, body: Any) -> list[str]:
        path = f"/triggers/{hook.trigger_id}/hook/rotate"
        return places_of(await ada.post(path, json=body))

    assert await places(none, {"keep_old": True}) == ["#/keep_old"]
    assert await places(none, {"secret": "canary-x"}) == ["#/secret"]
    assert await places(signed, {"secret": ""}) == ["#/secret"]
    assert await places(signed, {"secret": " canary-x"}) == ["#/secret"]
    assert await places(signed, {"keep": True}) == ["#/keep"]
    path = f"/triggers/{signed.trigger_id}/hook/rotate"
    null = await ada.post(path, content=b"null", headers={"content-type": "application/json"})
    assert places_of(null) == ["#"]
    assert await places(signed, {"keep_old": 1}) == ["#/keep_old"]
    assert await places(public, {"keep_old": True}) == ["#/secret"]
    assert await places(public, {"secret": "canary-x"}) == ["#/secret"]
    assert await statuses(anonymous, signed) == [200]
    for _ in range(5):
        await rotated(ada, signed, keep_old=True)
    often = problem_of(await ada.post(path, json={"keep_old": True}), 409)
    assert often["type"].endswith("secret-replaced-often")
    assert await statuses(anonymous, signed) == [200]


async def test_a_public_key_stays_under_a_new_url(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    for name in ("Discord", "SendGrid"):
        sender = SENDERS[name]
        details = {"hook": {**sender.hook, "secret": sender.secret}}
        made = hook_of(
            (await ada.post("/triggers", json={"type": "api", "details": details})).json()
        )

        moved = await rotated(ada, made)

        assert moved.url != made.url
        assert moved.secret is None
        row = await database.fetchrow("SELECT * FROM hooks WHERE trigger_id = $1", made.trigger_id)
        hook = Hook(**{key: row[key] for key in ("owner_id", "sealed", "former", "key_id")})
        assert secrets_of(hook, Vault(SECRET)).at(NOW) == [sender.secret]


async def test_a_hook_without_its_senders_key_refuses_all_calls_until_it_has_one(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    sender = SENDERS["Discord"]
    made = await make_hook(ada, "discord")

    refused = await anonymous.post(made.url, content=BODY)
    details = {"hook": {"secret": sender.secret}}
    given = await ada.patch(f"/triggers/{made.trigger_id}", json={"details": details})

    assert made.secret is None
    problem_of(refused, 401)
    assert given.json()["hook_url"] == made.url


async def test_a_new_key_of_the_service_leaves_former_secrets(service: Service) -> None:
    ada = service.client(ADA)
    first = await make_hook(ada, "github")
    second = await rotated(ada, first, keep_old=True)

    engine = create_engine(service.database_url)
    done = await rotate_hook_keys(create_sessions(engine), Vault(NEW_KEY, SECRET))
    await engine.dispose()

    assert done == KeyRotation(1, [])
    keys = {"encryption_key": NEW_KEY, "jwt_secret": SECRET}
    async with running_service(service.database_url, **keys) as renewed:
        assert await statuses(renewed.client(), first, second) == [200, 200]
        assert (await read(renewed.client(ADA), first.trigger_id))["hook_url"] == first.url


# Without a database


def sealed(former: list[FormerSecret], token: str = "canary-token") -> Hook:
    hook = Hook(owner_id=7, trigger_id=1, verify="github")
    seal_into(hook, HookSecrets(token, "canary-new"), former, Vault(SECRET))
    return hook


def test_former_secrets_count_until_their_day_is_over() -> None:
    hours = [timedelta(hours=one) for one in (24, 1)]
    hook = sealed([FormerSecret(f"canary-{one}", NOW + one) for one in hours])

    def counting(at: timedelta) -> int:
        return len(secrets_of(hook, Vault(SECRET)).at(NOW + at))

    moments = [timedelta(), hours[1], hours[0] - timedelta(microseconds=1), hours[0]]
    assert [counting(at) for at in moments] == [3, 2, 2, 1]


def test_former_secrets_are_over_with_their_token_and_their_key() -> None:
    """A replica of the version before replaces the token and the key, and not this column."""
    hook, other = sealed([FormerSecret("canary-old", NOW)]), sealed([], "canary-token-2")
    earlier = NOW - timedelta(hours=1)

    hook.sealed = other.sealed
    by_other_token = secrets_of(hook, Vault(SECRET)).at(earlier)
    seal_into(other, HookSecrets("canary-token", "canary-new"), (), Vault(NEW_KEY))
    hook.sealed, hook.key_id = other.sealed, other.key_id
    by_other_key = secrets_of(hook, Vault(NEW_KEY, SECRET)).at(earlier)

    assert by_other_token == by_other_key == ["canary-new"]


def test_the_version_before_can_read_what_is_sealed() -> None:
    hook = sealed([FormerSecret("canary-old", NOW)])

    plain = json.loads(Vault(SECRET).open(Sealed(hook.key_id, hook.sealed), owner_id=7))

    assert plain == {"token": "canary-token", "secret": "canary-new"}
