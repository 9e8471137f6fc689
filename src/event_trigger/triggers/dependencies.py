"""Finds the trigger that a request names, and shows triggers as the caller may see them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import Depends, Request, Response

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.errors import NotFound
from event_trigger.models import Trigger, TriggerType, Verify
from event_trigger.triggers.configuration import etag_of
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.hook_secrets import PUBLIC_KEYS
from event_trigger.triggers.moved_on import MovedOn
from event_trigger.triggers.references import Calendars, TriggerPorts
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.schedules import InstantRange
from event_trigger.triggers.schemas.reading import (
    ShownHook,
    pause_warning,
    read_trigger,
    written_trigger,
)
from event_trigger.triggers.schemas.responses import TriggerRead, TriggerWritten
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.written import verify_of, write_trigger
from event_trigger.web.compression import keep_uncompressed
from event_trigger.web.cpu_bound import taking_turns
from event_trigger.web.dependencies import SessionDep, SessionsDep, app_state
from event_trigger.web.entity_tags import Preconditions, not_modified
from event_trigger.web.request_head import base_url
from event_trigger.web.schemas import PathId, PathKey
from event_trigger.web.sent_back import SentBack

READ_AT_ONCE = 10  # triggers: a cron line in words takes up to half a millisecond
_HEARTBEAT = TriggerType.HEARTBEAT


async def owned_id(
    principal: Principal, row_id: int, get_owner: Callable[[int], Awaitable[int | None]]
) -> OwnedId:
    """Pairs an id with its project; for a caller of all projects, `get_owner` finds that.

    Other projects' ids are looked up in the caller's own, so they are not found. Raises NotFound.
    """
    owner_id = principal.project_id or await get_owner(row_id)
    if owner_id is None:
        raise NotFound
    return OwnedId(owner_id, row_id)


async def get_trigger_key(
    trigger_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """Raises NotFound for a trigger that does not exist, or that the API key is not good for.

    Closes its session at once: a call waits for a commit, which needs a connection.
    """
    if not principal.may_see(trigger_id):
        raise NotFound
    async with sessions() as session:
        return await owned_id(principal, trigger_id, Triggers(session).get_owner)


async def get_trigger_by_key(
    key: PathKey, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """Finds the trigger with a key in the caller's project; raises NotFound, and NoSingleProject.

    Closes its session at once, as `get_trigger_key` does.
    """
    owner_id = principal.one_project_id
    async with sessions() as session:
        trigger_id = await Triggers(session).get_id(owner_id, key)
    if trigger_id is None or not principal.may_see(trigger_id):
        raise NotFound
    return OwnedId(owner_id, trigger_id)


async def get_hooks(request: Request) -> HookKeeper:
    return app_state(request).hooks


HooksDep = Annotated[HookKeeper, Depends(get_hooks)]


async def get_calendars(request: Request) -> Calendars:
    return app_state(request).calendars


CalendarsDep = Annotated[Calendars, Depends(get_calendars)]


async def get_ports(hooks: HooksDep, calendars: CalendarsDep) -> TriggerPorts:
    return TriggerPorts(hooks, calendars)


PortsDep = Annotated[TriggerPorts, Depends(get_ports)]


class Beside(NamedTuple):
    """All that is read to show some triggers; `now` is the database's time, for heartbeats."""

    hooks: Mapping[int, ShownHook]
    now: datetime | None


async def write_all(
    triggers: Sequence[TriggerRow], beside: Beside, *, summary: bool
) -> list[bytes]:
    """Writes triggers as a list shows them, without a connection: others have their turns."""
    return [
        write_trigger(one, beside.hooks.get(one.id), summary=summary, now=beside.now)
        async for one in taking_turns(triggers, at_once=READ_AT_ONCE)
    ]


async def write_list(triggers: Sequence[TriggerRow], beside: Beside, *, summary: bool) -> bytes:
    return b"[%b]" % b",".join(await write_all(triggers, beside, summary=summary))


