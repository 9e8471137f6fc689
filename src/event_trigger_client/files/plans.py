"""Shows the plan of a set to people: what is created, changed and removed, and when it fires."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from event_trigger_client.files.reading import SetFile

Plan = Mapping[str, Any]
_LONGEST_VALUE = 70
_COUNTED = {  # what a plan would do, and what it has done
    "create": ("to create", "created"),
    "update": ("to change", "changed"),
    "adopt": ("to take over", "taken over"),
    "remove": ("to remove", "removed"),
}
_SHOWN_ONCE = ("secret", "hook_url", "hook_secret")


class Line(NamedTuple):
    """A line of a plan; `sign` tells what happens, and is empty for details of the line before."""

    sign: str
    text: str


def has_changes(plan: Plan) -> bool:
    return any(plan[one] for one in ("create", "update", "adopt", "remove"))


def counts_of(plan: Plan, *, is_done: bool = False) -> str:
    """Counts members in words: `2 to create, 1 to change, 5 unchanged`."""
    counted = [f"{len(plan[one])} {words[is_done]}" for one, words in _COUNTED.items() if plan[one]]
    return ", ".join([*counted, f"{plan['unchanged']} unchanged"])


def lines_of(plan: Plan, file: SetFile) -> Iterator[Line]:
    """Describes each member of a plan; values from the environment are not shown."""
    for one in plan["create"]:
        yield Line("+", f"{_named(one)}{_next(one)}")
    for one in plan["update"]:
        yield Line("~", f"{_named(one)}{_next(one)}")
        for change in one["changes"]:
            yield Line("", _change(change, one, file))
    for one in plan["adopt"]:
        yield Line("=", f"{_named(one)}  made by hand, exactly so: it becomes the set's")
    for one in plan["remove"]:
        yield Line("-", _named(one))
    for one in plan["moves"]:
        name = one["key"] or f"id {one['id']}"
        instants = f"{one['from'] or 'none'} → {one['to'] or 'none'}"
        yield Line("!", f"trigger {name}  next {instants}, by the dates of a calendar")


def _named(member: Mapping[str, Any]) -> str:
    return f"{member['kind']} {member['key'] or member['id']}"


def _next(member: Mapping[str, Any]) -> str:
    at = member.get("next_fire_at")
    return "" if at is None else f"  next {at}"


def _change(change: Mapping[str, Any], member: Mapping[str, Any], file: SetFile) -> str:
    names = file.names_at(change["pointer"])
    place = change["pointer"].removeprefix(f"#/{member['kind']}s/{member['key']}/")
    place = place.removeprefix("details/") or "all of it"
    if not names:
        return f"{place}: {_shown(change['from'])} → {_shown(change['to'])}"
    hidden = "nothing" if change["from"] is None else "another value"
    return f"{place}: {hidden} → {', '.join(f'${{{one}}}' for one in names)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def hidden_plan(plan: Plan, file: SetFile) -> dict[str, Any]:
    """Copies a plan without values from the environment, and without what is shown once."""
    hidden = {one: plan[one] for one in plan}
    for kind in ("create", "update"):
        hidden[kind] = [
            {name: None if name in _SHOWN_ONCE else value for name, value in one.items()}
            for one in plan[kind]
        ]
    for one in hidden["update"]:
        one["changes"] = [_hidden(change, file) for change in one["changes"]]
    return hidden


def _hidden(change: Mapping[str, Any], file: SetFile) -> Mapping[str, Any]:
    names = file.names_at(change["pointer"])
    if not names:
        return change
    before = None if change["from"] is None else "********"
    return {**change, "from": before, "to": " ".join(f"${{{one}}}" for one in names)}


def secrets_in(plan: Plan) -> list[tuple[str, str, str]]:
    """Lists what an applied plan shows once: the member, the name of the secret, and the secret."""
    members: Sequence[Mapping[str, Any]] = [*plan["create"], *plan["update"]]
    return [
        (_named(one), name, one[name]) for one in members for name in _SHOWN_ONCE if one.get(name)
    ]


def warnings_in(plan: Plan) -> list[str]:
    members: Sequence[Mapping[str, Any]] = [*plan["create"], *plan["update"]]
    return [f"{_named(one)}: {warning}" for one in members for warning in one["warnings"]]
