"""A file is read without YAML's surprises, and each mistake is told with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from event_trigger_client.files.durations import iso_duration, seconds_in
from event_trigger_client.files.problems import BadFile
from event_trigger_client.files.reading import SetFile, read_path, read_text
from event_trigger_client.files.yaml_text import plain_value, read_yaml

HEAD = "version: 1\nset: billing\n"


def read(text: str, environment: dict[str, str] | None = None, folder: Path = Path()) -> SetFile:
    return read_text(HEAD + text, environment or {}, folder=folder, name="billing.yaml")


def mistakes_in(
    text: str, environment: dict[str, str] | None = None, folder: Path = Path()
) -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(text, environment, folder)
    return caught.value.lines()


def trigger(line: str, defaults: str = "") -> dict[str, Any]:
    """Reads one trigger, written in one line."""
    found: dict[str, Any] = read(f"{defaults}\ntriggers:\n  a: {line}\n").body["triggers"]["a"]
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[(one, one) for one in ("no", "on", "off", "yes", "y", "2026-12-24", "12:30", "1:30:00")],
        *[
            (one, one)
            for one in ("0o17", "0x1F", "1_000", "017", ".inf", ".nan", "2026-12-24T01:00:00")
        ],
        *[("true", True), ("False", False), ("null", None), ("~", None), ("", None)],
        *[("12", 12), ("-3", -3), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5)],
    ],
)
def test_plain_words_mean_what_json_has_and_else_texts(written: str, meant: Any) -> None:
    assert plain_value(written) == meant
    assert type(plain_value(written)) is type(meant)
    assert read_yaml(f"a: {written}").value == {"a": meant}


def test_the_file_of_the_specification_is_read_as_the_service_takes_it(tmp_path: Path) -> None:
    schema = {"type": "object"}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text(json.dumps(schema))
    (tmp_path / "billing.yaml").write_text(
        HEAD + "defaults: {timezone: Europe/Berlin, tags: [billing]}\n"
        "calendars:\n"
        "  closed: {dates: [2026-12-24, 2026-12-31]}\n"
        "destinations:\n"
        '  crm: {url: "https://crm.example.com/hook", headers: {Authorization: "Bearer ${CRM}"}}\n'
        "triggers:\n"
        '  nightly: {cron: "30 2 * * 1-5", except: [{calendar: closed}], destinations: [crm]}\n'
        '  order: {hook: {verify: github, secret: "${SECRET}"}, schema: schemas/order.json}\n'
        '  year-end: {time: "2026-12-31T23:00:00", status: paused}\n'
        "moved: [{from: night, to: nightly}]\n"
    )

    file = read_path(tmp_path / "billing.yaml", {"CRM": "key-one", "SECRET": "key-two"})

    zone = {"timezone": "Europe/Berlin"}
    assert file.set_name == "billing"
    assert file.body == {
        "calendars": {"closed": {"dates": ["2026-12-24", "2026-12-31"]}},
        "destinations": {
            "crm": {
                "url": "https://crm.example.com/hook",
                "headers": {"Authorization": "Bearer key-one"},
            }
        },
        "triggers": {
            "nightly": {
                "type": "scheduled",
                "details": zone | {"cron": "30 2 * * 1-5", "except": [{"calendar": "closed"}]},
                "destinations": ["crm"],
                "tags": ["billing"],
            },
            "order": {
                "type": "api",
                "details": {"schema": schema, "hook": {"verify": "github", "secret": "key-two"}},
                "tags": ["billing"],
            },
            "year-end": {
                "type": "scheduled",
                "details": zone | {"time": "2026-12-31T23:00:00"},
                "status": "paused",
                "tags": ["billing"],
            },
        },
        "moved": [{"from": "night", "to": "nightly"}],
    }
    assert file.place_of("#/triggers/nightly/details/cron") == (9, 13)
    assert file.place_of("#/triggers/nightly/tags/0") == (3, 37)
    assert file.place_of("#/triggers/year-end/details/timezone") == (3, 12)
    assert file.place_of("#/triggers/order/details/hook/verify") == (10, 18)
    assert file.place_of("#/moved/0/to") == (12, 23)
    assert file.names_at("#/destinations/crm/headers/Authorization") == ["CRM"]
    assert file.names_at("#/triggers/order/details/hook") == ["SECRET"]
    assert file.names_at("#/destinations/crm/url") == []
    assert "key-one" not in repr(file)


@pytest.mark.parametrize(
    ("short", "details"),
    [
        ("{every: 15m}", {"interval": "PT15M", "recurring": True}),
        ("{every: 15}", {"interval": 15, "recurring": True}),
        ("{every: P1M, time: 2027-01-31T09:00:00}", {"recurring": True, "interval": "P1M"}),
        ("{interval: 2h}", {"interval": "PT2H"}),
        ("{cron: ['@daily', '@weekly'], spread: 30m}", {"cron": ["@daily", "@weekly"]}),
        ("{cron: '@daily', catch_up: all, catch_up_window: 2d}", {"catch_up_window": 2880}),
        ("{cron: '@daily', spread: 5}", {"spread": "PT300S"}),
    ],
)
def test_short_forms_of_schedules(short: str, details: dict[str, Any]) -> None:
    found = trigger(short)

    assert found["type"] == "scheduled"
    assert details.items() <= found["details"].items()


@pytest.mark.parametrize(
    ("short", "sent"),
    [
        ("{hook: github}", {"type": "api", "details": {"hook": {"verify": "github"}}}),
        ("{type: api}", {"type": "api", "details": {}}),
        ("{heartbeat: 1d}", {"type": "heartbeat", "details": {"interval": "P1D"}}),
        ("{heartbeat: 30}", {"type": "heartbeat", "details": {"interval": 30}}),
        (
            "{heartbeat: {every: 1h, grace: 10m, hook: token}}",
            {
                "type": "heartbeat",
                "details": {"interval": "PT1H", "grace": "PT10M", "hook": {"verify": "token"}},
            },
        ),
    ],
)
def test_short_forms_of_hooks_and_heartbeats(short: str, sent: dict[str, Any]) -> None:
    assert trigger(short) == sent


@pytest.mark.parametrize(
    ("short", "takes"),
    [
        ("{cron: '@daily'}", True),
        ("{cron: 'CRON_TZ=UTC 0 0 * * *'}", False),
        ("{rrule: FREQ=DAILY, time: 2027-01-01T09:00:00}", True),
        ("{time: 2027-01-01T09:00:00}", True),
        ("{time: 2027-01-01T09:00:00Z}", False),
        ("{time: '2027-01-01T09:00:00+02:00'}", False),
        ("{every: 15m}", False),
        ("{every: P1M, time: 2027-01-01T09:00:00}", True),
        ("{every: 1d, time: 2027-01-01T09:00:00}", True),
        ("{every: 1h, time: 2027-01-01T09:00:00Z}", False),
        ("{heartbeat: {cron: '@daily'}}", True),
        ("{heartbeat: {every: 1d}}", False),
        ("{type: api}", False),
    ],
)
def test_the_default_zone_is_given_to_what_has_local_times(short: str, takes: bool) -> None:
    found = trigger(short, "defaults: {timezone: Europe/Berlin}")

    assert ("timezone" in found["details"]) is takes
    assert trigger(short[:-1] + ", tags: []}", "defaults: {tags: [x]}")["tags"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("triggers:\n  a: {crn: '@daily'}\n", ["4:7: There is no field crn. Did you mean cron?"]),
        ("triggers:\n  a: {cron: '@daily', cron: '@weekly'}\n", ["4:23: cron is written twice"]),
        ("triggers:\n  a: {type: api}\n  a: {type: api}\n", ["5:3: a is written twice"]),
        ("triggers:\n  A: {type: api}\n", ["4:3: Write 1 to 100 lower-case letters"]),
        ("triggers:\n  a: {interval: 5, recurring: true}\n", ["Write every instead of interval"]),
        ("triggers:\n  a: {hook: github, cron: '@daily'}\n", ["4:21: A trigger with a hook fires"]),
        ("triggers:\n  a: {heartbeat: 1d, every: 1d}\n", ["4:22: Leave this out"]),
        ("triggers:\n  a: {tags: [x]}\n", ["4:3: Write when it fires"]),
        ("triggers:\n  a: {cron: 5}\n", ["4:7: Write a line of cron in quotes"]),
        ("triggers:\n  a: {hook: {verify: githab}}\n", ["4:14: Write one of standard_webhooks,"]),
        ("triggers:\n  a: {cron: '@daily', max_fires: 0}\n", ["4:23: Write at least 1."]),
        ("triggers:\n  a:\n", ["4:3: Write the trigger as a map"]),
        ("triggers: [a]\n", ["3:1: Write a map."]),
        ("destinations:\n  a: {timeout: 5}\n", ["4:3: url is missing: write it."]),
        ("destinations:\n  a: {url: x, headers: {X-A: 5}}\n", ["4:25: Write a text."]),
        ("calendars:\n  a: {dats: [2026-12-24]}\n", ["4:7: There is no field dats. Did you mean"]),
        ("moved: [{from: a}]\n", ["3:9: to is missing"]),
        ("tirggers: {}\n", ["3:1: There is no field tirggers. Did you mean triggers?"]),
        ("triggers: {a: {type: api, name: !x y}}\n", ["3:33: Tags such as !x are not read"]),
        ("triggers: {a: {type: api, name: !!int 5}}\n", ["Tags such as !!int are not read"]),
        ("triggers:\n\ta: 1\n", ["4:1: "]),
        ("triggers: {a: [}\n", ["3:16: This is no YAML"]),
        ("? [a]\n: 1\n", ["3:3: A key is a text"]),
        (f"triggers: {{a: {{type: api, payload: {{n: {'9' * 5000}}}}}}}\n", ["too long"]),
        ("x: " + "[" * 3000 + "]" * 3000 + "\n", [""]),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, told: list[str]) -> None:
    found = mistakes_in(text)

    assert all(one.startswith("billing.yaml:") for one in found)
    for one, wanted in zip(found, told, strict=False):
        assert wanted in one


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "version: 2\nset: a\n", "set: a\n"])
def test_a_file_without_its_head_is_refused(text: str) -> None:
    with pytest.raises(BadFile):
        read_text(text, {}, folder=Path(), name="x")


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes_in("triggers:\n  a: {crn: 1}\n  b: {cron: 2}\ndestinations:\n  c: {}\n")

    assert [one.split(":")[1] for one in found] == ["4", "5", "7"]


def test_values_come_from_the_environment_alone_and_are_never_told() -> None:
    text = (
        "destinations:\n"
        "  crm: {url: 'https://x/$${a}/${B}$c', headers: {X-A: '${A}${A}', X-B: '$${A}'}}\n"
        "triggers:\n"
        "  a: {type: api, payload: {deep: ['${B}', 1, {'${A}': '${A}'}]}}\n"
    )

    body = read(text, {"A": "one", "B": "${A}"}).body
    missing = mistakes_in(text, {"A": "secret-value"})
    broken = mistakes_in("triggers: {a: {type: api, name: '${a-b} ${A', tags: ['${}']}}\n")

    assert body["destinations"]["crm"] == {
        "url": "https://x/${a}/${A}$c",
        "headers": {"X-A": "oneone", "X-B": "${A}"},
    }
    assert body["triggers"]["a"]["payload"] == {"deep": ["${A}", 1, {"${A}": "one"}]}
    assert [one.split(": ")[0] for one in missing] == ["billing.yaml:4:9", "billing.yaml:6:35"]
    assert all("The environment has no B: set it" in one for one in missing)
    assert "secret-value" not in "".join(missing)
    assert len(broken) == 2


def test_neighbours_are_read_only_from_the_folder_of_the_file(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "out.json").write_text("{}")
    (inside / "list.json").write_text("[]")
    (inside / "bad.json").write_text("{")
    (inside / "link.json").symlink_to(tmp_path / "out.json")
    (inside / "days.ics").write_text("BEGIN:VCALENDAR\nEND:VCALENDAR\n")

    found = {
        name: mistakes_in(f"triggers: {{a: {{type: api, schema: {name}}}}}\n", folder=inside)
        for name in ("../out.json", "/etc/passwd", "link.json", "list.json", "bad.json", "no.json")
    }
    calendar = read("calendars: {a: {ics: days.ics}, b: [2026-12-24]}\n", folder=inside)

    for name in ("../out.json", "/etc/passwd", "link.json"):
        assert "Name a file in the folder of this one" in found[name][0]
    assert "no JSON object" in found["list.json"][0]
    assert "no JSON" in found["bad.json"][0]
    assert "cannot be read" in found["no.json"][0]
    assert calendar.body["calendars"] == {
        "a": {"ics": "BEGIN:VCALENDAR\nEND:VCALENDAR\n"},
        "b": {"dates": ["2026-12-24"]},
    }


def test_anchors_repeat_values_but_not_without_end() -> None:
    base = "triggers:\n  a: &base {cron: '@daily', tags: [x]}\n  b: {<<: *base, tags: [y]}\n"
    bomb = "x: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"x{n}: &x{n} [{', '.join(['*a' if n == 0 else f'*x{n - 1}'] * 9)}]\n" for n in range(7)
    )

    merged = read(base).body["triggers"]
    found = mistakes_in(bomb)

    assert merged["b"]["details"] == {"cron": "@daily"}
    assert merged["b"]["tags"] == ["y"]
    assert "aliases included" in found[0]
    assert "no YAML" in mistakes_in("triggers: &a {a: *a}\n")[0] or mistakes_in(
        "triggers: &a {a: *a}\n"
    )


@pytest.mark.parametrize(
    ("text", "iso", "seconds"),
    [
        ("90s", "PT90S", 90),
        ("15m", "PT15M", 900),
        ("1h30m", "PT1H30M", 5400),
        ("2d", "P2D", 172_800),
        ("1w", "P1W", 604_800),
        ("1w2d", "P9D", 777_600),
        ("1d12h", "P1DT12H", 129_600),
        ("PT1.5S", "PT1.5S", 1.5),
        ("P1M", "P1M", None),
        ("soon", "soon", None),
        ("", "", None),
    ],
)
def test_durations_are_written_as_people_do(text: str, iso: str, seconds: float | None) -> None:
    assert iso_duration(text) == iso
    assert seconds_in(text) == seconds
