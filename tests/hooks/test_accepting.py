"""A hook accepts the methods and bodies that it names, and HEAD and prefetching fire nothing."""

from typing import Any

import httpx

from tests.support.hooks import events_of, is_fired, make_hook
from tests.support.problems import places_of, problem_of
from tests.support.triggers import change, make_api, read

FORM = "application/x-www-form-urlencoded"


async def test_a_hook_accepts_the_methods_that_it_names(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    default = await make_hook(ada, "none")
    named = {"hook": {"verify": "none", "methods": ["GET", "PUT"]}}
    other = await make_hook(ada, "none", details=named)

    answers = {
        (name, method): await anonymous.request(method, hook.url)
        for name, hook in (("default", default), ("other", other))
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS")
    }

    statuses = {key: answer.status_code for key, answer in answers.items()}
    assert statuses == {
        ("default", "GET"): 405,
        ("default", "HEAD"): 405,
        ("default", "POST"): 200,
        ("default", "PUT"): 405,
        ("default", "OPTIONS"): 204,
        ("other", "GET"): 200,
        ("other", "HEAD"): 200,
        ("other", "POST"): 405,
        ("other", "PUT"): 200,
        ("other", "OPTIONS"): 204,
    }
    for (name, _), answer in answers.items():
        if answer.status_code in {204, 405}:
            allowed = {"default": "OPTIONS, POST", "other": "GET, HEAD, OPTIONS, PUT"}[name]
            assert answer.headers["allow"] == allowed
    problem_of(answers["default", "PUT"], 405)
    assert answers["other", "HEAD"].content == b""
    assert len(await events_of(ada, default)) == 1
    assert len(await events_of(ada, other)) == 2  # of GET and PUT


async def test_a_get_of_a_browser_that_fetches_in_advance_fires_nothing(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none", details={"hook": {"verify": "none", "methods": ["GET"]}})
    advance = [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ]

    for header in advance:
        answer = await anonymous.get(hook.url, headers=[header])

        assert problem_of(answer, 403)["title"].startswith("A browser must not"), header
    opened = await anonymous.get(hook.url, params={"utm": "1"})

    assert is_fired(opened)
    assert len(await events_of(ada, hook)) == 1


async def test_senders_of_cloud_events_may_ask_by_options(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")
    asked = {"webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"}

    answer = await anonymous.options(hook.url, headers=asked)
    unknown = await anonymous.options(hook.url[:-4] + "AAAA", headers=asked)

    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "*"
    assert answer.headers["webhook-allowed-rate"] == "*"
    problem_of(unknown, 404)
    assert await events_of(ada, hook) == []


async def test_a_hub_subscribes_by_its_challenge_though_gets_do_not_fire(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    options = {"hook": {"verify": "github", "verify_token": "mine"}}
    hook = await make_hook(ada, "github", details=options)
    asked = {"hub.mode": "subscribe", "hub.challenge": "<b>1</b>", "hub.verify_token": "mine"}

    answer = await anonymous.get(hook.url, params=asked)
    other = await anonymous.get(hook.url, params=asked | {"hub.verify_token": "other"})
    neither = await anonymous.get(hook.url)

    assert (answer.status_code, answer.text) == (200, "<b>1</b>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem_of(other, 403)
    problem_of(neither, 405)
    assert await events_of(ada, hook) == []


async def test_every_kind_of_body_becomes_a_payload_merged_into_the_predefined_one(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none", payload={"from": "cron"})

    for sent in (
        {"content": b"backup done", "headers": {"content-type": FORM}},
        {"json": [1, 2]},
        {"data": {"a": ["1", "2"]}},
        {"files": {"log": ("a.log", b"x" * 9, "text/plain")}, "data": {"b": "\0"}},
        {"content": b""},
    ):
        assert is_fired(await anonymous.post(hook.url, **sent))

    assert await events_of(ada, hook) == [
        {"from": "cron", "body": "backup done"},
        {"from": "cron", "body": [1, 2]},
        {"from": "cron", "a": ["1", "2"]},
        {
            "from": "cron",
            "b": "\N{REPLACEMENT CHARACTER}",
            "log": {"name": "a.log", "type": "text/plain", "size": 9},
        },
        {"from": "cron"},
    ]


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"methods": []}, "methods"),
    ({"methods": ["DELETE"]}, "methods/0"),
    ({"methods": ["get"]}, "methods/0"),
    ({"methods": "POST"}, "methods"),
    ({"headers": ["Authorization"]}, "headers/0"),
    ({"headers": ["X-Topic", "X-Gitlab-Token"]}, "headers/1"),
    ({"headers": ["X Topic"]}, "headers/0"),
    ({"headers": ["X-Topic"] * 21}, "headers"),
    ({"verify_token": ""}, "verify_token"),
    ({"verify_token": 1}, "verify_token"),
]


async def test_options_that_make_no_sense_are_a_422(ada: httpx.AsyncClient) -> None:
    for options, place in WRONG_OPTIONS:
        hook = {"verify": "none", **options}

        refused = await ada.post("/triggers", json={"type": "api", "details": {"hook": hook}})

        assert places_of(refused) == [f"#/details/hook/{place}"], options


async def test_options_are_shown_changed_and_sent_back_without_a_new_url(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    options = {"verify": "none", "methods": ["PUT", "GET", "PUT"], "headers": ["X-Topic"]}
    made = await make_api(ada, details={"hook": options})
    shown = made["details"]["hook"]

    sent_back = await change(ada, made["id"], {"details": made["details"]})
    changed = await change(ada, made["id"], {"details": {"hook": {"methods": None}}})

    assert shown == {"verify": "none", "methods": ["PUT", "GET"], "headers": ["X-Topic"]}
    assert sent_back["details"] == made["details"]
    assert changed["details"]["hook"] == {"verify": "none", "headers": ["X-Topic"]}
    assert changed["hook_url"] == sent_back["hook_url"] == made["hook_url"]
    assert is_fired(await anonymous.post(made["hook_url"]))
    assert (await anonymous.get(made["hook_url"])).status_code == 405
    assert (await read(ada, made["id"]))["fire_count"] == 1
