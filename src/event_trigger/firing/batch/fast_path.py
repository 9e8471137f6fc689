"""Answers plain calls of `POST /triggers/trigger-batch` outside FastAPI.

A plain batch has no Idempotency-Key of its own, and a body that is a batch. The operation of
FastAPI answers all others.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import RESOLVED_FOR_SECONDS, resolve_principal
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope as AuthScope
from event_trigger.db.engine import is_outage
from event_trigger.db.transactions import Transactions
from event_trigger.deliveries.http.hops import HOPS_HEADER
from event_trigger.errors import Problem
from event_trigger.events.source import caller_source
from event_trigger.firing.batch.body import keep_read, read_batch
from event_trigger.firing.batch.calls import Answer, BatchFirer
from event_trigger.firing.batch.schemas import CallRefused, SentCalls, TriggerBatch
from event_trigger.firing.rate_limits import RateLimits
from event_trigger.web.answers import ReadyAnswer
from event_trigger.web.cpu_bound import CpuBound
from event_trigger.web.fast_paths import plain_headers, read_body, reading_again
from event_trigger.web.problems import in_place
from event_trigger.web.request_head import client_address

_PATH = "/triggers/trigger-batch"
_HOPS_HEADER, _ONE_DIGIT = HOPS_HEADER.encode(), re.compile(rb"[0-9]")
_JSON_TYPE = b"application/json"


@dataclass(frozen=True, slots=True)
class BatchFastPath:
    credentials: CredentialCache
    transactions: Transactions
    rate_limits: RateLimits
    cpu_bound: CpuBound

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a plain batch after the commit of its events; see web/fast_paths.py."""
        began, hops = time.monotonic(), _hops_of_plain(scope)
        principal = None if hops is None else await self._caller(scope)
        if hops is None or principal is None:
            return receive
        body = await read_body(receive)
        if time.monotonic() - began > RESOLVED_FOR_SECONDS:
            principal = await self._caller(scope)
        calls = None if body is None else await _calls_in(scope, body)
        if principal is None or calls is None:
            return reading_again(receive, body)
        source = caller_source(principal, client_address(scope))
        async with (
            self.cpu_bound.slot(principal.user_id, "batches"),
            self.transactions.begin() as session,
        ):
            firer = BatchFirer(session, self.rate_limits, principal, hops, source)
            answers = await firer.fire(calls)
        return _answered(answers)

    async def _caller(self, scope: Scope) -> Principal | None:
        """Returns the caller, who may fire triggers of one project; else the operation refuses."""
        try:
            principal = await resolve_principal(scope, self.credentials)
        except Problem:
            return None
        except Exception as error:
            if not is_outage(error):
                raise
            return None
        if principal is None or principal.project_id is None:
            return None
        return principal if AuthScope.TRIGGERS_FIRE in principal.scopes else None


def _hops_of_plain(scope: Scope) -> int | None:
    """Reads the hops that led to a plain batch; None for any other request."""
    if scope["type"] != "http" or scope["path"] != _PATH:
        return None
    headers = plain_headers(scope)
    if headers is None or b"idempotency-key" in headers:
        return None
    hops = headers.get(_HOPS_HEADER, b"0")
    is_plain = headers.get(b"content-type") == _JSON_TYPE and _ONE_DIGIT.fullmatch(hops)
    return int(hops) if is_plain else None


async def _calls_in(scope: Scope, body: bytes) -> SentCalls | None:
    """Reads the calls of a batch; keeps what was read for the operation if it is no batch."""
    try:
        read = await read_batch(body)
        return TriggerBatch.model_validate(read).calls
    except json.JSONDecodeError as error:
        keep_read(scope, error)
    except ValidationError:
        keep_read(scope, read)
    return None


def _answered(answers: Sequence[Answer]) -> Response:
    """Writes what `BatchResults` would; a model of each result takes ten times as long."""
    results = ",".join(
        CallRefused(problem=in_place(one)).model_dump_json()
        if isinstance(one, Problem)
        else f'{{"event_id":{one.event_id}}}'
        for one in answers
    )
    body = f'{{"results":[{results}]}}'.encode()
    length = b"content-length", b"%d" % len(body)
    return ReadyAnswer(body, [length, (b"content-type", _JSON_TYPE)])
