"""Runs the commands in this process, and `serve` in a process of its own."""

import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from socket import create_server
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from event_trigger import __version__
from event_trigger.db.revisions import newest_revision
from event_trigger.db.urls import place_of
from event_trigger.triggers.schedule.zone_rules import zone_rules
from tests.support.commands import Here
from tests.support.databases import connect
from tests.support.mail_server import PASSWORD as MAIL_PASSWORD
from tests.support.mail_server import USERNAME, mail_server
from tests.support.processes import (
    environment,
    log_entries,
    run,
    serving,
    until_over,
    with_database,
)
from tests.support.reading import read_all
from tests.support.services import ADA, ADMIN, BOB, PASSWORD, SECRET
from tests.support.shards import ShardWatch
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("embedded servers")

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


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
    [started] = log_entries(served, "started")
    assert (
        started.items()
        >= {
            "version": __version__,
            "python": platform.python_version(),
            "database": "embedded",
            "data_dir": str(folder / ".event-trigger"),
            "revision": newest_revision(),
            "zone_rules": zone_rules().version,
            "active_for": "PT2H",
            "keep_for": "P2D",
            "workers": 1,
        }.items()
    )
    assert re.fullmatch(r"[0-9]+\.[0-9]+", started["postgres"])


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
    async with serving(folder) as served:
        added = await asyncio.to_thread(
            run, folder, "user", "add", "eve@example.com", typed=f"{PASSWORD}\n"
        )
        token = await served.sign_in("eve@example.com", PASSWORD)
        disabled = await asyncio.to_thread(run, folder, "user", "disable", "EVE@example.com")
        async with served.client(token) as eve:
            ended = await eve.get("/auth/me")
        second = await asyncio.to_thread(run, folder, "serve")

    assert (added.returncode, added.stdout) == (0, "eve@example.com is now user 2 (user).\n")
    assert disabled.returncode == 0
    assert ended.status_code == 401
    assert (second.returncode, second.stdout) == (1, "")
    assert "another event-trigger process uses" in second.stderr
    assert PASSWORD not in added.stdout + added.stderr


async def test_several_workers_share_the_work_and_end_with_the_first_process(
    folder: Path, database_url: str
) -> None:
    async with serving(folder, "--workers", "2", **with_database(database_url)) as served:
        family = served.family()
        token = await served.sign_in("ada@example.com", PASSWORD)
        details = {"interval": "PT1S", "recurring": True, "max_fires": 2}
        async with served.client(token) as client:
            await client.post("/triggers", json={"type": "scheduled", "details": details})
            events = await eventually(
                lambda: read_all(client, "/events"), lambda found: len(found) >= 2
            )
        workers = served.workers()
        await served.end(signal.SIGKILL)
        await until_over(family)

    assert len(workers) == 2
    assert len({one["scheduled_for"] for one in events}) == len(events) == 2
    [started] = log_entries(served, "started")
    place = place_of(database_url)
    assert (started["workers"], started["database"], started["data_dir"]) == (2, place, None)


