"""Answers calls of hooks: fires their trigger, replies to questions, keeps refusals on record."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from event_trigger.auth.credential_cache import hash_credential
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import HOPS_HEADER, parse_hops
from event_trigger.errors import Invalid, NotFound, Problem, Unavailable
from event_trigger.firing.fire import Call, CallAnswer, SentBody
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.pings import PingAnswer
from event_trigger.firing.rate_limits import RateLimits, fire_within_limits, ping_within_limits
from event_trigger.firing.refusals import HookChanged, Paused
from event_trigger.hooks.acceptance import Acceptance, refuse_long_query, refuse_prefetch
from event_trigger.hooks.bodies.reading import read_body
from event_trigger.hooks.known_hooks import CalledHook, KnownHook, KnownHooks, TokenLookup
from event_trigger.hooks.large_bodies import LargeBodies, is_large
from event_trigger.hooks.questions import reply_to_challenge, reply_to_question
from event_trigger.hooks.refusals.records import RefusalLog, RefusedCalls
from event_trigger.hooks.requests import (
    NOT_FIRED_WHILE_PAUSED,
    WOULD_FIRE,
    HookRequest,
    RepeatedHeader,
    Reply,
)
from event_trigger.hooks.signatures.refused import RefusalReason, SignatureRefused
from event_trigger.hooks.sources import source_of
from event_trigger.idempotency.refusals import StillRunning
from event_trigger.models import HookMethod
from event_trigger.telemetry import HOOK_REFUSALS
from event_trigger.triggers.schedule.pings import Ping
from event_trigger.vault import Vault

_Outcome = CallAnswer | PingAnswer | Reply | Problem
for _reason in RefusalReason:  # zeros, by which a first one shows as a change
    HOOK_REFUSALS.labels(_reason)


@dataclass(frozen=True, slots=True)
class HookCalls:
    """Answers calls of hooks; the database's clock judges their signed times."""

    known: KnownHooks
    lookup: TokenLookup
    vault: Vault
    clock: DatabaseClock
    group_commit: GroupCommit
    rate_limits: RateLimits
    refusals: RefusalLog
    large_bodies: LargeBodies

    async def answer(self, token: str, request: HookRequest) -> CallAnswer | PingAnswer | Reply:
        """Answers a call, after the commit of its event if it makes one.

        Raises NotFound for an unknown token. Every other problem is put on record for the trigger's
        owner; a paused trigger is one too, but its sender is not told to try again.
        """
        token_hash = hash_credential(token)
        known = self.known.get(token_hash)
        remembered = None if known is None else known.hook
        outcome: _Outcome | None = None
        if known is not None and remembered is not None:
            outcome = await self._outcome_of(remembered, request, known.configured_at)
            if isinstance(outcome, CallAnswer | PingAnswer):
                return outcome
        hook = await self._look_up(token_hash)
        is_same = remembered is not None and hook.is_same_as(remembered)
        if outcome is None or isinstance(outcome, HookChanged) or not is_same:
            outcome = await self._outcome_of(hook, request)
        if isinstance(outcome, CallAnswer | PingAnswer):
            self._learn(token_hash, hook, known, outcome)
        return await self._settle(hook, request, outcome)

    async def record_unread(
        self, token: str, problem: Problem, *, method: str, address: str | None
    ) -> None:
        """Puts a call on record whose body was refused unread; none of an unknown token."""
        row = await self.lookup.find(hash_credential(token))
        if row is not None:
            trigger = OwnedId(row.owner_id, row.trigger_id)
            await self._record(trigger, problem, method, address, status=problem.status)

    async def _look_up(self, token_hash: bytes) -> CalledHook:
        row = await self.lookup.find(token_hash)
        if row is None:
            raise NotFound
        return CalledHook(row, self.vault)

    def _learn(
        self,
        token_hash: bytes,
        hook: CalledHook,
        known: KnownHook | None,
        answer: CallAnswer | PingAnswer,
    ) -> None:
        at = answer.configured_at
        if at is not None:  # else the answer was given before
            self.known.learn(token_hash, hook, before=known, configured_at=at)

    async def _settle(
        self, hook: CalledHook, request: HookRequest, outcome: _Outcome
    ) -> CallAnswer | PingAnswer | Reply:
        """Returns an answer; raises a problem, which is on record then."""
        caller = request.method, request.address
        match outcome:
            case Paused():
                status = NOT_FIRED_WHILE_PAUSED.status
                await self._record(hook.trigger, outcome, *caller, status=status)
                return NOT_FIRED_WHILE_PAUSED
            case NotFound() | StillRunning() | Unavailable():
                raise outcome
            case Problem():
                await self._record(hook.trigger, outcome, *caller, status=outcome.status)
                raise outcome
        return outcome

    async def _outcome_of(
        self, hook: CalledHook, request: HookRequest, configured_at: datetime | None = None
    ) -> _Outcome:
        try:
            return await self._answer(hook, request, configured_at)
        except Problem as problem:
            return problem

    async def _answer(
        self, hook: CalledHook, request: HookRequest, configured_at: datetime | None
    ) -> CallAnswer | PingAnswer | Reply:
        """Decides in an order by which strangers learn nothing about the trigger.

        1. Questions that nobody signs: OPTIONS, HEAD, and `hub.challenge`. A long query is refused.
        2. The method, and the signature over the body.
        3. The id that makes repetitions one event, and the body.
        4. Questions that are signed as calls are; anything else fires.
        """
        accepts, now = hook.accepts, await self.clock.now()
        refuse_long_query(request)
        if accepts.takes_pings and request.method != "OPTIONS":
            return await self._ping(hook, request, configured_at, now)
        if request.signal is not None:
            raise NotFound
        if (reply := _reply_unsigned(accepts, request)) is not None:
            return reply
        accepts.check_method(request.method)
        refuse_prefetch(request)
        read = partial(_read, hook, request, now)
        if is_large(request):
            key, body = await self.large_bodies.read(hook.trigger.owner_id, read)
        else:
            key, body = read()
        reply = reply_to_question(accepts, request, {} if body is None else body.value)
        if reply is not None:
            return reply
        call = Call(
            hook.trigger,
            body,
            is_test=False,
            idempotency_key=key,
            compares_body=False,
            hops=parse_hops(request.all(HOPS_HEADER)),
            configured_at=configured_at,
            source=source_of(accepts, request),
        )
        return await fire_within_limits(self.group_commit, self.rate_limits, call, caller=None)

    async def _ping(
        self, hook: CalledHook, request: HookRequest, configured_at: datetime | None, now: datetime
    ) -> PingAnswer | Reply:
        """Pings a heartbeat: verifies the call as any other, and does not read its body.

        A HEAD pings as a GET does. A repeated id of the sender is another ping.
        """
        ping, accepts = Ping.of(request.signal), hook.accepts
        if ping is None:
            raise NotFound
        if (reply := reply_to_challenge(accepts, request)) is not None:
            return reply
        accepts.check_method(HookMethod.GET if request.method == "HEAD" else request.method)
        refuse_prefetch(request)
        check = partial(_check, hook, request, now)
        if is_large(request):
            await self.large_bodies.read(hook.trigger.owner_id, check)
        else:
            check()
        call = Call(
            hook.trigger,
            None,
            is_test=False,
            idempotency_key=None,
            compares_body=False,
            hops=parse_hops(request.all(HOPS_HEADER)),
            configured_at=configured_at,
            source=source_of(accepts, request),
            ping=ping,
        )
        return await ping_within_limits(self.group_commit, self.rate_limits, call)

    async def _record(
        self, trigger: OwnedId, problem: Problem, method: str, address: str | None, *, status: int
    ) -> None:
        now = await self.clock.now()
        calls = RefusedCalls(status, method, address, 1, now)
        reason = _reason_of(problem)
        self.refusals.count(trigger, reason, calls)
        HOOK_REFUSALS.labels(reason).inc()


