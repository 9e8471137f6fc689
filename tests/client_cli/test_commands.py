"""Commands do what their help says, on a live service, and name things by id or key."""

import json
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.client_cli.conftest import EMAIL, Terminal
from tests.support.destinations import list_deliveries, until_finished
from tests.support.receiver import receiving
from tests.support.services import PASSWORD


async def listed(terminal: Terminal, *arguments: str) -> Any:
    return json.loads(await terminal.do(*arguments, "-o", "json"))


async def test_triggers_are_created_by_options_a_file_and_standard_input(
    ada_at: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "order.yaml"
    file.write_text("type: api\nkey: order\npayload: {shop: 1}\n")

    await ada_at.do(
        *("triggers", "create", "nightly", "--cron", "30 2 * * 1-5", "--tz", "Europe/Berlin"),
        *("--payload", '{"report": "daily"}', "--tag", "reports", "--tag", "night"),
    )
    await ada_at.do("triggers", "create", "-f", str(file), "--name", "Order")
    await ada_at.do("triggers", "create", "-f", "-", typed='{"type": "api", "key": "piped"}')
    await ada_at.do("triggers", "create", "hook", "--hook", "github")
    await ada_at.do("triggers", "create", "often", "--every", "PT15M", "--max-fires", "3")
    found = {one["key"]: one for one in await listed(ada_at, "triggers", "list")}

    assert list(found) == ["often", "hook", "piped", "order", "nightly"]
    assert found["nightly"]["details"] == {"cron": "30 2 * * 1-5", "timezone": "Europe/Berlin"}
    assert found["nightly"]["tags"] == ["reports", "night"]
    assert (found["order"]["name"], found["order"]["payload"]) == ("Order", {"shop": 1})
    assert found["hook"]["details"]["hook"]["verify"] == "github"
    assert found["often"]["details"]["interval"] == "PT15M"


async def test_a_trigger_is_named_by_its_key_or_its_id(ada_at: Terminal) -> None:
    made = await listed(ada_at, "triggers", "create", "nightly", "--cron", "0 2 * * *")
    digits = await listed(ada_at, "triggers", "create", "2027")

    for name in ("nightly", str(made["id"])):
        for verb in (["get"], ["next"], ["pause"], ["resume"], ["history"], ["test"], ["fire"]):
            await ada_at.do("triggers", verb[0], name)
        await ada_at.do("triggers", "explain", name, "2h")
        await ada_at.do("events", "list", "--trigger", name)

    assert (await listed(ada_at, "triggers", "get", "key:2027"))["id"] == digits["id"]
    assert (await ada_at.run("triggers", "get", "2027")).code == 3


async def test_lists_are_cut_with_a_word_and_filtered(ada_at: Terminal) -> None:
    for key in ("a", "b", "c"):
        await ada_at.do("triggers", "create", key, "--tag", "odd" if key != "b" else "even")
    await ada_at.do("triggers", "pause", "c")

    cut = await ada_at.run("triggers", "list", "--limit", "2", "-o", "name")

    assert cut.out == "c\nb\n"
    assert "--limit 0" in cut.err
    assert await ada_at.do("triggers", "list", "--limit", "0", "-o", "name") == "c\nb\na\n"
    assert await ada_at.do("triggers", "list", "--tag", "odd", "-o", "name") == "c\na\n"
    assert await ada_at.do("triggers", "list", "--status", "paused", "-o", "name") == "c\n"


async def test_a_call_is_made_once_for_its_idempotency_key(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "order", "--payload", '{"shop": 1, "note": "x"}')
    fire = ("triggers", "fire", "order", "--idempotency-key", "order-7")

    first = await ada_at.run(*fire, "--payload", "-", "-o", "json", typed='{"note": null}')
    again = await ada_at.run(*fire, "--payload", "-", "-o", "json", typed='{"note": null}')
    [event] = await listed(ada_at, "events", "list")

    assert json.loads(first.out)["event_id"] == json.loads(again.out)["event_id"] == event["id"]
    assert json.loads(again.out)["is_replayed"] is True
    assert event["payload"] == {"shop": 1}


async def test_a_patch_changes_a_trigger_and_what_it_does_not_name_stays(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "nightly", "--cron", "0 2 * * *", "--name", "N")

    await ada_at.do(
        "triggers", "edit", "nightly", "--patch", "-", typed="details: {cron: 0 3 * * *}"
    )
    asked = await ada_at.run("triggers", "edit", "nightly")
    changed = await listed(ada_at, "triggers", "get", "nightly")

    assert (changed["details"], changed["name"]) == ({"cron": "0 3 * * *"}, "N")
    assert asked.code == 2
    assert "--patch" in asked.err


async def test_triggers_are_deleted_only_with_a_yes(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "a")
    await ada_at.do("triggers", "create", "b")

    asked = await ada_at.run("triggers", "delete", "a", "b")
    await ada_at.do("triggers", "delete", "a", "b", "--yes")

    assert asked.code == 2
    assert await listed(ada_at, "triggers", "list") == []


async def test_a_schedule_is_shown_in_words_and_stored_nowhere(ada_at: Terminal) -> None:
    cron = await listed(ada_at, "schedule", "30 2 * * 1-5", "--tz", "Europe/Berlin")
    interval = await listed(ada_at, "schedule", "PT15M", "--count", "2")
    rule = await listed(
        ada_at, "schedule", "FREQ=DAILY", "--at", "2030-01-01T00:00:00Z", "--count", "1"
    )

    assert "02:30" in cron["words"]
    assert len(cron["instants"]) == 5
    assert len(interval["instants"]) == 2
    assert rule["instants"][0]["at"] == "2030-01-01T00:00:00Z"
    assert await listed(ada_at, "triggers", "list") == []


async def test_events_are_read_replayed_and_exported(ada_at: Terminal, tmp_path: Path) -> None:
    await ada_at.do("triggers", "create", "order")
    event = (await ada_at.do("triggers", "fire", "order", "-o", "name")).strip()

    copy = (await ada_at.do("events", "replay", event, "-o", "name")).strip()
    shown = await listed(ada_at, "events", "get", copy)
    recent = await ada_at.do("events", "list", "--since", "1h", "-o", "name")
    none = await ada_at.run("events", "list", "--until", "1h")
    printed = await ada_at.do("events", "export")
    file = tmp_path / "events.csv"
    written = await ada_at.run("events", "export", "--format", "csv", "--to", str(file))
    again = await ada_at.run("events", "export", "--to", str(file))

    assert shown["replay_of"] == int(event)
    assert recent.split() == [copy, event]
    assert (none.code, none.out, none.err) == (0, "", "There are none.\n")
    assert {json.loads(line)["id"] for line in printed.splitlines()} == {int(copy), int(event)}
    assert len(file.read_text().splitlines()) == 3
    assert "3 lines" in written.err
    assert again.code == 2


async def test_destinations_are_made_tested_and_rotated(ada_at: Terminal, tmp_path: Path) -> None:
    async with receiving() as receiver:
        (tmp_path / "template").write_text('{"text": {{ data | json }}}')
        made = json.loads(
            await ada_at.do(
                *("destinations", "create", f"{receiver.url}/hook", "--key", "crm"),
                *("--format", "template", "--template", str(tmp_path / "template")),
                *("--header-env", "Authorization=CRM_TOKEN", "-o", "json"),
                CRM_TOKEN="Bearer not-to-be-shown",
            )
        )
        tested = await ada_at.run("destinations", "test", "crm", "-o", "json")
        rotated = await listed(ada_at, "destinations", "rotate", "crm")
        receiver.answers["/hook"] = 500
        failed = await ada_at.run("destinations", "test", str(made["id"]))
        disabled = await listed(ada_at, "destinations", "disable", "crm")
        enabled = await listed(ada_at, "destinations", "enable", "crm")

    assert json.loads(tested.out)["status_code"] == 204
    assert receiver.received[0].headers["authorization"] == "Bearer not-to-be-shown"
    assert "not-to-be-shown" not in json.dumps(made) + tested.out
    assert rotated["secret"] != made["secret"]
    assert failed.code == 1
    assert "500" in failed.out
    assert [one[0]["status"] for one in (disabled, enabled)] == ["disabled", "enabled"]


async def test_deliveries_are_read_sent_again_and_cancelled(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        await ada_at.do("destinations", "create", receiver.url, "--key", "crm")
        await ada_at.do("triggers", "create", "order", "--destination", "crm")
        await ada_at.do("triggers", "fire", "order")
        [delivery] = await until_finished(ada)
        id_ = str(delivery["id"])

        shown = await listed(ada_at, "deliveries", "get", id_)
        selected = await listed(ada_at, "deliveries", "list", "-d", "crm", "-t", "order")
        counted = await listed(ada_at, "deliveries", "redeliver", "-d", "crm", "--dry-run")
        before = len(receiver.received)
        again = await listed(ada_at, "deliveries", "redeliver", id_)
        await until_finished(ada)
        cancelled = await ada_at.run("deliveries", "cancel", id_)
        missing = await ada_at.run("deliveries", "redeliver", id_, "987654")

    assert shown["attempts"][0]["status_code"] == 204
    assert [one["id"] for one in selected] == [delivery["id"]]
    assert (counted["matched"], again["changed"]) == (1, 1)
    assert (before, len(receiver.received)) >= (1, 2)
    assert cancelled.code == 5  # it has ended
    assert missing.code in {3, 6}
    assert len(await list_deliveries(ada)) == 1


async def test_keys_take_the_password_and_are_shown_once(signed_in: Terminal) -> None:
    typed = f"{PASSWORD}\n"
    await signed_in.do("triggers", "create", "order")

    made = json.loads(
        await signed_in.do(
            *("keys", "create", "shop", "--scope", "triggers:fire", "--trigger", "order"),
            *("--password-stdin", "-o", "json"),
            typed=typed,
        )
    )
    fired = await signed_in.run("triggers", "fire", "order", EVENT_TRIGGER_TOKEN=made["key"])
    table = await signed_in.do("keys", "list", "--password-stdin", typed=typed)
    await signed_in.do("keys", "revoke", str(made["id"]), "--password-stdin", typed=typed)
    ended = await signed_in.run("triggers", "fire", "order", EVENT_TRIGGER_TOKEN=made["key"])
    asked = await signed_in.run("keys", "list")

    assert fired.code == 0
    assert "shop" in table
    assert made["key"] not in table
    assert ended.code == 4
    assert asked.code == 2
    assert "--password-stdin" in asked.err


async def test_a_login_in_the_environment_manages_keys_without_a_question(
    ada_at: Terminal,
) -> None:
    made = await listed(ada_at, "keys", "create", "shop", "--scope", "triggers:fire")

    assert [one["id"] for one in await listed(ada_at, "keys", "list")] == [made["id"]]


async def test_any_path_can_be_called(ada_at: Terminal) -> None:
    made = await ada_at.do("api", "POST", "/triggers", "-d", '{"type": "api", "key": "a"}')
    listed_ = await ada_at.do("api", "GET", "/triggers", "-q", "tag=x", "-q", "tag=y")
    with_head = await ada_at.do("api", "get", "/triggers/by-key/a", "-i")
    metrics = await ada_at.run("api", "GET", "/healthz", EVENT_TRIGGER_TOKEN="")
    as_yaml = await ada_at.do("api", "GET", "/info", "-o", "yaml")

    assert json.loads(made)["key"] == "a"
    assert json.loads(listed_) == []
    assert with_head.startswith("200 OK\n")
    assert "etag: " in with_head
    assert metrics.code == 0
    assert "version" in yaml.safe_load(as_yaml)


async def test_whoami_says_whose_credential_counts(ada_at: Terminal) -> None:
    shown = await listed(ada_at, "whoami")

    assert (shown["email"], shown["credential"]) == (EMAIL, "EVENT_TRIGGER_TOKEN")