async def test_workers_end_in_good_order_when_told_to(folder: Path, database_url: str) -> None:
    async with serving(folder, "--workers", "2", **with_database(database_url)) as served:
        family = served.family()
        code = await served.end()
        await until_over(family)

    assert code == 0
    assert "Traceback" not in served.logged


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
            call = f"{api.headers['Location']}/trigger"
            key = {"Idempotency-Key": "in-a-key"}
            await client.post(call, json={"canary": "in-a-body"}, headers=key)
            await client.post(f"{call}?canary=in-a-query")
            await client.post("/triggers", json={"type": "in-a-refusal"})
            await client.post("/auth/token", data={"username": "x", "password": "in-a-login"})
            await eventually(lambda: read_all(client, "/events"), lambda found: len(found) == 2)
        database = await connect(database_url)
        await database.execute("UPDATE triggers SET next_fire_at = now(), details = '{}'")
        await database.close()

        async def log() -> str:
            return served.logged

        await eventually(log, lambda text: "trigger_set_aside" in text)

    everything = served.printed + served.logged
    for canary in (token, PASSWORD, SECRET, "in-a-"):
        assert canary not in everything
    assert all(json.loads(line)["event"] for line in served.logged.splitlines())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DATABASE_URL": NOWHERE, "EVENT_TRIGGER_JWT_SECRET": ""}, "JWT_SECRET is not set"),
        (
            {"DATABASE_URL": NOWHERE, "EVENT_TRIGGER_JWT_SECRET": "canary"},
            "EVENT_TRIGGER_JWT_SECRET: must be at least 32 bytes long",
        ),
        ({"DATABASE_URL": "mysql://canary@h/x"}, "DATABASE_URL must start with postgresql://"),
        ({"DATABASE_URL": "canary"}, "DATABASE_URL must be like postgresql://"),
        (
            {"EVENT_TRIGGER_READ_DATABASE_URL": "mysql://canary@h/x"},
            "EVENT_TRIGGER_READ_DATABASE_URL must start with postgresql://",
        ),
        (
            {"EVENT_TRIGGER_LISTEN_DATABASE_URL": "canary"},
            "EVENT_TRIGGER_LISTEN_DATABASE_URL must be like postgresql://",
        ),
        ({"EVENT_TRIGGER_KEEP_FOR": "PT1H"}, "EVENT_TRIGGER_ACTIVE_FOR must be shorter"),
        (
            {"EVENT_TRIGGER_KEEP_FOR": "canary"},
            "EVENT_TRIGGER_KEEP_FOR: write an ISO 8601 duration",
        ),
        ({"PORT": "canary"}, "PORT: write a whole number"),
        ({"EVENT_TRIGGER_OPEN_REGISTRATION": "canary"}, "_REGISTRATION: write true or false"),
        ({"HOST": "203.0.113.1"}, "Cannot listen on 203.0.113.1"),
    ],
)
def test_serving_is_refused_in_words_that_repeat_no_value(
    here: Here, folder: Path, settings: dict[str, str], words: str
) -> None:
    done = here("serve", **{"PORT": "0", "EVENT_TRIGGER_JWT_SECRET": SECRET, **settings})

    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert "canary" not in done.err
    assert not list(folder.iterdir())  # nothing was made


def test_a_port_in_use_is_said_before_a_first_password_is_made(here: Here, folder: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        done = here("serve", PORT=str(taken.getsockname()[1]))

    assert (done.code, done.out) == (1, "")
    assert "Address already in use" in done.err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("exists", "words"),
    [
        (False, "The database does not answer: connection refused. Is DATABASE_URL right?"),
        (True, 'database "nothing" does not exist (3D000). Name a database that exists'),
    ],
)
def test_a_database_that_is_not_there_is_said_in_words(
    here: Here, server_url: str, exists: bool, words: str
) -> None:
    url = server_url.replace("/event_trigger", "/nothing") if exists else NOWHERE

    done = here("check", **with_database(url))

    assert (done.code, done.out) == (1, "")
    assert words in done.err


def test_an_operator_prepares_a_database(here: Here, empty_url: str) -> None:
    settings = with_database(empty_url)

    unsigned = here("check", DATABASE_URL=empty_url)
    before = here("check", **settings)
    migrated = here("migrate", DATABASE_URL=empty_url)
    after = here("check", **settings)

    assert (unsigned.code, "Settings are valid" in unsigned.out) == (1, False)
    assert "EVENT_TRIGGER_JWT_SECRET is not set" in unsigned.err
    assert (before.code, "no revision yet" in before.out) == (0, True)
    assert (migrated.code, migrated.out) == (
        0,
        f"The database is at revision {newest_revision()}.\n",
    )
    assert (after.code, f"is at revision {newest_revision()}." in after.out) == (0, True)
    assert re.search(r"This is installation [0-9a-f]{16}\.", after.out)
    assert "installation" not in before.out


def test_verify_has_the_alias_audit(here: Here, database_url: str) -> None:
    verified = here("verify", **with_database(database_url))
    audited = here("audit", **with_database(database_url))

    assert (verified.code, verified.err) == (0, "")
    assert audited == verified


def test_an_operator_makes_an_account_in_an_empty_database(here: Here, empty_url: str) -> None:
    settings = with_database(empty_url)

    added = here("user", "add", "Root@Example.com", "--admin", typed=PASSWORD, **settings)
    twice = here("user", "add", "root@example.com", typed=PASSWORD, **settings)
    changed = here("user", "password", "root@example.com", typed="another one!", **settings)
    unknown = here("user", "disable", "nobody@example.com", **settings)

    assert (added.code, added.out) == (0, "root@example.com is now user 1 (admin).\n")
    assert (twice.code, twice.err) == (1, "There is an account with this address already.\n")
    assert (changed.code, "older logins have ended" in changed.out) == (0, True)
    assert (unknown.code, unknown.err) == (1, "There is no user with this address.\n")