def _read(
    hook: CalledHook, request: HookRequest, now: datetime
) -> tuple[str | None, SentBody | None]:
    """Verifies a call, and only then reads its id and its body."""
    _check(hook, request, now)
    key, json_field = hook.verifier.idempotency_key(request), hook.accepts.json_field
    return key, read_body(request.body, request.content_type, json_field=json_field)


def _check(hook: CalledHook, request: HookRequest, now: datetime) -> None:
    """Verifies a call; raises SignatureRefused."""
    hook.verifier.check(hook.secrets.at(now), request, now)


def _reply_unsigned(accepts: Acceptance, request: HookRequest) -> Reply | None:
    match request.method:
        case "OPTIONS":
            is_validation = bool(request.all("webhook-request-origin"))
            return accepts.reply_to_options(is_validation=is_validation)
        case "HEAD":  # it asks what a GET would answer, and fires nothing
            accepts.check_method(HookMethod.GET)
            return WOULD_FIRE
    return reply_to_challenge(accepts, request)


def _reason_of(problem: Problem) -> str:
    """Names the reason of a refusal for the trigger's owner, out of a closed set."""
    if isinstance(problem, SignatureRefused):
        return problem.reason
    if isinstance(problem, RepeatedHeader) or type(problem) is Invalid:  # or of details.schema
        is_header = any(one.source == "parameter" for one in problem.errors)
        return "invalid_header" if is_header else "invalid_payload"
    return problem.slug.replace("-", "_")
