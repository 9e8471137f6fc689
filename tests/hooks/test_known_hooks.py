"""A hook that is called often is remembered, and ends no later than one that is looked up."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from event_trigger.hooks.known_hooks import CalledHook, KnownHooks
from event_trigger.models import Hook
from event_trigger.vault import Vault
from tests.support.hooks import BODY, MadeHook, events_of, github, hook_of, make_hook
from tests.support.services import ADA, SECRET, Service, running_service
from tests.support.waiting import eventually

CALLS_UNTIL_KNOWN = 2
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
_names = count()


@pytest.fixture
async def replicas(database_url: str) -> AsyncIterator[list[Service]]:
    async with running_service(database_url) as one, running_service(database_url) as other:
        yield [one, other]


@contextmanager
def counting_lookups() -> Iterator[list[str]]:
    found: list[str] = []

    def look(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        if "FROM hooks" in statement:
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    yield found
    event.remove(Engine, "before_cursor_execute", look)


async def call(client: httpx.AsyncClient, hook: MadeHook, body: bytes = BODY) -> int:
    signed = github(hook, body, name=f"call-{next(_names)}")
    headers = signed | {"content-type": "application/json"}
    return (await client.post(hook.url, content=body, headers=headers)).status_code


async def made_known(replicas: list[Service], **details: Any) -> MadeHook:
    """Makes a hook that every replica remembers."""
    hook = await make_hook(replicas[0].client(ADA), "github", details=details)
    for one in replicas:
        for _ in range(CALLS_UNTIL_KNOWN):
            assert await call(one.client(), hook) == 200
    with counting_lookups() as lookups:
        assert [await call(one.client(), hook) for one in replicas] == [200, 200]
    assert lookups == []
    return hook


async def test_a_known_hook_is_called_without_a_query_until_its_trigger_is_changed(
    replicas: list[Service],
) -> None:
    hook = await made_known(replicas)
    ada, anonymous = (one.client(of) for one, of in zip(replicas, (ADA, None), strict=True))

    await ada.patch(f"/triggers/{hook.trigger_id}", json={"name": "renamed"})
    with counting_lookups() as lookups:
        answers = [await call(anonymous, hook) for _ in range(4)]

    assert answers == [200, 200, 200, 200]
    assert len(lookups) == CALLS_UNTIL_KNOWN
    assert len(await events_of(ada, hook)) == 6 + 4


async def test_a_change_at_one_replica_holds_at_the_other_from_its_answer_on(
    replicas: list[Service],
) -> None:
    ada, anonymous = replicas[0].client(ADA), replicas[1].client()
    hooks = [await made_known(replicas) for _ in range(6)]
    paths = [f"/triggers/{one.trigger_id}" for one in hooks]

    rotated = hook_of((await ada.post(f"{paths[0]}/hook/rotate", json={})).json())
    given = {"details": {"hook": {"secret": "canary-given"}}}
    changed = [
        await ada.patch(paths[1], json=given),
        await ada.patch(paths[2], json={"details": {"hook": {"methods": ["PUT"]}}}),
        await ada.patch(paths[3], json={"details": {"hook": None}}),
        await ada.delete(paths[4]),
        await ada.post(f"{paths[5]}/pause"),
    ]
    statuses = [await call(anonymous, one) for one in hooks]

    assert [one.status_code for one in changed] == [200, 200, 200, 204, 200]
    assert statuses == [404, 401, 405, 404, 404, 202]
    assert await call(anonymous, rotated) == 200
    assert await call(anonymous, MadeHook(0, hooks[1].url, "canary-given")) == 200


async def test_answers_without_an_event_come_from_the_hook_as_it_is_now(
    replicas: list[Service],
) -> None:
    ada, anonymous = replicas[0].client(ADA), replicas[1].client()
    hook = await made_known(replicas)
    ping = {**github(hook), "X-GitHub-Event": "ping"}

    before = await anonymous.post(hook.url, content=BODY, headers=ping)
    wrong = MadeHook(hook.trigger_id, hook.url, "canary-wrong")
    refused = [await call(anonymous, wrong), await call(anonymous, hook, b'{"n":')]
    await ada.post(f"/triggers/{hook.trigger_id}/hook/rotate", json={})
    after = await anonymous.post(hook.url, content=BODY, headers=ping)
    ended = [await call(anonymous, wrong), await call(anonymous, hook, b'{"n":')]

    assert (before.status_code, after.status_code) == (200, 404)
    assert (refused, ended) == ([401, 422], [404, 404])
    records = await eventually(
        lambda: ada.get(f"/triggers/{hook.trigger_id}/refusals"), lambda got: len(got.json()) == 2
    )
    assert sorted((one["status"], one["count"]) for one in records.json()) == [(401, 1), (422, 1)]


# Without a database


def called() -> CalledHook:
    return CalledHook(Hook(owner_id=7, trigger_id=1, verify="none"), Vault(SECRET))


@pytest.mark.parametrize(
    ("before", "read", "is_kept"),
    [(None, NOW, False), (NOW, NOW, True), (NOW - timedelta(microseconds=1), NOW, False)],
    ids=["the first call", "nothing was changed", "changed between the calls"],
)
def test_a_hook_is_kept_only_if_nothing_changed_before_it_was_looked_up(
    before: datetime | None, read: datetime, is_kept: bool
) -> None:
    hooks, hook = KnownHooks(), called()
    if before is not None:
        hooks.learn(b"a", called(), before=None, configured_at=before)

    hooks.learn(b"a", hook, before=hooks.get(b"a"), configured_at=read)

    assert hooks.get(b"a") == (read, hook if is_kept else None)


def test_the_hooks_that_were_not_called_for_longest_are_forgotten() -> None:
    hooks = KnownHooks(most=2)

    for name in (b"a", b"b", b"a", b"c"):
        if hooks.get(name) is None:
            hooks.learn(name, called(), before=None, configured_at=NOW)

    assert [hooks.get(name) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
