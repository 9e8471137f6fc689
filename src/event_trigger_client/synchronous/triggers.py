"""Triggers: made, changed, fired, paused, explained."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from event_trigger_client.answers import Fired, fired
from event_trigger_client.requests import Name, headers_of, new_idempotency_key
from event_trigger_client.schedules import Schedule, written
from event_trigger_client.synchronous.resource import Resource
from event_trigger_client.types.changes import ActionResult, BatchResult
from event_trigger_client.types.reports import (
    Account,
    Explanation,
    HookRefusal,
    Preview,
    TriggerHistory,
    Upcoming,
)
from event_trigger_client.types.triggers import Trigger


class Triggers(Resource):
    """`/triggers`; each is named by its id (a number) or its key (a text)."""

    collection = "triggers"

    def list(self, **filters: Any) -> Iterator[Trigger]:
        """Yields triggers, newest first, page by page; `destination` takes a key, too."""
        for one in self._calls.pages("/triggers", self._named(filters)):
            yield one

    def get(self, trigger: Name) -> Trigger:
        answer: Trigger = self._call("GET", trigger)
        return answer

    def create(
        self,
        body: Schedule | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Trigger:
        """Makes a trigger of a schedule and of fields such as `key`, `payload`, `destinations`."""
        answer: Trigger = self._create("/triggers", _body(body, fields), idempotency_key)
        return answer

    def put(
        self,
        trigger: Name,
        body: Schedule | Mapping[str, Any],
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> Trigger:
        """Makes the trigger of this key, or replaces it; the same content again changes nothing."""
        headers = headers_of(if_match=if_match)
        answer: Trigger = self._call("PUT", trigger, json=_body(body, fields), headers=headers)
        return answer

    def patch(
        self,
        trigger: Name,
        changes: Mapping[str, Any] | None = None,
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> Trigger:
        """Changes some fields (JSON Merge Patch): what is not named stays."""
        answer: Trigger = self._patch(trigger, {**(changes or {}), **fields}, if_match)
        return answer

    def delete(self, trigger: Name, *, if_match: str | None = None) -> None:
        self._call("DELETE", trigger, headers=headers_of(if_match=if_match))

    def fire(
        self,
        trigger: Name,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Fired:
        """Fires a trigger once, however often the call has to be repeated."""
        return self._fire(trigger, "trigger", payload, idempotency_key)

    def test(
        self,
        trigger: Name,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Fired:
        """Makes a test event, also of a paused trigger."""
        return self._fire(trigger, "test", payload, idempotency_key)

    def _fire(
        self, trigger: Name, verb: str, payload: Mapping[str, Any] | None, key: str | None
    ) -> Fired:
        response = self._calls.send(
            "POST",
            self._path(trigger, verb),
            json=None if payload is None else written(payload),
            idempotency_key=key or new_idempotency_key(),
        )
        return fired(response)

    def fire_batch(
        self, calls: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Sequence[BatchResult]:
        """Fires up to 1,000 times in one call; each has a `trigger`, and may have a `payload`.

        Each result has an `event_id` or a `problem`, in the order of the calls.
        """
        body = {"calls": written([*calls])}
        answer = self._create("/triggers/trigger-batch", body, idempotency_key)
        results: Sequence[BatchResult] = answer["results"]
        return results

    def pause(self, trigger: Name) -> Trigger:
        answer: Trigger = self._do(trigger, "pause")
        return answer

    def resume(self, trigger: Name) -> Trigger:
        answer: Trigger = self._do(trigger, "resume")
        return answer

    def act(self, action: str, *, idempotency_key: str | None = None, **body: Any) -> ActionResult:
        """Does one thing to many triggers: `ids` or a `filter`, and `dry_run`."""
        asked = {"action": action, **body}
        answer: ActionResult = self._create("/triggers/actions", asked, idempotency_key)
        return answer

    def schedule(self, trigger: Name, **params: Any) -> Preview:
        """Gives the next instants: `count`, `after`, `from_`, `until`."""
        answer: Preview = self._read(trigger, "schedule", params)
        return answer

    def preview(self, schedule: Schedule | Mapping[str, Any], *, count: int = 5) -> Preview:
        """Gives the next instants of a schedule that is stored nowhere."""
        details = schedule.details if isinstance(schedule, Schedule) else written(schedule)
        body = {"details": details, "count": count}
        answer: Preview = self._create("/schedules/preview", body, None)
        return answer

    def explain(self, trigger: Name, at: datetime | str) -> Explanation:
        """Says why there is, or is not, an event for an instant."""
        answer: Explanation = self._read(trigger, "explain", {"at": at})
        return answer

    def accounting(self, trigger: Name, **params: Any) -> Account:
        """Accounts for each planned instant between `since` and `until`."""
        answer: Account = self._read(trigger, "accounting", params)
        return answer

    def versions(self, trigger: Name) -> TriggerHistory:
        """Gives its schedules so far, and who changed what."""
        answer: TriggerHistory = self._read(trigger, "versions")
        return answer

    def refusals(self, trigger: Name) -> Sequence[HookRefusal]:
        """Gives the last calls of its hook that were refused."""
        answer: Sequence[HookRefusal] = self._read(trigger, "refusals")
        return answer

    def rotate_hook(
        self, trigger: Name, *, keep_old: bool = False, idempotency_key: str | None = None
    ) -> Trigger:
        """Makes another URL and secret; `keep_old` lets the old ones count for 24 h more."""
        path = f"/triggers/{self.id_of(trigger)}/hook/rotate"
        answer: Trigger = self._create(path, {"keep_old": keep_old}, idempotency_key)
        return answer

    def upcoming(self, **params: Any) -> Upcoming:
        """Gives the next instants of all triggers: `from_`, `until`, `step`, `limit`."""
        answer: Upcoming = self._calls.request("GET", "/upcoming", params=params)
        return answer


def _body(body: Schedule | Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    whole = body.body() if isinstance(body, Schedule) else body
    return {name: written(value) for name, value in {**whole, **fields}.items()}
