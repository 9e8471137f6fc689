"""Lets an operation take an `Idempotency-Key`: one of these in the `dependencies` of its route.

They come last there, after the checks of scopes: a caller who may not call sees no kept answer. The
operation does its work in the request's session (`SessionDep`), which keeps its answer.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.db.engine import Sessions
from event_trigger.idempotency.keeping import Keeping
from event_trigger.idempotency.repository import KeyedCall
from event_trigger.web.answers import keep_answer
from event_trigger.web.dependencies import SessionDep, SessionsDep, app_state
from event_trigger.web.request_head import refuse_repeated
from event_trigger.web.schemas import PathId, Text

NOBODYS = 0  # the owner of answers to calls without a login
_NO_CALLER = (None, None)
KEY_HEADER = "Idempotency-Key"
KeyHeader = Annotated[
    Text | None,
    Header(
        alias=KEY_HEADER,
        min_length=1,
        max_length=255,
        description="Within 48 hours, the same key with the same body does this once, and gets the"
        " first answer again, with `Idempotent-Replayed: true`. A key counts for your user or API"
        " key, and for this path. Take a new one, such as a UUID, for each thing to do.",
        examples=["5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11"],
    ),
]


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """The parts of a request with an `Idempotency-Key`; without one, nothing happens."""

    request: Request
    session: AsyncSession
    sessions: Sessions
    key: str | None

    async def keep_for(self, principal: Principal, *, owner_id: int) -> None:
        """Answers a repeated call, or has the answer kept among those of the owner."""
        caller = (principal.user_id, principal.key_id)
        await self._keep(caller, owner_id, principal.scopes, principal.trigger_ids)

    async def keep_for_nobody(self) -> None:
        """Does the same for callers without a login, who share their keys.

        None of them reads another's answer: that takes the same body, with the same password.
        """
        await self._keep(_NO_CALLER, NOBODYS)

    async def _keep(
        self,
        caller: tuple[object, object],
        owner_id: int,
        scopes: frozenset[str] = frozenset(),
        trigger_ids: frozenset[int] | None = None,
    ) -> None:
        if self.key is None:
            return
        scope = self.request.scope
        named = json.dumps([*caller, scope["method"], scope["path"], self.key])
        fingerprints = app_state(self.request).vault.fingerprints(await _content_of(self.request))
        digest = hashlib.sha256(named.encode()).digest()
        keeping = Keeping(
            self.session, KeyedCall(owner_id, digest, fingerprints, scopes, trigger_ids)
        )
        await keeping.look(self.sessions)
        keep_answer(self.request, keeping.keep)


async def _content_of(request: Request) -> bytes:
    """Returns the query and the body; JSON is the same in any order and spacing, but in a batch."""
    body = await request.body()
    # an operation without a body looks at none, and a batch of calls is read in its own way
    with suppress(json.JSONDecodeError, TypeError):
        body = json.dumps(await request.json(), sort_keys=True).encode()
    return bytes(request.scope["query_string"]) + b"\n" + body


async def get_keyed_request(
    request: Request, session: SessionDep, sessions: SessionsDep, idempotency_key: KeyHeader = None
) -> KeyedRequest:
    refuse_repeated(request, KEY_HEADER)
    return KeyedRequest(request, session, sessions, idempotency_key)


KeyedRequestDep = Annotated[KeyedRequest, Depends(get_keyed_request, scope="function")]


async def keep_in_project(keyed: KeyedRequestDep, principal: PrincipalDep) -> None:
    await keyed.keep_for(principal, owner_id=principal.one_project_id)


async def keep_in_named_project(
    keyed: KeyedRequestDep, principal: PrincipalDep, project_id: PathId
) -> None:
    await keyed.keep_for(principal, owner_id=project_id)


async def keep_for_user(keyed: KeyedRequestDep, principal: PrincipalDep) -> None:
    await keyed.keep_for(principal, owner_id=principal.user_id)


async def keep_for_new_user(keyed: KeyedRequestDep) -> None:
    await keyed.keep_for_nobody()


IDEMPOTENT = Depends(keep_in_project, scope="function")  # in the project that the call happens in
IDEMPOTENT_IN_NAMED_PROJECT = Depends(keep_in_named_project, scope="function")
IDEMPOTENT_FOR_USER = Depends(keep_for_user, scope="function")
IDEMPOTENT_FOR_NEW_USER = Depends(keep_for_new_user, scope="function")
