"""Each recipe is pasted, and sent to a double that accepts only what that API documents."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from event_trigger.models import NoticeKind
from tests.support.api_doubles import DocumentedApi, Double, Sent, standing_in
from tests.support.destinations import list_deliveries, make_destination
from tests.support.documented_apis import APIS, DISCORD, PAGERDUTY, SLACK
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.recipes import Recipe, patch_for_notices, recipes, sample_trigger
from tests.support.services import ADA, running_service
from tests.support.shown import learned
from tests.support.triggers import make_api
from tests.support.waiting import eventually

RECIPES = recipes()
[SLACK_HOST] = [host for host, api in APIS.items() if api is SLACK]
_TEXT = (
    '"quoted" \\ \n\t\x01\x1f\x7f\u2028 <!channel> <@U1> & &amp; @everyone {{ data }} {% raw %} é😀'
)
_PAYLOADS: dict[str, Any] = {
    "no member that a template looks for": {"other": [1, None, {"a": 2.5}]},
    "an empty object": {},
    "markup, mentions, control characters": {"text": _TEXT, _TEXT: [_TEXT]},
    "a long text": {"text": "😀" * 4500},
    "a long text without spaces": {"text": '"' * 20_000},
    "an object for a text": {"text": {"a": [1, None, True], 'b"': "c"}},
    "a list for a text": {"text": ["a", ['"'], {}]},
    "a number for a text": {"text": 1.5},
    "a large number for a text": {"text": 10**40},
    "zero for a text": {"text": 0},
    "false for a text": {"text": False},
    "null for a text": {"text": None},
    "an empty text": {"text": ""},
}


@asynccontextmanager
async def _doubles() -> AsyncIterator[dict[str, Double]]:
    async with AsyncExitStack() as stack:
        yield {
            host: await stack.enter_async_context(standing_in(api)) for host, api in APIS.items()
        }


async def _paste(client: httpx.AsyncClient, doubles: dict[str, Double]) -> list[int]:
    made = [await make_destination(client, **one.at(doubles[one.host].url)) for one in RECIPES]
    return [one["id"] for one in made]


async def _outcomes(client: httpx.AsyncClient, count: int) -> set[tuple[str, str | None]]:
    """Waits for the first attempts of all deliveries, and gives their statuses and errors."""
    found = await eventually(
        lambda: list_deliveries(client),
        lambda all_of_them: (
            len(all_of_them) == count
            and all(one["attempt_count"] or one["finished_at"] for one in all_of_them)
        ),
    )
    return {(one["status"], one["error"]) for one in found}


def test_each_documented_api_has_its_recipe() -> None:
    assert sorted(one.host for one in RECIPES) == sorted(APIS)
    assert len({one.destination["key"] for one in RECIPES}) == len(RECIPES)


async def test_each_recipe_leaves_as_the_page_shows_it_and_is_accepted(database_url: str) -> None:
    async with _doubles() as doubles, running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        destinations = await _paste(ada, doubles)
        made = await ada.post("/triggers", json={**sample_trigger(), "destinations": destinations})
        assert made.status_code == 201, made.text

        await ada.post(f"/triggers/{made.json()['id']}/trigger")
        outcomes = await _outcomes(ada, len(RECIPES))

        assert {host: one.faults for host, one in doubles.items() if one.faults} == {}
        assert outcomes == {("delivered", None)}
        for recipe in RECIPES:
            [sent] = doubles[recipe.host].sent
            _compare(recipe, sent)


def _compare(recipe: Recipe, sent: Sent) -> None:
    """Times differ from those that the page shows, and nothing else."""
    url, shown = urlsplit(recipe.shown.url), recipe.shown
    assert shown.method == sent.method
    assert sent.path == (f"{url.path}?{url.query}" if url.query else url.path)
    for name, value in shown.headers.items():
        assert sent.headers[name.lower()] == value
    body = json.loads(sent.body) if sent.body else None
    learned([json.dumps(shown.body, sort_keys=True)], [json.dumps(body, sort_keys=True)])


async def test_no_payload_makes_a_recipe_send_what_its_api_refuses(database_url: str) -> None:
    async with _doubles() as doubles, running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        destinations = await _paste(ada, doubles)
        nameless = await make_api(ada, destinations=destinations)
        calls = [None, *_PAYLOADS.values()]

        tried = [(await ada.post(f"/destinations/{one}/test")).json() for one in destinations]
        for payload in calls:
            fired = await ada.post(f"/triggers/{nameless['id']}/trigger", json=payload)
            assert fired.status_code == 200, fired.text
        outcomes = await _outcomes(ada, len(RECIPES) * len(calls))

        assert {host: one.faults for host, one in doubles.items() if one.faults} == {}
        assert {one["error"] for one in tried} == {None}
        assert outcomes == {("delivered", None)}
        assert {len(one.sent) for one in doubles.values()} == {1 + len(calls)}


async def test_slack_takes_each_kind_of_notice_and_events_as_before(database_url: str) -> None:
    async with _doubles() as doubles, running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada, double = service.client(ADA), doubles[SLACK_HOST]
        [recipe] = [one for one in RECIPES if one.host == SLACK_HOST]
        made = await make_destination(ada, **recipe.at(double.url))
        path = f"/destinations/{made['id']}"
        patched = await ada.patch(path, json=patch_for_notices())
        assert patched.status_code == 200, patched.text

        for kind in NoticeKind:
            await ada.patch(path, json={"notices": [kind]})
            tried = await ada.post(f"{path}/test")
            assert tried.json()["error"] is None, tried.text
        shown = await ada.post(f"{path}/test", json={"data": sample_trigger()["payload"]})

        assert shown.json()["error"] is None
        assert double.faults == []
        texts = [json.loads(one.body)["text"] for one in double.sent]
        assert "does not answer" in texts[0]
        assert texts[-1] == recipe.shown.body["text"]
        assert len(texts) == len(NoticeKind) + 1


def _good(recipe: Recipe) -> Sent:
    """The request that the page shows, as the sender would send it."""
    shown, url = recipe.shown, urlsplit(recipe.shown.url)
    content_type = {} if shown.body is None else {"content-type": "application/json"}
    headers = {name.lower(): value for name, value in shown.headers.items()}
    return Sent(
        shown.method,
        f"{url.path}?{url.query}" if url.query else url.path,
        content_type | {"user-agent": "event-trigger"} | headers,
        b"" if shown.body is None else json.dumps(shown.body).encode(),
    )


def _spoilt(api: DocumentedApi, good: Sent) -> Iterator[Sent]:
    """The request with one thing wrong: a method, a path, a header, a member that is required."""
    yield Sent("HEAD", good.path, good.headers, good.body)
    yield Sent(good.method, good.path + "/x?y", good.headers, good.body)
    for name in api.headers:
        rest = {one: value for one, value in good.headers.items() if one != name.lower()}
        yield Sent(good.method, good.path, rest, good.body)
    if api.schema is None:
        yield Sent(good.method, good.path, good.headers, b"{}")
        return
    yield Sent(good.method, good.path, {**good.headers, "content-type": "text/plain"}, good.body)
    yield Sent(good.method, good.path, good.headers, good.body[:-1])
    yield Sent(good.method, good.path, good.headers, b"[]")
    yield Sent(good.method, good.path, good.headers, good.body + b" " * api.most_bytes)
    for name in api.schema.get("required", ()):
        rest = {one: value for one, value in json.loads(good.body).items() if one != name}
        yield Sent(good.method, good.path, good.headers, json.dumps(rest).encode())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.host)
def test_a_double_refuses_a_request_with_one_thing_wrong(recipe: Recipe) -> None:
    api, good = APIS[recipe.host], _good(recipe)

    assert api.faults_of(good) == []
    for spoilt in _spoilt(api, good):
        assert api.faults_of(spoilt) != [], spoilt


@pytest.mark.parametrize(
    ("api", "change"),
    [
        (SLACK, {"text": "<!channel>"}),
        (SLACK, {"text": "Cake & tea"}),
        (SLACK, {"text": ""}),
        (SLACK, {"text": None}),
        (DISCORD, {"content": "x" * 2001}),
        (DISCORD, {"contents": "x"}),
        (DISCORD, {"allowed_mentions": {"parse": ["all"]}}),
        (PAGERDUTY, {"routing_key": "short"}),
        (PAGERDUTY, {"payload": {"summary": "x", "source": "y", "severity": "fatal"}}),
        (PAGERDUTY, {"payload": {"summary": "x" * 1025, "source": "y", "severity": "info"}}),
    ],
)
def test_a_double_refuses_values_that_its_api_does_not_take(
    api: DocumentedApi, change: dict[str, Any]
) -> None:
    [recipe] = [one for one in RECIPES if one.host == api.host]
    good = _good(recipe)
    body = json.dumps({**json.loads(good.body), **change}).encode()

    assert api.faults_of(Sent(good.method, good.path, good.headers, body)) != []
