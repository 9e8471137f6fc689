"""Hooks are made, replaced and deleted with their triggers; URLs and secrets stay secret."""

import json
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.destinations.lifecycle import KeyRotation
from event_trigger.hooks.rotation import rotate_hook_keys
from event_trigger.vault import Vault
from event_trigger.web.middleware import RequestMiddleware
from event_trigger.web.request_meter import RequestMeter
from tests.support.hooks import (
    BODY,
    MadeHook,
    events_of,
    github,
    hook_of,
    is_fired,
    make_hook,
    standard,
)
from tests.support.keys import holding, make_key
from tests.support.logs import plain_logs
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, SECRET, Service, running_service
from tests.support.statements import statements_with
from tests.support.triggers import change, make_api, make_scheduled, read

VERIFY = ("standard_webhooks", "github", "none")
ELSEWHERE = ("/hooks/x/", "//hooks/", "/v1/HOOKS/", "/hooks//")
NEW_KEY = "another-key-" * 4
EVERYTHING = """
    SELECT string_agg(row_to_json(one)::text, ' ') FROM (
        SELECT to_json(hooks) FROM hooks UNION ALL SELECT to_json(triggers) FROM triggers
        UNION ALL SELECT to_json(events) FROM events
        UNION ALL SELECT to_json(audit_entries) FROM audit_entries
        UNION ALL SELECT to_json(idempotency_keys) FROM idempotency_keys
    ) AS one
"""


async def rotated(client: httpx.AsyncClient, trigger_id: int) -> MadeHook:
    answer = await client.post(f"/triggers/{trigger_id}/hook/rotate")
    assert answer.status_code == 200, answer.text
    return hook_of(answer.json())


def signed(hook: MadeHook, verify: str) -> dict[str, str]:
    return {"standard_webhooks": standard, "github": github}[verify](hook)


async def status_of(client: httpx.AsyncClient, hook: MadeHook, verify: str = "none") -> int:
    headers = {} if verify == "none" else signed(hook, verify)
    return (await client.post(hook.url, content=BODY, headers=headers)).status_code


# Making and ending


async def test_a_hook_is_made_with_its_trigger_and_its_secret_shown_once(
    ada: httpx.AsyncClient,
) -> None:
    made = {}
    for verify in VERIFY:
        written = await make_api(ada, details={"hook": {"verify": verify}})
        made[verify] = hook_of(written)

        shown = await read(ada, written["id"])
        assert shown["details"] == {"hook": {"verify": verify}}
        assert shown["hook_url"] == made[verify].url
        assert "hook_secret" not in shown
        assert made[verify].url == f"http://service.test/hooks/{made[verify].token}"
        assert len(made[verify].token) == 43

    assert made["standard_webhooks"].secret.startswith("whsec_")
    assert len(made["github"].secret) == 64
    assert made["none"].secret is None
    assert len({one.token for one in made.values()}) == 3


async def test_a_trigger_without_a_hook_has_no_url(ada: httpx.AsyncClient) -> None:
    for details in ({}, {"hook": None}):
        made = await make_api(ada, details=details)

        assert (made["hook_url"], made["hook_secret"], made["details"]) == (None, None, {})


async def test_a_hook_that_cannot_be_is_refused(ada: httpx.AsyncClient) -> None:
    scheduled, api = await make_scheduled(ada), await make_api(ada)
    for hook, place in (
        ({}, "/verify"),
        ({"verify": "md5"}, "/verify"),
        ({"verify": None}, "/verify"),
        ({"verify": "none", "secret": "mine"}, "/secret"),
        ("none", ""),
        (True, ""),
        ([], ""),
    ):
        answer = await ada.post("/triggers", json={"type": "api", "details": {"hook": hook}})
        assert places_of(answer) == [f"#/details/hook{place}"], hook
    for hook in ({"verify": "none"}, {}, "x"):
        details = {"interval": 30, "hook": hook}
        created = await ada.post("/triggers", json={"type": "scheduled", "details": details})
        patched = await ada.patch(f"/triggers/{scheduled['id']}", json={"details": {"hook": hook}})

        assert places_of(created) == places_of(patched) == ["#/details/hook"]
        assert "types api and heartbeat" in problem_of(created, 422)["detail"]
    assert (await read(ada, api["id"]))["hook_url"] is None
    assert (await read(ada, scheduled["id"]))["details"] == scheduled["details"]


