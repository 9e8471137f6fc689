"""Secrets that senders issue are given, and kept; they are never shown, and in no table."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.hooks import is_fired
from tests.support.problems import places_of, problem_of
from tests.support.senders import SENDERS, Sender, Sending, linear_body
from tests.support.services import ADA, running_service
from tests.support.sets import get_set, is_empty, plan_set, put_set
from tests.support.triggers import change, make_api, read

FIRST, SECOND, THIRD = "canary-first", "canary-second", "canary-third"
STARS = "********"


async def call(
    client: httpx.AsyncClient, sender: Sender, url: str, *, secret: str = "", name: str = "msg_1"
) -> httpx.Response:
    """Calls a hook as its sender does now, with a JSON object for a body."""
    now = datetime.now(UTC)
    is_json = sender.content_type == "application/json"
    body = linear_body(now) if sender.hook["verify"] == "linear" else sender.body
    sending = Sending(secret or sender.secret, body if is_json else b"", now, name, url)
    query = sender.query(sending.body)
    headers = {"content-type": sender.content_type, **sender.sign(sending)}
    return await client.post(
        f"{url}?{query}" if query else url, content=sending.body, headers=headers
    )


async def hooked(client: httpx.AsyncClient, sender: Sender, **more: Any) -> dict[str, Any]:
    hook = {**sender.hook, "secret": sender.secret}
    return await make_api(client, details={"hook": hook}, **more)


async def test_calls_of_every_sender_fire_and_its_repetitions_are_one_event(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for name, sender in SENDERS.items():
        made = await hooked(ada, sender)
        url = made["hook_url"]

        wrong = await call(anonymous, sender, url, secret=sender.other_secret)
        first = await call(anonymous, sender, url)
        again = await call(anonymous, sender, url)

        assert made["hook_secret"] is None, name
        assert made["details"] == {"hook": sender.hook}, name
        assert problem_of(wrong, 401)["type"].endswith("signature-refused"), name
        assert is_fired(first), (name, first.text)
        is_same = again.headers["location"] == first.headers["location"]
        has_id = sender.id_header is not None or name in {"Stripe", "Slack", "Discord"}
        # without an id in a header, the second call of a sender that gives one in the body is one
        assert is_same == has_id, name
        fired = (await read(ada, made["id"]))["fire_count"]
        assert fired == (1 if has_id else 2), name


async def test_a_given_secret_is_replaced_in_place(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    stripe = replace(SENDERS["Stripe"], secret=FIRST)
    made = await hooked(ada, stripe, key="paid")
    path, url = f"/triggers/{made['id']}", made["hook_url"]

    async def tagged() -> str:
        return str((await ada.get(path)).headers["etag"])

    async def statuses() -> list[int]:
        calls = [await call(anonymous, stripe, url, secret=one) for one in (FIRST, SECOND, THIRD)]
        return [answer.status_code for answer in calls]

    before = await tagged()
    same = await change(ada, made["id"], {"details": {"hook": {"secret": FIRST}}})
    assert (await tagged(), same["hook_url"], same["hook_secret"]) == (before, url, None)
    assert await statuses() == [200, 401, 401]

    changed = await change(ada, made["id"], {"details": {"hook": {"secret": SECOND}}})
    after = await tagged()
    assert after != before
    assert (changed["hook_url"], changed["hook_secret"]) == (url, None)
    assert await statuses() == [401, 200, 401]

    shown = (await ada.get(path)).json()
    given = {"type": "api", "key": "paid", "details": {"hook": {"verify": "stripe"}}}
    for body in (shown, given, _with_secret(given, SECOND)):
        put = await ada.put("/triggers/by-key/paid", json=body)
        assert (put.status_code, await tagged()) == (200, after), put.text
    put = await ada.put(path, json=_with_secret(given, THIRD))
    assert (put.status_code, put.json()["hook_url"]) == (200, url)
    assert await statuses() == [401, 401, 200]

    audited = (await admin.get("/audit")).text
    entries = [one for one in json.loads(audited) if one["target"] == "hook"]
    assert [(one["action"], one["after"]) for one in entries] == [
        ("replace_trigger", {"secret": "(replaced)"}),
        ("update_trigger", {"secret": "(replaced)"}),
    ]
    versions = (await ada.get(f"{path}/versions")).text
    everything = await dump(database)
    for secret in (FIRST, SECOND, THIRD):
        for text in (audited, versions, everything, put.text, json.dumps(shown)):
            assert secret not in text
            assert secret.encode().hex() not in text


def _with_secret(body: dict[str, Any], secret: str) -> dict[str, Any]:
    hook = {**body["details"]["hook"], "secret": secret}
    return {**body, "details": {"hook": hook}}


async def dump(database: Any) -> str:
    """Gives all rows of all tables as text."""
    names = await database.fetch(
        "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'"
    )
    parts = [
        await database.fetchval(
            f"SELECT string_agg(to_json(one)::text, ' ') FROM {row['name']} one"
        )
        for row in names
    ]
    return " ".join(one for one in parts if one is not None)


async def test_a_secret_is_not_repeated_and_not_echoed(
    ada: httpx.AsyncClient, database: Any
) -> None:
    body = {"type": "api", "details": {"hook": {"verify": "gitlab", "secret": FIRST}}}
    keyed = {"Idempotency-Key": "one"}

    first = await ada.post("/triggers", json=body, headers=keyed)
    again = await ada.post("/triggers", json=body, headers=keyed)
    refused = [
        await ada.post("/triggers", json=_with_secret(body, secret))
        for secret in (f" {FIRST}", f"{FIRST}\n", f"{FIRST}ü", FIRST * 100)
    ]
    wrong_kind = await ada.patch(
        f"/triggers/{first.json()['id']}",
        json={"details": {"hook": {"verify": "discord", "secret": SECOND}}},
    )

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["hook_url"] is None
    for answer in (*refused, wrong_kind):
        assert places_of(answer) == ["#/details/hook/secret"]
    for answer in (first, again, *refused, wrong_kind):
        assert "canary" not in answer.text
    assert "canary" not in await dump(database)


async def test_a_hook_that_waits_for_a_public_key_warns_until_it_has_one(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    discord = SENDERS["Discord"]
    made = await make_api(ada, details={"hook": {"verify": "discord"}})
    listed = (await ada.get(f"/triggers?id={made['id']}")).json()
    refused = await call(anonymous, discord, made["hook_url"])
    sent_back = await ada.patch(f"/triggers/{made['id']}", json={"warnings": made["warnings"]})

    given = {"hook": {"verify": "discord", "secret": discord.secret}}
    changed = await change(ada, made["id"], {"details": given})
    others = [
        await make_api(ada, details={"hook": {"verify": verify}}) for verify in ("github", "none")
    ]

    [warning] = made["warnings"]
    assert "details.hook.secret" in warning
    assert listed[0]["warnings"] == [warning]
    problem_of(refused, 401)
    assert sent_back.status_code == 200
    assert [one["warnings"] for one in (changed, *others)] == [[]] * 3
    assert is_fired(await call(anonymous, discord, changed["hook_url"]))


async def test_other_options_leave_the_url_and_the_secret(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    paystack, zoom = SENDERS["Paystack"], SENDERS["Zoom"]
    made = await hooked(ada, paystack)

    options = {**zoom.hook, "secret": None}
    changed = await change(ada, made["id"], {"details": {"hook": options}})
    another = await change(ada, made["id"], {"details": {"hook": {"verify": "github", **_NONE}}})

    assert (changed["hook_url"], changed["hook_secret"]) == (made["hook_url"], None)
    assert changed["details"] == {"hook": zoom.hook}
    problem_of(await call(anonymous, zoom, made["hook_url"]), 404)
    assert another["details"] == {"hook": {"verify": "github"}}
    assert another["hook_url"] != made["hook_url"]
    assert len(another["hook_secret"]) == 64


_NONE = dict.fromkeys(
    ("header", "algorithm", "encoding", "prefix", "signs", "timestamp_header", "id_header")
)


async def test_an_option_takes_effect_at_the_next_call(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    telegram = SENDERS["Telegram"]
    made = await hooked(ada, telegram)
    moved = replace(SENDERS["Grafana"], hook={"verify": "token"}, secret=telegram.secret)

    assert is_fired(await call(anonymous, telegram, made["hook_url"], name="1"))
    await change(ada, made["id"], {"details": {"hook": {"header": None}}})

    problem_of(await call(anonymous, telegram, made["hook_url"], name="2"), 401)
    assert is_fired(await call(anonymous, moved, made["hook_url"], name="3"))


async def test_a_set_gives_secrets_and_plans_only_those_that_differ(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    def file(secret: str | None) -> dict[str, Any]:
        hook = {"verify": "stripe"} if secret is None else {"verify": "stripe", "secret": secret}
        return {"triggers": {"paid": {"type": "api", "details": {"hook": hook}}}}

    stripe = SENDERS["Stripe"]
    planned = {one: (await plan_set(ada, "shop", file(one)))["digest"] for one in (FIRST, SECOND)}
    created = await put_set(ada, "shop", file(FIRST))
    url = created["create"][0]["hook_url"]

    assert planned[FIRST] == created["digest"] != planned[SECOND]
    assert created["create"][0]["hook_secret"] is None
    assert (await call(anonymous, stripe, url, secret=FIRST, name="1")).status_code == 200
    for same in (file(FIRST), file(None), await get_set(ada, "shop")):
        assert is_empty(await put_set(ada, "shop", same))
    for answer in (
        await plan_set(ada, "shop", file(SECOND)),
        await put_set(ada, "shop", file(SECOND)),
    ):
        [update] = answer["update"]
        pointer = "#/triggers/paid/details/hook/secret"
        assert update["changes"] == [{"pointer": pointer, "from": STARS, "to": STARS}]
        assert update["hook_url"] is None
    assert is_empty(await put_set(ada, "shop", file(SECOND)))
    assert (await call(anonymous, stripe, url, secret=FIRST)).status_code == 401
    assert (await call(anonymous, stripe, url, secret=SECOND)).status_code == 200
    assert "canary" not in await dump(database)
    assert "canary" not in json.dumps([created, await get_set(ada, "shop")])


async def test_a_signed_url_is_the_one_that_the_service_is_known_by(database_url: str) -> None:
    """A proxy may call the service by another name, and under another path."""
    known = {"public_url": "https://triggers.example.com/app", "root_path": "/app"}
    async with running_service(database_url, **known) as service:
        for name in ("Square", "Twilio with JSON"):
            sender = SENDERS[name]
            url = (await hooked(service.client(ADA), sender))["hook_url"]
            sending = Sending(sender.secret, sender.body, url=url)
            query, signed = sender.query(sender.body), sender.sign(sending)
            here = f"http://service.test/app/hooks/{url.rpartition('/')[2]}"

            answer = await service.client().post(
                f"{here}?{query}", content=sender.body, headers=signed
            )
            elsewhere = replace(sending, url=url.replace("triggers", "other"))
            refused = await service.client().post(
                f"{here}?{query}", content=sender.body, headers=sender.sign(elsewhere)
            )

            assert url.startswith("https://triggers.example.com/app/hooks/")
            assert is_fired(answer), (name, answer.text)
            problem_of(refused, 401)
