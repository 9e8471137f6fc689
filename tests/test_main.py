"""The command line in processes of its own: what a person types, reads and pastes."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from event_trigger.db.migrate import newest_revision
from tests.support.databases import connect, create_database, drop_database
from tests.support.processes import (
    environment,
    open_folder,
    run,
    serving,
    until_over,
    with_database,
)
from tests.support.reading import read_all
from tests.support.services import PASSWORD, SECRET
from tests.support.waiting import eventually

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    url = await create_database(server_url)
    yield url
    await drop_database(url)


async def run_all(
    folder: Path, *commands: tuple[tuple[str, ...], str, dict[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """Runs commands side by side: their arguments, what is typed, and their settings."""
    return await asyncio.gather(
        *(
            asyncio.to_thread(run, folder, *arguments, typed=f"{typed}\n", **settings)
            for arguments, typed, settings in commands
        )
    )


async def test_the_first_start_says_where_to_go_and_what_can_be_pasted(folder: Path) -> None:
    async with serving(folder) as served:
        async with served.client() as client:
            docs = await client.get("/api/docs")
        _, pasted = served.printed.split("Sign in, and create", 1)
        block = "\n".join(line for line in pasted.splitlines() if line.startswith("  "))
        shell = await asyncio.to_thread(
            subprocess.run, ["bash", "-e"], input=block, capture_output=True, text=True, check=False
        )
        answers = shell.stdout.replace("}[", "}\n[").splitlines()

    assert docs.status_code == 200
    assert "Login      admin@localhost\n" in served.printed
    assert served.printed.count(served.password) == 2
    assert (shell.returncode, shell.stderr) == (0, "")
    trigger, [event] = json.loads(answers[0]), json.loads(answers[1])
    assert event["trigger_id"] == trigger["id"]


async def test_a_second_start_keeps_everything_and_shows_no_password(folder: Path) -> None:
    async with serving(folder) as first:
        password = first.password
        token = await first.sign_in()
        async with first.client(token) as client:
            made = await client.post("/triggers", json={"type": "api", "name": "kept"})
            await client.post(f"{made.headers['Location']}/trigger", json={"n": 1})
        family = first.family()
        code = await first.end()
        await until_over(family)

    async with serving(folder) as second:
        async with second.client(token) as client:
            kept = await client.get(made.headers["Location"])
            events = await read_all(client, "/events")
        signed_in = await second.sign_in(password=password)

    assert len(family) > 3  # the service and its PostgreSQL
    assert code == 0
    assert "Password " not in second.printed
    assert password not in second.printed
    assert kept.json()["name"] == "kept"
    assert [one["payload"] for one in events] == [{"n": 1}]
    assert signed_in


async def test_accounts_are_looked_after_beside_a_running_service(folder: Path) -> None:
    def user(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run(folder, "user", *arguments, typed=typed)

    async with serving(folder) as served:
        added = await asyncio.to_thread(user, "add", "eve@example.com", typed=f"{PASSWORD}\n")
        token = await served.sign_in("eve@example.com", PASSWORD)
        changed = await asyncio.to_thread(
            user, "password", "EVE@example.com", typed="another long password\n"
        )
        again = await served.sign_in("eve@example.com", "another long password")
        async with served.client(token) as old, served.client(again) as new:
            ended = await old.get("/auth/me")
            goes_on = await new.get("/auth/me")
            disabled = await asyncio.to_thread(user, "disable", "eve@example.com")
            over = await new.get("/auth/me")
        [checked, second] = await run_all(folder, (("check",), "", {}), (("serve",), "", {}))

    assert (added.returncode, added.stdout) == (0, "eve@example.com is now user 2 (user).\n")
    assert (changed.returncode, disabled.returncode) == (0, 0)
    assert (ended.status_code, goes_on.status_code, over.status_code) == (401, 200, 401)
    assert (checked.returncode, "embedded" in checked.stdout) == (0, True)
    assert (second.returncode, second.stdout) == (1, "")
    assert "another event-trigger process uses" in second.stderr
    for done in (added, changed, disabled):
        assert PASSWORD not in done.stdout + done.stderr
        assert "another long password" not in done.stdout + done.stderr


async def test_several_workers_share_the_work_and_end_with_the_first_process(folder: Path) -> None:
    async with serving(folder, "--workers", "2") as served:
        family = served.family()
        token = await served.sign_in()
        details = {"interval": "PT1S", "recurring": True, "max_fires": 2}
        async with served.client(token) as client:
            await client.post("/triggers", json={"type": "scheduled", "details": details})
            events = await eventually(
                lambda: read_all(client, "/events"), lambda found: len(found) >= 2
            )
        workers = [one for one in family if "spawn_main" in " ".join(one.cmdline())]
        await served.end(signal.SIGKILL)
        await until_over(family)

    assert len(workers) == 2
    assert len({one["scheduled_for"] for one in events}) == len(events) == 2


async def test_workers_end_in_good_order_when_told_to(folder: Path, database_url: str) -> None:
    async with serving(folder, "--workers", "2", **with_database(database_url)) as served:
        family = served.family()
        code = await served.end()
        await until_over(family)

    assert code == 0
    assert "Traceback" not in served.logged


async def test_a_port_in_use_does_not_cost_the_first_password(folder: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = await asyncio.to_thread(run, folder, "serve", PORT=port)

    async with serving(folder) as served:
        token = await served.sign_in()

    assert refused.returncode == 1
    assert "address already in use" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr
    assert token


async def test_a_signing_secret_that_was_not_written_whole_is_made_anew(folder: Path) -> None:
    data = folder / ".event-trigger"
    data.mkdir(mode=0o700)
    (data / "jwt-secret").touch(mode=0o600)

    async with serving(folder) as served:
        token = await served.sign_in()

    secret = data / "jwt-secret"
    assert len(secret.read_text()) >= 32
    assert secret.stat().st_mode & 0o777 == 0o600
    assert token


async def test_the_log_and_the_console_hold_no_secret_and_no_payload(
    folder: Path, database_url: str
) -> None:
    settings = with_database(database_url) | {"EVENT_TRIGGER_LOG_LEVEL": "debug"}
    async with serving(folder, **settings) as served:
        token = await served.sign_in("ada@example.com", PASSWORD)
        async with served.client(token) as client:
            body: dict[str, Any] = {"type": "scheduled", "details": {"interval": "PT1S"}}
            await client.post("/triggers", json=body | {"payload": {"canary": "in-a-payload"}})
            api = await client.post("/triggers", json={"type": "api", "name": "in-a-name"})
            await client.post(
                f"{api.headers['Location']}/trigger?canary=in-a-query",
                json={"canary": "in-a-body"},
                headers={"Idempotency-Key": "in-a-key"},
            )
            await client.post("/triggers", json={"type": "in-a-refusal"})
            await client.post("/auth/token", data={"username": "x", "password": "in-a-login"})
            await eventually(lambda: read_all(client, "/events"), lambda found: len(found) == 2)
        database = await connect(database_url)
        await database.execute("UPDATE triggers SET next_fire_at = now(), details = '{}'")

        async def log() -> str:
            return served.logged

        await eventually(log, lambda text: "trigger_set_aside" in text)
        await database.close()

    everything = served.printed + served.logged
    for canary in (token, PASSWORD, SECRET, "in-a-"):
        assert canary not in everything
    assert all(json.loads(line)["event"] for line in served.logged.splitlines())


async def test_serving_is_refused_in_words_that_repeat_no_value(folder: Path) -> None:
    secret = {"EVENT_TRIGGER_JWT_SECRET": SECRET}
    refusals: list[tuple[dict[str, str], str]] = [
        ({"DATABASE_URL": NOWHERE}, "EVENT_TRIGGER_JWT_SECRET is not set"),
        (
            {"DATABASE_URL": NOWHERE, "EVENT_TRIGGER_JWT_SECRET": "canary"},
            "EVENT_TRIGGER_JWT_SECRET: Value error, must be at least 32 bytes long",
        ),
        ({"DATABASE_URL": "mysql://canary@h/x"} | secret, "DATABASE_URL must start with postgres"),
        ({"DATABASE_URL": "canary"} | secret, "DATABASE_URL must be like postgresql://"),
        ({"EVENT_TRIGGER_KEEP_FOR": "PT1H"}, "EVENT_TRIGGER_ACTIVE_FOR must be shorter"),
        ({"EVENT_TRIGGER_KEEP_FOR": "canary"}, "EVENT_TRIGGER_KEEP_FOR: "),
        ({"PORT": "canary"}, "PORT: "),
        ({"HOST": "203.0.113.1"}, "Cannot listen on 203.0.113.1"),
    ]

    done = await run_all(folder, *((("serve",), "", settings) for settings, _ in refusals))

    assert [(one.returncode, one.stdout) for one in done] == [(1, "")] * len(refusals)
    for one, (_, words) in zip(done, refusals, strict=True):
        assert words in one.stderr
        assert "Traceback" not in one.stderr
        assert "canary" not in one.stderr
    assert not (folder / ".event-trigger").exists()


async def test_a_database_that_is_not_there_is_said_in_words(folder: Path, server_url: str) -> None:
    places = (NOWHERE, server_url.replace("/event_trigger", "/nothing"))

    done = await run_all(folder, *((("check",), "", with_database(url)) for url in places))

    for one in done:
        assert (one.returncode, one.stdout) == (1, "")
        assert "Is DATABASE_URL right?" in one.stderr
        assert "Traceback" not in one.stderr


async def test_an_operator_prepares_a_database(folder: Path, empty_url: str) -> None:
    settings = with_database(empty_url)
    unsigned = {"DATABASE_URL": empty_url}

    [before, refused] = await run_all(
        folder, (("check",), "", settings), (("check",), "", unsigned)
    )
    [migrated] = await run_all(folder, (("migrate",), "", unsigned))
    [after, added, unknown] = await run_all(
        folder,
        (("check",), "", settings),
        (("user", "add", "Root@Example.com", "--admin"), PASSWORD, unsigned),
        (("user", "disable", "nobody@example.com"), "", unsigned),
    )
    [twice] = await run_all(folder, (("user", "add", "root@example.com"), PASSWORD, unsigned))

    assert "no revision yet" in before.stdout
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "EVENT_TRIGGER_JWT_SECRET is not set" in refused.stderr
    assert migrated.stdout == f"The database is at revision {newest_revision()}.\n"
    assert f"is at revision {newest_revision()}." in after.stdout
    assert added.stdout == "root@example.com is now user 1 (admin).\n"
    assert unknown.stderr == "There is no user with this address.\n"
    assert twice.stderr == "There is an account with this address already.\n"
    assert (before.returncode, added.returncode, unknown.returncode, twice.returncode) == (
        0,
        0,
        1,
        1,
    )


async def test_wrong_usage_ends_in_words(folder: Path, database_url: str) -> None:
    usages: list[tuple[tuple[str, ...], str, int]] = [
        (("user", "add", "not an address"), PASSWORD, 1),
        (("user", "add", "short@example.com"), "short", 1),
        (("user", "add", "long@example.com"), "x" * 2000, 1),
        (("serve", "--workers", "0"), "", 2),
        ((), "", 2),
        (("dance",), "", 2),
    ]
    settings = with_database(database_url)

    done = await run_all(folder, *((words, typed, settings) for words, typed, _ in usages))

    assert [one.returncode for one in done] == [code for _, _, code in usages]
    for one, (_, typed, _) in zip(done, usages, strict=True):
        assert one.stdout == ""
        assert one.stderr != ""
        assert "Traceback" not in one.stderr
        assert not typed or typed not in one.stderr


def test_an_env_file_is_read(folder: Path) -> None:
    (folder / ".env").write_text("EVENT_TRIGGER_JWT_SECRET=too-short\n")

    done = run(folder, "check", DATABASE_URL=NOWHERE)

    assert done.stderr == "EVENT_TRIGGER_JWT_SECRET: Value error, must be at least 32 bytes long\n"
    assert "EVENT_TRIGGER_JWT_SECRET" not in environment()
