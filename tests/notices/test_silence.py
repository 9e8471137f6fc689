"""Silent heartbeats are told of once, whether no ping came or one said that its job failed."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.heartbeats import (
    forget_outages,
    let_pass,
    make_heartbeat,
    ping,
    until_told,
)
from tests.support.notices import list_notices, make_listener, notice_in
from tests.support.notices import until_told as until_noticed
from tests.support.receiver import Receiver


async def test_a_heartbeat_without_a_ping_is_told_of(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, "trigger.silent")
    made = await make_heartbeat(ada, key="backup")
    await ping(anonymous, made)
    await forget_outages(database)

    await let_pass(database, made, timedelta(hours=2))
    [silent] = await until_told(ada, made, "silent")

    [told] = await until_noticed(receiver)
    event = notice_in(told)
    assert event["type"] == "event_trigger.notice.trigger.silent"
    assert event["subject"] == f"triggers/{made['id']}"
    assert event["data"]["message"] == "The trigger backup is silent: no ping came in time."
    assert event["data"]["details"]["last_at"] == silent["scheduled_for"]
    assert len(await list_notices(ada)) == 1


@pytest.mark.parametrize(
    ("signal", "words"),
    [("fail", "said that it failed"), ("3", "ended with an exit code that is not 0")],
)
async def test_a_job_that_failed_is_told_of_at_once(
    ada: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    receiver: Receiver,
    signal: str,
    words: str,
) -> None:
    await make_listener(ada, receiver, "trigger.silent")
    made = await make_heartbeat(ada, key="backup")
    await ping(anonymous, made)

    await ping(anonymous, made, signal)

    [told] = await until_noticed(receiver)
    assert notice_in(told)["data"]["message"] == f"The trigger backup is silent: its job {words}."


async def test_pings_that_come_back_are_no_notice(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make_listener(ada, receiver, "trigger.silent", "trigger.set_aside")
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await ping(anonymous, made, "fail")
    await ping(anonymous, made)
    await until_told(ada, made, "silent", "alive")

    await until_noticed(receiver)

    assert [one["kind"] for one in await list_notices(ada)] == ["trigger.silent"]