@dataclass(frozen=True, slots=True)
class TriggerReader:
    """Shows triggers as the caller may see them: hook URLs only to those who may fire.

    The response to a single one has its `ETag`.
    """

    session: ReadSession
    hooks: HookKeeper
    base_url: str
    may_fire: bool
    request: Request | None = None  # None in a stream, as the response
    response: Response | None = None

    async def read(self, trigger: Trigger) -> TriggerRead:
        if self.response is not None:
            self.response.headers["ETag"] = etag_of(trigger)
        return (await self.read_all([trigger]))[0]

    async def read_resumed(self, trigger: Trigger, in_pause: InstantRange | None) -> TriggerRead:
        """Adds a warning about the instants that fell into the pause."""
        read = await self.read(trigger)
        if in_pause is not None:
            read.warnings.append(pause_warning(in_pause, trigger.next_fire_at))
        return read

    async def read_unless_known(
        self, trigger: Trigger, reading: Preconditions
    ) -> TriggerRead | Response:
        """Answers 304 to a client that has this configuration already."""
        tag = etag_of(trigger)
        return not_modified(tag) if reading.is_unmodified(tag) else await self.read(trigger)

    async def read_all(self, triggers: Sequence[Trigger]) -> list[TriggerRead]:
        hooks = await self._read_hooks({one.id: verify_in(one.details) for one in triggers})
        now = await self._now_for(triggers)
        return [
            read_trigger(one, hook=hooks.get(one.id), now=now)
            async for one in taking_turns(triggers, at_once=READ_AT_ONCE)
        ]

    async def write_unless_known(
        self, trigger: TriggerRow, reading: Preconditions
    ) -> bytes | Response:
        """Writes the answer that `read_unless_known` gives."""
        tag = etag_of(trigger)
        if reading.is_unmodified(tag):
            return not_modified(tag)
        if self.response is not None:
            self.response.headers["ETag"] = tag
        return (await self.write_all([trigger], summary=False))[0]

    async def write_all(self, triggers: Sequence[TriggerRow], *, summary: bool) -> list[bytes]:
        """Writes triggers as a list shows them."""
        return await write_all(triggers, await self.read_beside(triggers), summary=summary)

    async def read_beside(self, triggers: Sequence[TriggerRow]) -> Beside:
        hooks = await self._read_hooks({one.id: verify_of(one) for one in triggers})
        return Beside(hooks, await self._now_for(triggers))

    async def _now_for(self, triggers: Sequence[Trigger] | Sequence[TriggerRow]) -> datetime | None:
        """Reads the database's time, by which a heartbeat is late, if there is one."""
        if all(one.type != _HEARTBEAT for one in triggers):
            return None
        return await database_now(self.session)

    async def _read_hooks(self, kinds: Mapping[int, Verify | None]) -> dict[int, ShownHook]:
        """Reads hooks in one query, given their kinds by trigger id; None stands for no hook."""
        hooked = [trigger_id for trigger_id, verify in kinds.items() if verify is not None]
        shows_hooks = hooked and self.may_fire
        opened = await self.hooks.list_opened(self.session, hooked) if shows_hooks else {}
        if opened and self.request is not None:  # a token is a secret, and so is its URL
            keep_uncompressed(self.request)
        return {
            trigger_id: ShownHook(
                f"{self.base_url}/hooks/{one.token}",
                lacks_public_key=one.secret is None and kinds[trigger_id] in PUBLIC_KEYS,
            )
            for trigger_id, one in opened.items()
        }

    async def read_written(self, trigger: Trigger, made: HookSecrets | None) -> TriggerWritten:
        """Adds the secret of a hook that was just made."""
        read = await self.read(trigger)
        return written_trigger(read, hook_secret=None if made is None else made.secret)

    def checking(
        self, preconditions: Preconditions, body: SentBack | None = None
    ) -> Callable[[Trigger | None], Awaitable[None]]:
        """Makes the check of a locked trigger, or of None where there is none, before a change.

        It raises PreconditionFailed, and Invalid for read-only fields that are not as they are now.
        """

        async def check(trigger: Trigger | None) -> None:
            tag = None if trigger is None else etag_of(trigger)
            preconditions.check(tag)
            if body is not None and body.sent_back:
                has_tag = tag is not None and preconditions.has(tag)
                await self._check_sent_back(trigger, body, has_tag=has_tag)

        return check

    async def _check_sent_back(
        self, trigger: Trigger | None, body: SentBack, *, has_tag: bool
    ) -> None:
        if trigger is None:
            body.check_sent_back({})
            return
        [shown] = await self.read_all([trigger])
        moved_on = MovedOn(trigger, shown, body.sent_back, has_tag)
        body.check_sent_back(shown.model_dump(mode="json"), moved_on.was_shown)


async def get_reader(
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    hooks: HooksDep,
    response: Response,
) -> TriggerReader:
    may_fire = Scope.TRIGGERS_FIRE in principal.scopes
    return TriggerReader(session, hooks, base_url(request), may_fire, request, response)


ReaderDep = Annotated[TriggerReader, Depends(get_reader, scope="function")]
TriggerKeyDep = Annotated[OwnedId, Depends(get_trigger_key)]
TriggerByKeyDep = Annotated[OwnedId, Depends(get_trigger_by_key)]
