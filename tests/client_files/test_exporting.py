"""An export is a file whose plan is empty, for all that a service can have."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_trigger_client import Client
from event_trigger_client.files.exporting import draft_of
from event_trigger_client.files.reading import read_text
from event_trigger_client.files.triggers import expanded, shortened
from event_trigger_client.files.writing import Draft, Member
from tests.client_files.everything import CALENDARS, ENVIRONMENT, content
from tests.support.mail_server import mail_settings
from tests.support.services import ADMIN, Service, token_of
from tests.support.sets import get_set, is_empty, plan_set, put_set
from tests.support.streams import listening

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
) | st.sampled_from(
    [
        *(
            "no",
            "on",
            "~",
            "null",
            "1e3",
            ".5",
            "0x1f",
            "1_000",
            "2026-12-24",
            "12:30:45",
            "<<",
            "=",
        ),
        *(
            "- a",
            "a: b",
            "#x",
            "${X}",
            "$${",
            "$$${X}",
            "|",
            "\n",
            "a\nb\n\n",
            " a",
            "a ",
            "\t",
            "\r",
        ),
        *("\x85", "\u2028", "!x", "&a", "*a", "? x", "'", '"', "[", "---", "\ufeff", "\x1b[31m"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXTS, one, max_size=3),
    max_leaves=6,
)
STORABLE = TEXTS.filter(lambda one: len(one.strip()) > 0 and len(one) <= 50)
PATH = "/sets/drawn"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return mail_settings(1)  # nothing is sent


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_any_payload_is_written_so_that_it_is_read_again(payload: dict[str, Any]) -> None:
    draft = Draft("jobs", triggers={"a": Member({"type": "api", "payload": payload})})
    draft.triggers["b"] = Member({"type": "api"}, ["a comment\nof lines"])

    read = read_text(draft.text(), {}, folder=Path(), name="x").body["triggers"]

    assert json.dumps(read["a"]["payload"]) == json.dumps(payload)
    assert read["b"] == {"type": "api", "details": {}}


async def test_the_export_of_everything_has_an_empty_plan(service: Service) -> None:
    admin = service.client(ADMIN)
    made = await put_set(admin, "everything", content())

    text = draft_of("everything", await get_set(admin, "everything")).text()
    file = read_text(text, ENVIRONMENT, folder=Path(), name="x")
    planned = await plan_set(admin, "everything", file.body, prune="true")
    others = {name: f"{value} or another" for name, value in ENVIRONMENT.items()}
    changed = read_text(text, others, folder=Path(), name="x")
    of_headers = await plan_set(admin, "everything", changed.body)

    assert len(made["create"]) == planned["unchanged"] > 50
    assert is_empty(planned), planned
    assert [one["key"] for one in of_headers["update"]] == ["keyed"]
    assert len(of_headers["update"][0]["changes"]) == len(ENVIRONMENT)
    secrets = [one["secret"] or one["hook_secret"] for one in made["create"]]
    secrets += [*ENVIRONMENT.values()]
    assert not [one for one in secrets if one and one in text]


async def test_short_forms_mean_what_the_service_has(service: Service) -> None:
    admin = service.client(ADMIN)
    await put_set(admin, "everything", content())

    shown = (await get_set(admin, "everything"))["triggers"]

    for key, one in shown.items():
        again = expanded(shortened(one), {}, json.loads)
        assert again == {"details": {}} | one, key


@st.composite
def sets(draw: st.DrawFn) -> dict[str, Any]:
    """Draws some members of everything, with other names, tags, payloads and states."""
    whole = content()
    names = draw(st.lists(st.sampled_from([*whole["destinations"]]), unique=True, max_size=4))
    keys = draw(st.lists(st.sampled_from([*whole["triggers"]]), unique=True, max_size=6))
    triggers = {}
    for key in keys:
        fields = whole["triggers"][key] | {
            "destinations": draw(st.lists(st.sampled_from(names), unique=True)) if names else [],
            "tags": draw(st.lists(STORABLE, unique=True, max_size=2)),
            "payload": draw(st.dictionaries(STORABLE, st.integers(-5, 5) | STORABLE, max_size=2)),
            "status": draw(st.sampled_from(["active", "paused"])),
        }
        if draw(st.booleans()):
            fields["name"] = draw(STORABLE)
        triggers[key] = fields
    return {
        "calendars": CALENDARS,
        "destinations": {name: whole["destinations"][name] for name in names},
        "triggers": triggers,
    }


async def test_the_export_of_any_set_has_an_empty_plan(service: Service) -> None:
    async with listening(service) as url:
        with Client(url, token=token_of(ADMIN)) as client:

            @settings(max_examples=12)
            @given(sets())
            def check(wanted: dict[str, Any]) -> None:
                query = {"prune": True}
                plan = client.request("PUT", PATH, json=wanted, params={"dry_run": True, **query})
                seen = {"If-Match": f'"{plan["digest"]}"'}
                client.request("PUT", PATH, json=wanted, params=query, headers=seen)

                text = draft_of("drawn", client.request("GET", PATH)).text()
                body = read_text(text, ENVIRONMENT, folder=Path(), name="x").body
                again = client.request("PUT", PATH, json=body, params={"dry_run": True, **query})

                assert is_empty(again), (text, again)
                assert again["unchanged"] == sum(map(len, wanted.values()))

            await asyncio.to_thread(check)
