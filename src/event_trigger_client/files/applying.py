"""Plans and applies files: the service compares, and takes a plan as a whole or not at all."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from event_trigger_client import Client
from event_trigger_client.errors import Problem, Unreachable
from event_trigger_client.files.plans import has_changes
from event_trigger_client.files.problems import told
from event_trigger_client.files.reading import SetFile

Plan = Mapping[str, Any]
_STALE = 412


class Refused(Exception):
    """The service has refused a file, and nothing was written; `lines` say what and where."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Applied(NamedTuple):
    """What was applied. `plan` is None if the answer was lost, and a look has shown that it was."""

    plan: Plan | None


def plan_file(client: Client, file: SetFile, *, prune: bool) -> Plan:
    """Asks for the plan of a file; raises Refused."""
    return _put(client, file, params={"dry_run": True, "prune": prune})


def apply_plan(client: Client, file: SetFile, plan: Plan, *, prune: bool) -> Applied:
    """Applies the very plan that was shown; raises Refused.

    A lost answer is looked into: the plan that follows is empty if this one was applied.
    """
    headers = {"If-Match": f'"{plan["digest"]}"'}
    try:
        return Applied(_put(client, file, params={"prune": prune}, headers=headers))
    except Unreachable as error:
        if not error.is_sent:
            raise
    if has_changes(plan_file(client, file, prune=prune)):
        raise Refused(["The connection broke, and the plan was not applied. Try again."])
    return Applied(None)


def _put(client: Client, file: SetFile, **options: Any) -> Plan:
    try:
        plan: Plan = client.request(
            "PUT", f"/sets/{quote(file.set_name, safe='')}", json=file.body, **options
        )
    except Problem as problem:
        if problem.status not in {409, _STALE, 413, 422}:
            raise
        raise Refused(_lines(problem, file)) from None
    return plan


def _lines(problem: Problem, file: SetFile) -> list[str]:
    """Names the lines of the file that a problem is about."""
    if problem.status == _STALE:
        return [
            "Something has changed since this plan was made, so it is stale. Plan again, and"
            " look at what it says now."
        ]
    placed = [
        told(file.name, file.place_of(one.pointer), one.detail)
        for one in problem.errors
        if one.pointer is not None
    ]
    return placed or [problem.detail or problem.title]
