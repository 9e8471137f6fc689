"""The commands for files: what they print, what they refuse, and with which exit codes."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from event_trigger_client import Client
from event_trigger_client.files import applying
from event_trigger_client.files.reading import read_text
from tests.client_cli.conftest import Terminal
from tests.support.losing import ANSWER, HALF_THE_ANSWER, NEVER, REQUEST, losing_proxy
from tests.support.processes import environment
from tests.support.sets import put_set
from tests.support.triggers import make_api

BILLING = """\
version: 1
set: billing
destinations:
  crm: {url: "https://1.1.1.1/hook", headers: {X-Key: "${CRM_KEY}"}}
triggers:
  nightly: {cron: "30 2 * * *", timezone: Europe/Berlin, destinations: [crm]}
  order: {hook: github, payload: {key: "${CRM_KEY}"}}
"""
KEY = {"CRM_KEY": "secret-value"}
MANY = "version: 1\nset: jobs\ntriggers:\n" + "".join(
    f"  job-{number}: {{type: api, tags: [bulk]}}\n" for number in range(300)
)


@pytest.fixture
def folder(ada_at: Terminal) -> Path:
    """The folder in which commands run."""
    (ada_at.home / "billing.yaml").write_text(BILLING)
    return ada_at.home


async def test_a_file_is_planned_applied_and_then_there_are_no_changes(
    ada_at: Terminal, folder: Path
) -> None:
    planned = await ada_at.run("plan", "-f", "billing.yaml", "--exit-code", **KEY)
    unasked = await ada_at.run("apply", "-f", "billing.yaml", **KEY)
    applied = await ada_at.run("apply", "-f", "billing.yaml", "--yes", **KEY)
    again = await ada_at.run("plan", "-f", "-", "--exit-code", "--prune", typed=BILLING, **KEY)

    assert planned.code == 10
    assert planned.out.splitlines()[0] == "+ destination crm"
    assert planned.out.splitlines()[-1] == "billing: 3 to create, 0 unchanged."
    assert (unasked.code, applied.code) == (2, 0)
    assert applied.out == planned.out
    assert "Applied billing: 3 created, 0 unchanged." in applied.err
    assert "--show-secrets" in applied.err
    assert "whsec_" not in applied.out + applied.err
    assert (again.code, again.out) == (0, "billing: no changes, 3 unchanged.\n")


async def test_changes_are_shown_without_what_is_secret(ada_at: Terminal, folder: Path) -> None:
    await ada_at.do("apply", "-f", "billing.yaml", "--yes", **KEY)
    changed = BILLING.replace("30 2", "45 2").replace("nightly", "report")
    changed += "moved: [{from: nightly, to: report}]\n"
    (folder / "billing.yaml").write_text(changed)

    shown = await ada_at.do("plan", "-f", "billing.yaml", CRM_KEY="another-secret")
    as_json = await ada_at.do("plan", "-f", "billing.yaml", "-o", "json", CRM_KEY="another-secret")
    applied = await ada_at.do(
        "apply", "-f", "billing.yaml", "--yes", "--show-secrets", CRM_KEY="another-secret"
    )

    assert '    cron: "30 2 * * *" → "45 2 * * *"' in shown
    assert '    key: "nightly" → "report"' in shown
    assert "    headers/X-Key: another value → ${CRM_KEY}" in shown
    assert "    payload/key: another value → ${CRM_KEY}" in shown
    assert shown.endswith("billing: 3 to change, 0 unchanged.\n")
    assert {change["to"] for one in json.loads(as_json)["update"] for change in one["changes"]} == {
        "${CRM_KEY}",
        "45 2 * * *",
        "report",
    }
    assert "-secret" not in shown + as_json + applied
    assert "secret-value" not in shown + as_json


async def test_secrets_that_were_made_are_printed_if_asked(ada_at: Terminal, folder: Path) -> None:
    applied = await ada_at.do("apply", "-f", "billing.yaml", "--yes", "--show-secrets", **KEY)

    assert "destination crm secret: whsec_" in applied
    assert f"trigger order hook_url: {ada_at.url}/hooks/" in applied
    assert "trigger order hook_secret: " in applied


async def test_a_bad_file_is_told_with_its_lines_and_nothing_is_written(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient
) -> None:
    cases = [
        (BILLING.replace("30 2 * * *", "61 2 * * *"), 5, "bad.yaml:6:13: The minute field"),
        (BILLING.replace("[crm]", "[crn]"), 5, "bad.yaml:6:73: There is no such destination."),
        (BILLING.replace("1.1.1.1", "10.0.0.1"), 5, "bad.yaml:4:9: "),
        (BILLING.replace("cron:", "crn:"), 2, "bad.yaml:6:13: There is no field crn."),
        (BILLING.replace("CRM_KEY", "NO_KEY"), 2, "bad.yaml:4:48: The environment has no NO_KEY"),
        (BILLING + "moved: [{from: a, to: b}]\n", 5, "bad.yaml:8:19: The file has no trigger"),
    ]

    for text, code, words in cases:
        (folder / "bad.yaml").write_text(text)
        for command in (["plan"], ["apply", "--yes"]):
            done = await ada_at.run(*command, "-f", "bad.yaml", **KEY)

            assert (done.code, done.out) == (code, "")
            assert words in done.err
            assert done.err.endswith("Nothing was written.\n" if code == 5 else "sent.\n")
            assert "secret-value" not in done.err
    missing = await ada_at.run("plan", "-f", "none.yaml")

    assert (missing.code, missing.err.split(":")[0]) == (2, "none.yaml")
    assert (await ada.get("/sets")).json() == []


async def test_what_belongs_to_others_is_refused(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient
) -> None:
    await put_set(ada, "sales", {"triggers": {"order": {"type": "api"}}})
    await make_api(ada, key="nightly")

    done = await ada_at.run("apply", "-f", "billing.yaml", "--yes", **KEY)

    assert done.code == 5
    assert "billing.yaml:6:3: A trigger with this key was made by hand" in done.err
    assert "billing.yaml:7:3: The set sales owns the trigger with this key." in done.err


async def test_most_of_a_set_is_only_removed_with_its_number(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient
) -> None:
    (folder / "jobs.yaml").write_text(MANY)
    await ada_at.do("apply", "-f", "jobs.yaml", "--yes")
    (folder / "cut.yaml").write_text("\n".join(MANY.splitlines()[:13]) + "\n")
    cut = ("apply", "-f", "cut.yaml", "--prune", "--yes")

    refused = await ada_at.run(*cut)
    wrong = await ada_at.run(*cut, "--removes", "289")
    left = (await ada.get("/sets")).json()[0]["triggers"]
    kept = await ada_at.do("apply", "-f", "cut.yaml", "--yes")
    done = await ada_at.run(*cut, "--removes", "290")

    assert (refused.code, wrong.code, left) == (5, 5, 300)
    assert "more than half of the set. Nothing was written." in refused.err
    assert "--removes 290" in refused.err
    assert "--removes says 289. Nothing was written." in wrong.err
    assert kept == "jobs: no changes, 10 unchanged.\n"
    assert done.code == 0
    assert (await ada.get("/sets")).json()[0]["triggers"] == 10


async def test_a_stale_plan_writes_nothing(client: Client, ada: httpx.AsyncClient) -> None:
    file = read_text(MANY, {}, folder=Path(), name="jobs.yaml")
    plan = await asyncio.to_thread(applying.plan_file, client, file, prune=False)
    await put_set(ada, "jobs", {"triggers": {"job-0": {"type": "api"}}})

    with pytest.raises(applying.Refused) as refused:
        await asyncio.to_thread(applying.apply_plan, client, file, plan, prune=False)

    assert "it is stale. Plan again" in refused.value.lines[0]
    assert (await ada.get("/sets")).json()[0]["triggers"] == 1


@pytest.mark.parametrize("lost", [ANSWER, HALF_THE_ANSWER, REQUEST])
async def test_a_lost_answer_is_looked_into_and_nothing_is_applied_twice(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient, lost: str
) -> None:
    async with losing_proxy(ada_at.url) as proxy:
        fates = iter([NEVER, lost])  # the plan, and what applies it
        proxy.loses = lambda: next(fates, NEVER)

        done = await ada_at.run(
            *("apply", "-f", "billing.yaml", "--yes", "--url", proxy.url), **KEY
        )

    assert (done.code, proxy.lost) == (0, [lost])
    assert ("The answer was lost. The plan was applied" in done.err) is (lost != REQUEST)
    assert [one["triggers"] for one in (await ada.get("/sets")).json()] == [2]
    entries = (await ada.get("/triggers")).json()
    assert sorted(one["key"] for one in entries) == ["nightly", "order"]


async def test_an_export_has_an_empty_plan_also_of_what_was_made_by_hand(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient
) -> None:
    await ada_at.do("apply", "-f", "billing.yaml", "--yes", **KEY)
    body: dict[str, Any] = {"type": "scheduled", "details": {"cron": "@daily"}, "key": "by-hand"}
    crm = (await ada.get("/destinations")).json()[0]["id"]
    await ada.post("/triggers", json=body | {"destinations": [crm], "tags": ["x"]})
    keyless = await make_api(ada)
    await ada.post("/calendars", json={"key": "closed", "dates": ["2030-12-24"]})
    beat = {"type": "heartbeat", "details": {"interval": 60}, "key": "beat"}
    await ada.post("/triggers", json=beat)

    (folder / "own.yaml").write_text(await ada_at.do("export", "--set", "billing"))
    (folder / "free.yaml").write_text(await ada_at.do("export"))
    own = await ada_at.run(
        "plan", "-f", "own.yaml", "--prune", "--exit-code", CRM_X_KEY="secret-value"
    )
    free = await ada_at.do("plan", "-f", "free.yaml")
    taken = await ada_at.run("apply", "-f", "free.yaml", "--yes")
    later = await ada_at.do("export")

    assert (own.code, own.out) == (0, "billing: no changes, 3 unchanged.\n")
    assert free.endswith("main: 3 to take over, 0 unchanged.\n")
    assert "Applied main: 3 taken over" in taken.err
    assert f"trigger {keyless['id']}" in (folder / "free.yaml").read_text()
    assert "triggers:" not in later
    assert (await ada_at.run("export", "--set", "none")).code == 3


async def test_a_crontab_is_imported_and_the_schema_is_printed(ada_at: Terminal) -> None:
    done = await ada_at.run(
        *("import", "crontab", "--url-template", "https://1.1.1.1/{{ event.trigger.key }}"),
        typed="# Nightly\n0 3 * * * /opt/run\n@reboot /opt/start\n",
    )
    planned = await ada_at.do("plan", "-f", "-", typed=done.out)
    schema = await ada_at.do("schema")

    assert done.code == 0
    assert "1 jobs became triggers; 1 lines did not:\n  line 3: @reboot" in done.err
    assert "+ trigger nightly  next " in planned
    assert json.loads(schema)["title"] == "A file of Event Trigger"


@pytest.mark.parametrize("delay", [0.0, 0.1])
async def test_a_client_that_is_killed_leaves_all_or_nothing(
    ada_at: Terminal, folder: Path, ada: httpx.AsyncClient, delay: float
) -> None:
    (folder / "jobs.yaml").write_text(MANY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "event_trigger", "apply", "-f", "jobs.yaml", "--yes"),
        cwd=folder,
        env=environment(**ada_at.settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    while b"300 to create" not in await process.stdout.readline():
        pass  # the next thing that it does is to apply the plan
    await asyncio.sleep(delay)

    process.send_signal(signal.SIGKILL)
    await process.wait()
    seen = set()
    for _ in range(10):
        seen |= {one["triggers"] for one in (await ada.get("/sets")).json()}
        await asyncio.sleep(0.1)

    assert seen <= {300}
