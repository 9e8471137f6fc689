"""A crontab becomes a file for review, in which each line is a trigger or a comment."""

import json
from pathlib import Path
from typing import Any

import httpx

from event_trigger_client.files.crontab import Imported, read_crontab
from event_trigger_client.files.reading import read_text
from tests.support.sets import plan_set

CASES = Path(__file__).parents[1] / "triggers" / "schedule" / "cases" / "crontabs.json"
URL = "https://1.1.1.1/{{ event.trigger.key }}"
CRONTAB = """\
# m h  dom mon dow   command
SHELL=/bin/bash
MAILTO = "ops@example.com"

# Nightly report: the "big" one,
# for the board
30 2 * * 1-5 /opt/report/run.sh --all --password=hunter2
CRON_TZ=Europe/Berlin
*/15 * * * * curl -su me:hunter2 https://you:hunter2@x/ping > /dev/null
@daily /usr/local/bin/backup db
@reboot /start
#Ansible: Rotate logs
0\t4\t*\t*\tsun\troot-job %foo
# 0 5 * * * /old/job
0~59 * * * * random
0 0 12 * * ? quartz
0 12 * * ? 2026 quartz
hello world
*/15 * * * * curl -s https://x/ping
@every_minute touch ${x}
"""


def imported(text: str, **options: Any) -> Imported:
    return read_crontab(text, set_name="crontab", url_template=URL, **{"timezone": None, **options})


def body_of(found: Imported) -> dict[str, Any]:
    body: dict[str, Any] = read_text(found.draft.text(), {}, folder=Path(), name="x").body
    return body


async def test_real_crontabs_become_triggers_with_the_very_same_lines(
    ada: httpx.AsyncClient,
) -> None:
    lines = [one["cron"] for one in json.loads(CASES.read_text())]
    text = "".join(f"{one} /opt/job-{number}.sh\n" for number, one in enumerate(lines))

    found = imported(text)
    body = body_of(found)
    planned = await plan_set(ada, "crontab", body)

    assert (found.triggers, found.skipped) == (len(lines), [])
    assert [one["details"]["cron"] for one in body["triggers"].values()] == [
        " ".join(one.split()) for one in lines
    ]
    assert len(planned["create"]) == len(lines) + 1
    assert all(one["next_fire_at"] for one in planned["create"] if one["kind"] == "trigger")


def test_each_line_is_a_trigger_or_a_comment_and_no_password_is_left() -> None:
    found = imported(CRONTAB)
    text, body = found.draft.text(), body_of(found)

    zone = {"timezone": "Europe/Berlin"}
    assert {key: one["details"] for key, one in body["triggers"].items()} == {
        "nightly-report-the-big-one-for-the-board": {"cron": "30 2 * * 1-5", "timezone": "UTC"},
        "curl": zone | {"cron": "*/15 * * * *"},
        "backup-db": zone | {"cron": "@daily"},
        "rotate-logs": zone | {"cron": "0 4 * * sun"},
        "curl-2": zone | {"cron": "*/15 * * * *"},
        "touch": zone | {"cron": "* * * * *"},
    }
    assert body["triggers"]["rotate-logs"]["name"] == "Rotate logs"
    assert all(one["destinations"] == ["crontab"] for one in body["triggers"].values())
    assert body["destinations"] == {"crontab": {"url": URL}}
    assert [one.split(":")[0] for one in found.skipped] == [
        f"line {number}" for number in (2, 3, 11, 14, 15, 16, 17, 18)
    ]
    for reason in ("that machine starts", "commented out", "random times", "more than five fields"):
        assert reason in text
    assert found.triggers == 6
    assert "hunter2" not in text
    assert "# /opt/report/run.sh --all --password=***" in text


def test_a_crontab_of_the_system_names_users() -> None:
    line = "17 * * * *\troot    cd / && run-parts --report /etc/cron.hourly\n"

    found = imported(line, has_users=True, timezone="Asia/Tokyo")

    assert "# as root: cd / && run-parts" in found.draft.text()
    assert body_of(found)["triggers"] == {
        "cd": {
            "type": "scheduled",
            "details": {"cron": "17 * * * *", "timezone": "Asia/Tokyo"},
            "destinations": ["crontab"],
        }
    }


def test_a_hostile_crontab_is_still_a_file() -> None:
    hostile = (
        "# \x1b[31m\u202e evil\x07\n* * * * * a\x1b[0m ${X} # b\r\n\x00\n@ x\n%\n= 5\n" + "é" * 5000
    )

    found = imported(hostile)

    assert "\x1b" not in found.draft.text()
    assert body_of(found)["triggers"]
