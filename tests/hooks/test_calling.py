"""A hook fires for correctly signed calls only, and once for each id."""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from svix.webhooks import Webhook

from tests.support.hooks import BODY, MadeHook, events_of, github, is_fired, make_hook, standard
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.services import Service
from tests.support.triggers import change, make_api, read

PAYLOAD = json.loads(BODY)
REFUSED = "urn:event-trigger:problem:signature-refused"
MINUTES = timedelta(minutes=1)
OTHER_SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


async def call(
    client: httpx.AsyncClient, hook: MadeHook, headers: Mapping[str, str], body: bytes = BODY
) -> httpx.Response:
    return await client.post(hook.url, content=body, headers=headers)


async def test_a_call_signed_by_standard_webhooks_fires(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "standard_webhooks", payload={"source": "shop"})

    answer = await call(anonymous, hook, standard(hook))

    assert answer.content == b'{"message":"Event triggered"}'
    event = (await ada.get(answer.headers["location"])).json()
    assert event["payload"] == {"source": "shop", **PAYLOAD}
    assert (event["type"], event["is_test"]) == ("api", False)
    assert (await read(ada, hook.trigger_id))["fire_count"] == 1


async def test_a_call_signed_by_svix_fires(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook, now = await make_hook(ada, "standard_webhooks"), datetime.now(UTC)
    signature = Webhook(hook.secret).sign("msg_1", now, BODY.decode())
    headers = changed(standard(hook, age=10 * MINUTES), webhook_signature=signature)

    answer = await call(anonymous, hook, headers | {"webhook-timestamp": str(int(now.timestamp()))})

    assert is_fired(answer)


async def test_a_call_signed_as_github_does_fires(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")

    answer = await call(anonymous, hook, github(hook))

    assert is_fired(answer)
    assert await events_of(ada, hook) == [PAYLOAD]


def test_githubs_own_example_of_a_signature_is_what_these_tests_send() -> None:
    hook = MadeHook(0, "", "It's a Secret to Everybody")

    headers = github(hook, b"Hello, World!")

    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert headers["X-Hub-Signature-256"] == f"sha256={digest}"


async def test_whoever_knows_the_url_of_a_hook_without_signatures_can_fire(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none", payload={"a": 1})

    answers = [await call(anonymous, hook, {}, body) for body in (BODY, b"", b"{}")]

    assert all(map(is_fired, answers))
    assert hook.secret is None
    assert await events_of(ada, hook) == [{"a": 1, **PAYLOAD}, {"a": 1}, {"a": 1}]


async def test_the_body_is_signed_as_it_is_sent_whatever_its_type(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    body = '{ "b":1.0,\n "a": "ü😀" }'.encode()
    for verify, sign in (("standard_webhooks", standard), ("github", github)):
        hook = await make_hook(ada, verify)

        typed = await call(anonymous, hook, sign(hook, body) | {"content-type": "text/plain"}, body)
        respelt = await call(anonymous, hook, sign(hook, body, name="2"), body.replace(b" ", b""))

        assert is_fired(typed)
        problem_of(respelt, 401)
        assert await events_of(ada, hook) == [{"b": 1.0, "a": "ü😀"}]


def changed(headers: dict[str, str], **values: str | None) -> dict[str, str]:
    merged = headers | {name.replace("_", "-"): value for name, value in values.items()}
    return {name: value for name, value in merged.items() if value is not None}


def refused_by_standard(hook: MadeHook) -> dict[str, dict[str, str]]:
    good = standard(hook)
    signature = good["webhook-signature"]
    other = standard(MadeHook(hook.trigger_id, hook.url, OTHER_SECRET))
    one_off = base64.b64encode(base64.b64decode(signature[3:])[:-1] + b"\0").decode()
    return {
        "nothing": {},
        "no id": changed(good, webhook_id=None),
        "an empty id": changed(good, webhook_id=""),
        "another id": changed(good, webhook_id="msg_2"),
        "no time": changed(good, webhook_timestamp=None),
        "no signature": changed(good, webhook_signature=None),
        "an empty signature": changed(good, webhook_signature=""),
        "another secret": other,
        "another body": standard(hook, b'{"action": "deleted"}'),
        "one byte off": changed(good, webhook_signature=f"v1,{one_off}"),
        "too old": standard(hook, age=5 * MINUTES + timedelta(seconds=2)),
        "too new": standard(hook, age=-5 * MINUTES - timedelta(seconds=10)),
        "another time": changed(good, webhook_timestamp="1"),
        "a huge time": changed(good, webhook_timestamp="9" * 400),
        "a large time": changed(good, webhook_timestamp=str(2**63)),
        "a negative time": changed(good, webhook_timestamp="-" + "9" * 30),
        "no number": changed(good, webhook_timestamp="now"),
        "NaN": changed(good, webhook_timestamp="nan"),
        "infinity": changed(good, webhook_timestamp="-inf"),
        "no version": changed(good, webhook_signature=signature[3:]),
        "another version": changed(good, webhook_signature="v2" + signature[2:]),
        "bad base64": changed(good, webhook_signature="v1,%%%"),
        "one character": changed(good, webhook_signature="v1,A"),
        "no ASCII": changed(good, webhook_signature="v1,é"),
        "many commas": changed(good, webhook_signature="v1,,,"),
        "blanks": changed(good, webhook_signature="   "),
        "several wrong ones": changed(
            good, webhook_signature=other["webhook-signature"] + " v1,AA=="
        ),
        "GitHub's": github(hook),
    }


def refused_by_github(hook: MadeHook) -> dict[str, dict[str, str]]:
    good = github(hook)
    signature = good["X-Hub-Signature-256"]
    return {
        "nothing": {},
        "no signature": {"X-GitHub-Delivery": "1"},
        "an empty signature": {"X-Hub-Signature-256": ""},
        "another secret": github(MadeHook(hook.trigger_id, hook.url, "other")),
        "another body": github(hook, b"{}"),
        "no algorithm": {"X-Hub-Signature-256": signature.removeprefix("sha256=")},
        "SHA-1": {"X-Hub-Signature": "sha1=" + "0" * 40},
        "one digit off": {"X-Hub-Signature-256": signature[:-1] + "g"},
        "cut short": {"X-Hub-Signature-256": signature[:-1]},
        "no ASCII": {"X-Hub-Signature-256": "sha256=é"},
    }


@pytest.mark.parametrize(
    ("verify", "refused"),
    [("standard_webhooks", refused_by_standard), ("github", refused_by_github)],
)
async def test_what_is_not_signed_well_is_a_401_and_no_event(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, verify: str, refused: Any
) -> None:
    hook = await make_hook(ada, verify)

    for name, headers in refused(hook).items():
        raw = [(key, value.encode("latin-1")) for key, value in headers.items()]
        answer = await anonymous.post(hook.url, content=BODY, headers=raw)

        assert problem_of(answer, 401)["type"] == REFUSED, name
        assert answer.headers["www-authenticate"], name
    assert await events_of(ada, hook) == []
    assert (await read(ada, hook.trigger_id))["fire_count"] == 0


async def test_a_good_signature_among_several_is_enough(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "standard_webhooks")
    headers = standard(hook, age=4 * MINUTES)
    signatures = f"v1a,AAAA v1,{'A' * 43}= {headers['webhook-signature']}"

    answer = await call(anonymous, hook, headers | {"webhook-signature": signatures})

    assert is_fired(answer)


async def test_a_signature_comes_before_everything_that_a_body_can_be_refused_for(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "standard_webhooks", details={"schema": {"required": ["b"]}})
    await ada.post(f"/triggers/{hook.trigger_id}/pause")

    for body in (b"{", b"[]", b"\xff\xfe", b"", BODY):
        problem_of(await anonymous.post(hook.url, content=body), 401)
        unsigned = {**standard(hook), "webhook-id": ""}
        problem_of(await call(anonymous, hook, unsigned, body), 401)


# Repeated calls


@pytest.mark.parametrize(
    ("verify", "sign", "header"),
    [
        ("standard_webhooks", standard, "webhook-id"),
        ("github", github, "X-GitHub-Delivery"),
        ("none", None, "webhook-id"),
        ("none", None, "Idempotency-Key"),
    ],
)
async def test_a_repeated_id_is_the_same_event_whatever_the_body(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, verify: str, sign: Any, header: str
) -> None:
    hook = await make_hook(ada, verify)

    async def send(name: str, body: bytes) -> httpx.Response:
        signed = sign(hook, body, name=name) if sign else {header: name}
        return await call(anonymous, hook, signed, body)

    first, again = await send("a", BODY), await send("a", b'{"other": 1}')
    another = await send("b", BODY)

    assert is_fired(first)
    assert is_fired(again)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert another.headers["location"] != first.headers["location"]
    assert await events_of(ada, hook) == [PAYLOAD, PAYLOAD]


async def test_an_id_has_1_to_255_characters(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    signed, unsigned = await make_hook(ada, "standard_webhooks"), await make_hook(ada, "none")

    longest = await call(anonymous, signed, standard(signed, name="i" * 255))
    too_long = await call(anonymous, signed, standard(signed, name="i" * 256))
    empty = await call(anonymous, unsigned, {"idempotency-key": ""})
    nul = await call(anonymous, unsigned, {"webhook-id": "a\0b"})

    assert is_fired(longest)
    assert [places_of(one) for one in (too_long, empty, nul)] == [
        ["webhook-id"],
        ["idempotency-key"],
        ["webhook-id"],
    ]


async def test_ids_of_calls_and_callers_own_keys_do_not_meet(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    path = f"/triggers/{hook.trigger_id}/trigger"

    hers = await ada.post(path, json={"by": "ada"}, headers={"idempotency-key": "k"})
    theirs = await call(anonymous, hook, {"idempotency-key": "k"}, b'{"by": "hook"}')

    assert is_fired(hers)
    assert is_fired(theirs)
    assert "idempotent-replayed" not in theirs.headers
    assert await events_of(ada, hook) == [{"by": "ada"}, {"by": "hook"}]


async def test_ids_are_remembered_for_48_hours(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    hook = await make_hook(ada, "none")
    await call(anonymous, hook, {"webhook-id": "a"})
    await database.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '48 hours 1 second'"
    )

    answer = await call(anonymous, hook, {"webhook-id": "a"})

    assert "idempotent-replayed" not in answer.headers
    assert len(await events_of(ada, hook)) == 2


async def test_while_the_first_call_is_running_the_second_is_told_to_wait(
    service: Service, ada: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")
    headers = github(hook)

    async with locked_trigger(service.database_url, hook.trigger_id) as holder:
        first = asyncio.create_task(call(service.client(), hook, headers))
        await until_somebody_waits(holder)
        second = await call(service.client(), hook, headers)

    problem_of(second, 409)
    assert second.headers["retry-after"] == "1"
    assert is_fired(await first)
    assert len(await events_of(ada, hook)) == 1


# What else can become of a call


async def test_a_paused_trigger_is_a_202_and_a_payload_that_does_not_match_a_422(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github", details={"schema": {"required": ["b"]}})

    mismatched = await call(anonymous, hook, github(hook, name="1"))
    await ada.post(f"/triggers/{hook.trigger_id}/pause")
    paused = await call(anonymous, hook, github(hook, name="2"))
    await ada.post(f"/triggers/{hook.trigger_id}/resume")
    good = await call(anonymous, hook, github(hook, b'{"b": 1}', name="1"), b'{"b": 1}')

    assert places_of(mismatched) == ["#"]
    assert (paused.status_code, paused.json()) == (
        202,
        {"message": "The trigger is paused: no event was made"},
    )
    assert "event-id" not in paused.headers
    assert is_fired(good)
    assert "idempotent-replayed" not in good.headers
    assert await events_of(ada, hook) == [{"b": 1}]


async def test_an_unknown_token_answers_as_any_id_that_does_not_exist(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    nothing = problem_of(await ada.get(f"/triggers/{10**9}"), 404)

    for token in ("x", hook.token[:-1], hook.token + "x", hook.token.swapcase(), "%00", "é", "%ff"):
        answer = await anonymous.post(f"/hooks/{token}", content=BODY)

        assert problem_of(answer, 404) == nothing, token
    assert await events_of(ada, hook) == []


async def test_a_login_is_neither_needed_nor_enough(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "standard_webhooks")
    expired = {"authorization": "Bearer nonsense", "x-api-key": "etk_nonsense"}

    assert is_fired(await call(bob, hook, standard(hook) | expired))
    problem_of(await call(ada, hook, {}), 401)
    assert len(await events_of(ada, hook)) == 1


async def test_hostile_bodies_are_problems_and_no_events(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")
    hostile = {
        "cut short": (b'{"a":', 422),
        "NaN": (b'{"a": NaN}', 422),
        "beyond a double": (b'{"a": 1e999}', 422),
        "too many digits": (b'{"a": ' + b"9" * 5000 + b"}", 422),
        "a name twice": (b'{"a": 1, "a": 2}', 422),
        "too deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 422),
        "too large": (b'{"a": "' + b"x" * 1024 * 1024 + b'"}', 413),
    }

    for name, (body, status) in hostile.items():
        headers = github(hook, body, name=name) | {"content-type": "application/json"}
        answer = await call(anonymous, hook, headers, body)

        assert problem_of(answer, status)["type"], name
    assert await events_of(ada, hook) == []


async def test_other_methods_and_what_follows_a_token_are_problems(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")

    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = await anonymous.request(method, hook.url)
        assert answer.status_code in {401, 405}, method
    for path in ("/hooks/", "/hooks", f"/hooks/{hook.token}/", f"/hooks/{hook.token}/x"):
        assert 400 <= (await anonymous.post(path)).status_code < 500, path
    assert await events_of(ada, hook) == []


async def test_a_hook_fires_its_own_trigger_only(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hers, his = await make_hook(ada, "github"), await make_hook(bob, "github")
    other = await make_api(ada)

    crossed = await call(anonymous, hers, github(his))
    good = await call(anonymous, his, github(his))

    problem_of(crossed, 401)
    assert is_fired(good)
    assert await events_of(ada, hers) == []
    assert await events_of(bob, his) == [PAYLOAD]
    assert (await read(ada, other["id"]))["fire_count"] == 0


async def test_a_changed_payload_holds_for_hooks_too(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    await change(ada, hook.trigger_id, {"payload": {"new": True}})

    await call(anonymous, hook, {}, b"")

    assert await events_of(ada, hook) == [{"new": True}]