async def test_a_patch_makes_replaces_and_ends_a_hook(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    trigger_id = (await make_api(ada))["id"]

    async def patch(details: Any) -> dict[str, Any]:
        return await change(ada, trigger_id, {"details": details})

    first = hook_of(await patch({"hook": {"verify": "github"}}))
    same = await patch({"hook": {"verify": "github"}})
    renamed = await change(ada, trigger_id, {"name": "renamed"})
    second = hook_of(await patch({"hook": {"verify": "standard_webhooks"}}))
    after_second = [
        await status_of(anonymous, first, "github"),
        await status_of(anonymous, second, "standard_webhooks"),
    ]
    ended = await patch({"hook": None})
    third = hook_of(await patch({"hook": {"verify": "standard_webhooks"}}))

    assert first.secret
    for unchanged in (same, renamed):
        assert (unchanged["hook_url"], unchanged["hook_secret"]) == (first.url, None)
    assert after_second == [404, 200]
    assert (ended["hook_url"], ended["hook_secret"], ended["details"]) == (None, None, {})
    assert await status_of(anonymous, second, "standard_webhooks") == 404
    assert third.url not in {first.url, second.url}
    assert third.secret not in {first.secret, second.secret}


async def test_a_refused_patch_leaves_the_hook_as_it_was(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    bad = {"details": {"hook": None, "schema": {"type": "nonsense"}}}

    problem_of(await ada.patch(f"/triggers/{hook.trigger_id}", json=bad), 422)

    assert (await read(ada, hook.trigger_id))["hook_url"] == hook.url
    assert await status_of(anonymous, hook) == 200


async def test_a_deleted_triggers_hook_is_gone_with_it(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    hook, other = await make_hook(ada, "none"), await make_hook(ada, "none")

    deleted = await ada.delete(f"/triggers/{hook.trigger_id}")

    assert deleted.status_code == 204
    assert await status_of(anonymous, hook) == 404
    assert await status_of(anonymous, other) == 200
    assert await database.fetchval("SELECT count(*) FROM hooks") == 1


# Rotating


@pytest.mark.parametrize("verify", VERIFY)
async def test_rotating_replaces_the_url_and_the_secret_at_once(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, verify: str
) -> None:
    old = await make_hook(ada, verify)

    new = await rotated(ada, old.trigger_id)

    assert (await read(ada, old.trigger_id))["hook_url"] == new.url != old.url
    assert (new.secret is None) == (verify == "none")
    assert await status_of(anonymous, old, verify) == 404
    assert await status_of(anonymous, new, verify) == 200
    if verify != "none":
        crossed = MadeHook(new.trigger_id, new.url, old.secret)
        assert await status_of(anonymous, crossed, verify) == 401
    assert await events_of(ada, new) == [json.loads(BODY)]


async def test_only_what_there_is_can_be_rotated(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service
) -> None:
    hook, without = await make_hook(ada, "github"), await make_api(ada)
    limited = await make_key(ada, "triggers:write", trigger_ids=[without["id"]])

    none = problem_of(await bob.post(f"/triggers/{10**9}/hook/rotate"), 404)
    for client in (bob, holding(service, limited)):
        hers = await client.post(f"/triggers/{hook.trigger_id}/hook/rotate")
        assert problem_of(hers, 404) == none
    conflict = problem_of(await ada.post(f"/triggers/{without['id']}/hook/rotate"), 409)

    assert conflict["type"] == "urn:event-trigger:problem:no-hook"
    assert (await read(ada, hook.trigger_id))["hook_url"] == hook.url
    assert (await rotated(service.client(ADMIN, project=ADA), hook.trigger_id)).url != hook.url


# Who sees what


async def test_the_url_is_shown_to_those_who_may_fire_anyway(
    service: Service, ada: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    path = f"/triggers/{hook.trigger_id}"
    reader = holding(service, await make_key(ada, "triggers:read", "triggers:write"))
    firing = holding(service, await make_key(ada, "triggers:read", "triggers:fire"))

    hidden = [
        await reader.get(path),
        await reader.patch(path, json={"name": "n"}),
        await reader.post(f"{path}/hook/rotate"),
        await reader.post(
            "/triggers", json={"type": "api", "details": {"hook": {"verify": "none"}}}
        ),
    ]
    listed = [one["hook_url"] for one in (await reader.get("/triggers")).json()]

    assert [answer.json()["hook_url"] for answer in hidden] == [None] * 4
    assert listed == [None, None]
    assert (await firing.get(path)).json()["hook_url"] == (await read(ada, hook.trigger_id))[
        "hook_url"
    ]
    assert problem_of(await firing.post(f"{path}/hook/rotate"), 403)["type"].endswith(
        "missing-scope"
    )


async def test_a_list_asks_once_for_all_its_hooks(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hooks = [await make_hook(ada, verify) for verify in VERIFY]
    await make_api(ada)
    await make_api(bob)

    with statements_with("hooks") as hers:
        listed = (await ada.get("/triggers")).json()
    with statements_with("hooks") as his:
        await bob.get("/triggers")
    with statements_with("hooks") as fired:
        await ada.post(f"/triggers/{hooks[0].trigger_id}/trigger")

    assert [one["hook_url"] for one in listed] == [None, *(one.url for one in hooks[::-1])]
    assert (len(hers), len(his), len(fired)) == (1, 0, 0)


async def test_the_url_is_the_one_under_which_the_service_was_asked(
    service: Service, ada: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")

    for host in ("api.example.com", "[::1]:8000", "a b", "[", "\xe9", "", "x" * 5000):
        raw = [(b"host", host.encode("latin-1")), *ada.headers.raw]
        answer = await service.client().get(f"/triggers/{hook.trigger_id}", headers=raw)

        assert answer.status_code == 200, host
        assert answer.json()["hook_url"].endswith(f"/hooks/{hook.token}")


# Secrets


async def test_neither_urls_nor_secrets_are_in_the_database(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = [await make_hook(ada, verify) for verify in VERIFY]
    made += [await rotated(ada, one.trigger_id) for one in made]
    for hook, verify in zip(made[3:], VERIFY, strict=True):
        assert await status_of(anonymous, hook, verify) == 200

    dump = await database.fetchval(EVERYTHING)

    assert len(made) == 6
    for hook in made:
        for secret in (hook.token, hook.secret):
            if secret is not None:
                for form in (secret, secret.removeprefix("whsec_"), secret.encode().hex()):
                    assert form not in dump


async def test_no_log_holds_a_token_or_a_secret(
    service: Service, ada: httpx.AsyncClient, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain_logs():
        hook, calls = await make_hook(ada, "github"), service.client()
        paths = (hook.url, *(f"http://service.test{one}{hook.token}" for one in ELSEWHERE))
        for url in paths:
            await calls.post(url, content=BODY, headers=github(hook))
        await calls.get(hook.url)
        await calls.post(hook.url, content=b"x" * 2 * 1024 * 1024)
        new = await rotated(ada, hook.trigger_id)
        async with database.transaction():
            await database.execute("LOCK TABLE hooks")
            away = await calls.post(new.url, content=BODY, headers=github(new))
        await database.execute("ALTER TABLE hooks RENAME TO lost")
        crashed = await calls.post(new.url, content=BODY, headers=github(new))

    said = "".join(capsys.readouterr())
    assert (away.status_code, crashed.status_code) == (503, 500)
    for occurrence in ("request ", "database_unavailable", "request_crashed"):
        lines = [one for one in said.splitlines() if occurrence in one]
        assert any("/hooks/…" in one for one in lines), occurrence
    for secret in (hook.token, hook.secret, new.token, new.secret):
        assert secret not in said


async def test_a_caller_who_hangs_up_is_logged_without_a_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ClientDisconnect

    async def nothing(*_: Any) -> Any:
        return None

    with plain_logs():
        app = RequestMiddleware(answering, meter=RequestMeter((), prefix=""))
        path = {"type": "http", "method": "POST", "path": "/hooks/secret", "scheme": "http"}
        await app({**path, "headers": []}, nothing, nothing)

    said = "".join(capsys.readouterr())
    assert "caller_hung_up" in said
    assert "/hooks/…" in said
    assert "secret" not in said


async def test_a_rotation_is_on_record_without_what_it_made(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")
    new = await rotated(ada, hook.trigger_id)
    await change(ada, hook.trigger_id, {"details": {"hook": None}})

    answer = await admin.get("/audit")

    entries = [one for one in answer.json() if one["target_id"] == hook.trigger_id]
    kept = {"hook": {"verify": "github"}}
    assert [(one["action"], one["target"], one["before"], one["after"]) for one in entries] == [
        ("update_trigger", "trigger", {"details": kept}, {"details": {}}),
        ("rotate_hook", "hook", None, {"url": "(replaced)", "secret": "(replaced)"}),
        ("create_trigger", "trigger", None, entries[-1]["after"]),
    ]
    assert entries[-1]["after"]["details"] == kept
    assert (entries[1]["user_id"], entries[1]["actor"]) == (ADA, "login")
    for secret in (hook.token, hook.secret, new.token, new.secret):
        assert secret not in answer.text


# Replacing the key of secrets


async def rekey(service: Service) -> KeyRotation:
    engine = create_engine(service.database_url)
    try:
        return await rotate_hook_keys(create_sessions(engine), Vault(NEW_KEY, SECRET))
    finally:
        await engine.dispose()


async def test_keys_are_replaced_without_any_sender_noticing(service: Service) -> None:
    ada = service.client(ADA)
    hook = await make_hook(ada, "standard_webhooks")

    done, again = await rekey(service), await rekey(service)

    assert (done, again) == (KeyRotation(1, []), KeyRotation(0, []))
    async with running_service(
        service.database_url, encryption_key=NEW_KEY, jwt_secret=SECRET
    ) as renewed:
        assert (await read(renewed.client(ADA), hook.trigger_id))["hook_url"] == hook.url
        assert await status_of(renewed.client(), hook, "standard_webhooks") == 200


async def test_a_hook_whose_key_was_lost_hides_nothing_and_can_be_rotated(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    lost, unsigned, other = [await make_hook(ada, one) for one in ("github", "none", "github")]
    await database.execute(
        "UPDATE hooks SET key_id = 'lost' WHERE trigger_id = ANY($1)",
        [lost.trigger_id, unsigned.trigger_id],
    )

    unreadable = await anonymous.post(lost.url, content=BODY, headers=github(lost))
    listed = {one["id"]: one["hook_url"] for one in (await ada.get("/triggers")).json()}
    done = await rekey(service)

    assert problem_of(unreadable, 503)["type"].endswith("secret-unreadable")
    assert await status_of(anonymous, unsigned) == 200
    assert listed == {
        lost.trigger_id: None,
        unsigned.trigger_id: None,
        other.trigger_id: other.url,
    }
    assert done == KeyRotation(1, [lost.trigger_id, unsigned.trigger_id])
    new = await rotated(ada, lost.trigger_id)
    assert is_fired(await anonymous.post(new.url, content=BODY, headers=github(new)))


async def test_more_hooks_than_a_batch_are_sealed_anew(service: Service, database: Any) -> None:
    await make_hook(service.client(ADA), "github")
    await database.execute(
        "INSERT INTO hooks (token_hash, trigger_id, owner_id, verify, sealed, key_id)"
        " SELECT sha256(n::text::bytea), 1000 + n, owner_id, verify, sealed, key_id"
        " FROM hooks, generate_series(1, 250) AS n"
    )

    done = await rekey(service)

    assert done == KeyRotation(251, [])
    assert await database.fetchval("SELECT count(DISTINCT key_id) FROM hooks") == 1
