"""Each exit code is produced by a real cause, and the words on stderr say what to do."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from socket import create_server
from typing import Any

import httpx

from tests.client_cli.conftest import Terminal
from tests.support.counting import until_counted
from tests.support.keys import make_key
from tests.support.processes import environment
from tests.support.services import PASSWORD


async def test_0_when_it_was_done(ada_at: Terminal) -> None:
    made = await ada_at.run("triggers", "create", "nightly", "--cron", "30 2 * * *", "-o", "name")

    assert (made.code, made.out, made.err) == (0, "nightly\n", "")


async def test_1_when_it_failed(ada_at: Terminal) -> None:
    await ada_at.do("destinations", "create", "http://127.0.0.1:9/hook", "--key", "gone")

    done = await ada_at.run("destinations", "test", "gone")

    assert done.code == 1
    assert "connect" in done.err


async def test_2_when_the_command_is_wrong(ada_at: Terminal) -> None:
    for arguments, told in (
        (["trigers"], "choose from"),
        (["triggers", "lst"], "Did you mean 'list'?"),
        (["triggers", "list", "--statsu", "paused"], "--status"),
        (["triggers", "fire", "a", "--payload", "[1]"], "must be an object"),
        (["triggers", "fire", "a", "--payload", "{"], "--payload is no JSON"),
        (["events", "get", "first"], "no id"),
        (["deliveries", "redeliver"], "--status exhausted"),
        (["triggers", "delete", "a"], "--yes"),
        (["triggers", "create", "--file", "/nowhere.yaml"], "cannot be read"),
        (["api", "GET", "triggers"], "begins with /"),
        (["api", "GET", "/info", "-H", "X-Request-ID: ü"], "cannot be sent"),
        (["triggers", "fire", "a", "--idempotency-key", "a\nb"], "cannot be sent"),
        (["whoami", "--project", "ü"], "cannot be sent"),
    ):
        done = await ada_at.run(*arguments)

        assert (done.code, done.out) == (2, ""), done
        assert told in done.err


async def test_3_when_it_does_not_exist(ada_at: Terminal) -> None:
    for arguments in (
        ["triggers", "get", "no-such"],
        ["triggers", "get", "987654"],
        ["triggers", "pause", "no-such"],
        ["events", "list", "--trigger", "no-such"],
        ["destinations", "rotate", "no-such"],
        ["api", "GET", "/nowhere"],
    ):
        done = await ada_at.run(*arguments)

        assert (done.code, done.out) == (3, ""), arguments


async def test_4_when_signing_in_is_needed(terminal: Terminal) -> None:
    nobody = await terminal.run("triggers", "list", "--url", terminal.url)
    await terminal.login("--scope", "triggers:read")

    unknown = await terminal.run("triggers", "list", EVENT_TRIGGER_TOKEN="etk_unknown")
    scope = await terminal.run("triggers", "create", "a")

    assert nobody.code == 4
    assert unknown.code == 4
    assert "event-trigger login" in unknown.err
    assert scope.code == 4
    assert "triggers:write" in scope.err


async def test_5_when_it_is_refused_with_the_places(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "nightly")

    taken = await ada_at.run("triggers", "create", "nightly")
    invalid = await ada_at.run("triggers", "create", "other", "--cron", "0 0 30 2 *")
    query = await ada_at.run("api", "GET", "/triggers", "-q", "statsu=paused")
    stale = await ada_at.run(
        "api", "DELETE", "/triggers/by-key/nightly", "-H", 'If-Match: "another"'
    )

    assert [one.code for one in (taken, invalid, query, stale)] == [5, 5, 5, 5]
    assert "#/details/cron" in invalid.err
    assert "statsu" in query.err


async def test_6_when_only_a_part_was_done(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "here")

    done = await ada_at.run("triggers", "pause", "here", "no-such", "-o", "name")
    none = await ada_at.run("triggers", "pause", "no-such", "nor-this")

    assert (done.code, done.out) == (6, "here\n")
    assert "no-such: " in done.err
    assert "1 of 2 failed" in done.err
    assert none.code == 3


async def test_7_when_nobody_answers(ada_at: Terminal) -> None:
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"http://127.0.0.1:{port}"

    called = await ada_at.run("triggers", "list", "--url", url, EVENT_TRIGGER_TOKEN="etk_some")
    signing_in = await ada_at.run(
        "login", "--profile", "off", "--url", url, "--email", "a@example.com", "--password-stdin",
        typed=f"{PASSWORD}\n",
    )  # fmt: skip

    assert [called.code, signing_in.code] == [7, 7]
    assert "etk_some" not in called.err
    assert PASSWORD not in signing_in.err


async def test_8_when_not_all_is_right(
    ada_at: Terminal, ada: httpx.AsyncClient, database: Any, database_url: str
) -> None:
    await until_counted(ada, database, database_url)
    fine = await ada_at.run("status")
    await make_key(ada, "triggers:read", expires_at=(datetime.now(UTC) + timedelta(3)).isoformat())

    warned = await ada_at.run("status", "-o", "json")

    assert fine.code == 0, fine
    assert warned.code == 8
    [cause] = json.loads(warned.out)["attention"]
    assert cause["kind"] == "key_expires"


async def test_130_when_it_is_interrupted(ada_at: Terminal) -> None:
    watching = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "event_trigger", "status", "--watch", "-o", "name"),
        env=environment(**ada_at.settings, XDG_CONFIG_HOME=str(ada_at.home)),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert watching.stdout is not None
    first = await watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, told = await watching.communicate()

    assert first in {b"ok\n", b"unknown\n"}
    assert (watching.returncode, told) == (130, b"")