async def test_an_operator_erases_a_user_who_agrees_to_what_goes(
    here: Here, database_url: str, ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    made = await ada.post("/triggers", json={"type": "api"})
    settings = with_database(database_url)

    kept, erased, again, last = await asyncio.to_thread(
        lambda: (
            here("user", "erase", "Ada@example.com", typed="no\n", **settings),
            here("user", "erase", "Ada@example.com", typed="erase\n", **settings),
            here("user", "erase", "ada@example.com", "--yes", **settings),
            here("user", "erase", "admin@example.com", "--yes", **settings),
        )
    )

    goes = "1 login, 0 API keys, 1 project with 1 trigger and 0 destinations."
    question, answer = kept.out.splitlines()[-2:]
    assert made.status_code == 201
    assert (kept.code, question) == (0, f"This erases user {ADA} for good: {goes}")
    assert answer == "Write 'erase' to go on: Nothing was erased."
    assert erased.code == 0
    assert erased.out.endswith(f"User {ADA} is erased: {goes}\n")
    assert (again.code, again.err) == (1, "There is no user with this address.\n")
    assert (last.code, "only admin" in last.err) == (1, True)
    log = await database.fetchval("SELECT string_agg(audit_entries::text, ' ') FROM audit_entries")
    assert "ada@example.com" not in log
    assert [one["id"] for one in (await admin.get("/users")).json()] == [BOB, ADMIN]


async def test_an_operator_goes_back_to_an_older_schema(
    here: Here, database_url: str, database: Any, shard_watch: ShardWatch
) -> None:
    settings = with_database(database_url)
    await database.execute("SET application_name = 'event-trigger'")

    while_it_runs = await asyncio.to_thread(here, "migrate", "--back-to", "0033", **settings)
    await database.execute("RESET application_name")
    to_nowhere = await asyncio.to_thread(here, "migrate", "--back-to", "9999", **settings)
    back = await asyncio.to_thread(here, "migrate", "--back-to", "0033", **settings)
    forward = await asyncio.to_thread(here, "migrate", "--back-to", newest(), **settings)
    checked = await asyncio.to_thread(here, "check", **settings)
    again = await asyncio.to_thread(here, "migrate", **settings)

    assert (while_it_runs.code, while_it_runs.out) == (1, "")
    assert "1 sessions of the service are connected to this database: stop" in while_it_runs.err
    assert (to_nowhere.code, to_nowhere.out) == (1, "")
    assert f"There is no way back from revision {newest()} to 9999." in to_nowhere.err
    assert (back.code, back.out.split(". ")[0]) == (0, "The database is at revision 0033")
    assert (forward.code, "There is no way back to revision" in forward.err) == (1, True)
    assert f"is at revision 0033; 'serve' or 'migrate' will migrate it to {newest()}" in checked.out
    assert (again.code, again.out) == (0, f"The database is at revision {newest()}.\n")
    shard_watch.offenders.clear()  # those of the way back, which rewrites whole tables


def newest() -> str:
    found = newest_revision()
    assert found is not None
    return found


async def test_an_operator_replaces_the_key_of_secrets(
    here: Here, database_url: str, ada: httpx.AsyncClient
) -> None:
    made = await ada.post("/destinations", json={"url": "https://1.1.1.1/hook"})
    hooked = await ada.post(
        "/triggers", json={"type": "api", "details": {"hook": {"verify": "github"}}}
    )
    assert (made.status_code, hooked.status_code) == (201, 201)
    settings = with_database(database_url) | {"EVENT_TRIGGER_ENCRYPTION_KEY": "a-new-key-" * 4}

    rotated, again, lost, unsigned = await asyncio.to_thread(
        lambda: (
            here("rotate-keys", **settings),
            here("rotate-keys", **settings),
            here("rotate-keys", **with_database(database_url)),
            here("rotate-keys", DATABASE_URL=database_url),
        )
    )

    said = "Re-encrypted: 1 destination and 1 hook. All have the current key."
    assert (rotated.code, rotated.out.splitlines()[-1]) == (0, said)
    assert (again.code, "0 destinations and 0 hooks" in again.out) == (0, True)
    named = (
        f"The keys of destinations {made.json()['id']} and hooks of triggers"
        f" {hooked.json()['id']} are not set."
    )
    assert (lost.code, named in lost.err) == (1, True)
    assert (unsigned.code, "EVENT_TRIGGER_JWT_SECRET is not set" in unsigned.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "typed", "code"),
    [
        (("user", "add", "not an address"), PASSWORD, 1),
        (("user", "add", "short@example.com"), "short", 1),
        (("user", "add", "long@example.com"), "x" * 2000, 1),
        (("user", "add", "nul@example.com"), "long enough\0", 1),
        (("serve", "--workers", "0"), "", 2),
        (("serve", "--workers", "many"), "", 2),
        (("user", "dance", "eve@example.com"), "", 2),
        ((), "", 2),
    ],
)
def test_wrong_usage_ends_in_words(
    here: Here, arguments: tuple[str, ...], typed: str, code: int
) -> None:
    done = here(*arguments, typed=typed, **with_database(NOWHERE))

    assert (done.code, done.out) == (code, "")
    assert done.err != ""
    assert not typed or typed not in done.err


