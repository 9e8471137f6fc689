"""Plans and applies files: the service compares, and takes a plan as a whole or not at all."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from event_trigger_client.errors import Problem, Unreachable
from event_trigger_client.files.plans import has_changes
from event_trigger_client.files.problems import told
from event_trigger_client.files.reading import SetFile
from event_trigger_client.synchronous.client import Client

Plan = Mapping[str, Any]
_STALE = 412
_TRIES = 3
_ABOUT_STALE = (
    "Something has changed since this plan was made, so it is stale. Plan again, and look at what"
    " it says now."
)


class Refused(Exception):
    """The service has refused a file, and nothing was written; `lines` say what and where."""

    def __init__(self, lines: list[str], *, is_stale: bool = False) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.is_stale = is_stale


class Applied(NamedTuple):
    """A file that was applied; `plan` is None if a later read had to show it."""

    plan: Plan | None


def plan_file(client: Client, file: SetFile, *, prune: bool) -> Plan:
    """Asks for the plan of a file; raises Refused."""
    return _put(client, file, dry_run=True, prune=prune)


def apply_plan(client: Client, file: SetFile, plan: Plan, *, prune: bool) -> Applied:
    """Applies the very plan that was shown; raises Refused, or Unreachable.

    1. Sends the digest of the plan, so that a second attempt cannot apply it twice.
    2. If the answer is lost, plans again: nothing is left to do if the plan was applied.
    3. If all is as it was before, tries again. An attempt that was still running makes that stale.
    """
    digest = f'"{plan["digest"]}"'
    lost: Unreachable | None = None
    for _ in range(_TRIES):
        try:
            return Applied(_put(client, file, prune=prune, if_match=digest))
        except Unreachable as error:
            if not error.is_sent:
                raise
            lost = error
        except Refused as refused:
            if lost is None or not refused.is_stale:
                raise
        now = plan_file(client, file, prune=prune)
        if not has_changes(now):
            return Applied(None)
        if now["digest"] != plan["digest"]:
            raise Refused([_ABOUT_STALE], is_stale=True)
    assert lost is not None
    raise lost


def _put(client: Client, file: SetFile, **options: Any) -> Plan:
    try:
        return client.sets.put(file.set_name, file.body, **options)
    except Problem as problem:
        if problem.status not in {409, _STALE, 413, 422}:
            raise
        raise Refused(_lines(problem, file), is_stale=problem.status == _STALE) from None


def _lines(problem: Problem, file: SetFile) -> list[str]:
    """Names the lines of the file that a problem is about."""
    if problem.status == _STALE:
        return [_ABOUT_STALE]
    placed = [
        told(file.name, file.place_of(one.pointer), one.detail)
        for one in problem.errors
        if one.pointer is not None
    ]
    return placed or [problem.detail or problem.title]