async def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    here: Here, folder: Path, database_url: str
) -> None:
    (folder / ".env").write_text("event_trigger_keepfor=PT1H\nOTHER=1\n")
    settings = with_database(database_url) | {"EVENT_TRIGGER_ZZZZ": "1"}
    settings |= {"EVENT_TRIGGER_URL": "http://localhost:8000"}  # of commands that call a service

    done = await asyncio.to_thread(here, "check", **settings)

    assert done.code == 0
    assert (
        "Warning: EVENT_TRIGGER_KEEPFOR is no setting, and has no effect."
        " Did you mean EVENT_TRIGGER_KEEP_FOR?\n"
        "Warning: EVENT_TRIGGER_ZZZZ is no setting, and has no effect.\n"
    ) in done.out
    assert "EVENT_TRIGGER_URL" not in done.out


async def test_check_connects_to_the_mail_server_and_sends_nothing(
    here: Here, database_url: str
) -> None:
    async with mail_server(signs_in=True) as mails:
        settings = with_database(database_url) | {"EVENT_TRIGGER_MAIL_FROM": "a@example.com"}
        login, at = quote(MAIL_PASSWORD, safe=""), f"127.0.0.1:{mails.port}"
        right = {"EVENT_TRIGGER_SMTP_URL": f"smtp://{USERNAME}:{login}@{at}"}
        wrong = {"EVENT_TRIGGER_SMTP_URL": f"smtp://{USERNAME}:canary-wrong@{at}"}

        done = await asyncio.to_thread(here, "check", **settings, **right)
        refused = await asyncio.to_thread(here, "check", **settings, **wrong)

    assert done.code == 0
    assert f"The mail server {at} answers without encryption, and takes the login." in done.out
    assert refused.code != 0
    assert f"The mail server {at}: rejected" in refused.err
    assert "535" in refused.err
    assert "canary" not in refused.err + refused.out
    assert mails.received == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SMTP_URL": "smtp://mail.example.com"}, "need each other"),
        ({"MAIL_FROM": "a@example.com"}, "need each other"),
        ({"SMTP_URL": "http://mail.example.com", "MAIL_FROM": "a@example.com"}, "write smtp://"),
        ({"SMTP_URL": "smtp://u:canary@h/x", "MAIL_FROM": "a@example.com"}, "write smtp://"),
        ({"SMTP_URL": "smtp://u:canary@h:0", "MAIL_FROM": "a@example.com"}, "write smtp://"),
        ({"SMTP_URL": "smtp://u:canary@h:99999", "MAIL_FROM": "a@example.com"}, "write smtp://"),
        ({"SMTP_URL": "smtp://user@h", "MAIL_FROM": "a@example.com"}, "a user and a password"),
        ({"SMTP_URL": "smtp://h?starttls=no", "MAIL_FROM": "a@example.com"}, "starttls=off"),
        ({"SMTP_URL": "smtps://h?starttls=off", "MAIL_FROM": "a@example.com"}, "nothing with"),
        ({"SMTP_URL": "smtp://h", "MAIL_FROM": "Events"}, "write an address"),
        ({"SMTP_URL": "smtp://h", "MAIL_FROM": "a@example.com, b@example.com"}, "write an address"),
        ({"SMTP_URL": "smtp://h", "MAIL_FROM": "Bcc: <a@b@example.com>"}, "write an address"),
    ],
)
def test_wrong_mail_settings_are_said_in_words(
    here: Here, settings: dict[str, str], words: str
) -> None:
    given = {f"EVENT_TRIGGER_{name}": value for name, value in settings.items()}

    done = here("check", **with_database(NOWHERE), **given)

    assert done.code != 0
    assert words in done.err
    assert "canary" not in done.err


def test_who_stops_reading_the_output_is_no_failure_of_the_database(
    folder: Path, empty_url: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-u", "-m", "event_trigger", "check"],
        cwd=folder,
        env=environment(**with_database(empty_url)),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def test_an_env_file_is_read(here: Here, folder: Path) -> None:
    (folder / ".env").write_text("EVENT_TRIGGER_JWT_SECRET=too-short\n")

    done = here("check", DATABASE_URL=NOWHERE)

    assert done.err == "EVENT_TRIGGER_JWT_SECRET: must be at least 32 bytes long\n"
