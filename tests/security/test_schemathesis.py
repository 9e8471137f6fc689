"""Compares the application with openapi.json, by all checks of schemathesis."""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    unsupported_method,
)
from sqlalchemy import make_url

from tests.security.world import INSTANT, inhabited, running_world
from tests.support.databases import fresh_database
from tests.support.document import described_api, operations_of
from tests.support.lending import Lending
from tests.support.putting_back import remember_in
from tests.support.receiver import receiving
from tests.support.services import ADA, ADMIN, token_of
from tests.support.streams import listening

T = TypeVar("T")

CONFIG = {
    "generation": {
        "max-examples": 15,
        "deterministic": True,
        "allow-x00": False,
        "database": "none",
    },
    "phases": {"examples": {"enabled": True}, "coverage": {"enabled": True}},
}
# operations with valid bodies that JSON Schema cannot describe: a 422 is right there
BEYOND_SCHEMA = {
    "register": "an e-mail address",
    "add_user": "an e-mail address",
    "reset_password": "a password that is none of the commonest",
    "update_me": "a project of one's own",
    "change_password": "the current password, a new one",
    "create_key": "triggers of one's own, an end in the future",
    "update_key": "scopes and triggers of one's own, an end in the future",
    "create_project": "a name that can be seen",
    "update_project": "a name that can be seen",
    "add_member": "the address of an account",
    "create_invitation": "an e-mail address",
    "accept_invitation": "an address and a password only without a login",
    "act_on_triggers": "either ids or a filter, tags or destinations as the action needs them",
    "act_on_deliveries": "either ids or a filter",
    "create_trigger": "a cron that matches something, destinations of one's own",
    "update_trigger": "what a patch is merged into",
    "replace_trigger": "the same type, destinations of one's own",
    "put_trigger_by_key": "a cron that matches something, destinations of one's own",
    "fire_trigger_by_key": "an Idempotency-Key that came with another body",
    "test_trigger_by_key": "an Idempotency-Key that came with another body",
    "fire_trigger": "an Idempotency-Key that came with another body",
    "fire_trigger_batch": "an Idempotency-Key that came with another body",
    "test_trigger": "an Idempotency-Key that came with another body",
    "list_upcoming": "an end after its beginning, by a year at most",
    "preview_schedule": "a cron that matches something, one beginning",
    "create_calendar": "dates that there are, or an iCalendar file, and a key that is free",
    "put_calendar": "dates that there are, or an iCalendar file",
    "get_holidays": "a country and years that are known",
    "get_holidays_of_region": "a region and years that are known",
    "create_destination": "an address that may be called, headers and a certificate that fit",
    "update_destination": "an address that may be called, headers and a certificate that fit",
    "replace_destination": "an address that may be called, headers and a certificate that fit",
    "put_destination_by_key": "an address that may be called, headers and a certificate that fit",
    "render_destination": "a template that fits its sample, a URL or a destination",
    "get_stats": "a `by` that fits the measure, few enough steps",
    "redeliver_exhausted": "an end after its beginning",
    "rotate_hook": "a secret of the kind that the hook has",
    "put_set": "a cron that matches something, an address that may be called, destinations there",
}
# operations whose valid input cannot be generated: a password, a token, an unused address, a member
NEVER_RIGHT = {
    *{"sign_in", "refresh_tokens", "start_session", "end_session", "reset_password"},
    *{"call_hook", "call_hook_by_get", "call_hook_by_put", "ping_hook", "ping_hook_by_get"},
    *{"add_member", "remove_member", "delete_invitation", "accept_invitation"},
    "cancel_delivery",  # the world's is delivered
}
# operations whose generated input is seldom right: an address, an empty project
RIGHT_BY_CHANCE = {"register", "add_user", "delete_project"}
# paths that another route matches too: a page that the document leaves out
BESIDE_OTHERS = {"accept_invitation", "reset_password", "start_session", "end_browser_session"}
ANSWERS_IN_PLACE = {"fire_trigger_batch"}  # a call that is not valid, so that the others fire
_ABOUT_METHODS = (allow_header_conformance, unsupported_method)
calls: Counter[str] = Counter()
answers: defaultdict[str, list[int]] = defaultdict(list)


class Elsewhere:
    """A thread with an event loop of its own, for a client that blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enters and leaves it there."""
        entered = self.run(manager.__aenter__())
        try:
            yield entered
        finally:
            self.run(manager.__aexit__(None, None, None))

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


@asynccontextmanager
async def prepared(server_url: str, template: str) -> AsyncIterator[str]:
    """Makes a world's database, a template of others; its receiver goes on listening."""
    async with fresh_database(server_url, template=template) as url, receiving() as receiver:
        async with inhabited(url, receiver) as world:
            for name in ("trigger_id", "event_id", "delivery_id", "key_id", "key", "name"):
                await world.id_of(name)
        await remember_in(url)
        yield str(make_url(url).database)


@asynccontextmanager
async def served(worlds: Lending) -> AsyncIterator[str]:
    """Serves a world that nothing has changed, and gives the URL."""
    async with worlds.lend(running_world, {}) as service, listening(service) as url:
        yield url


@pytest.fixture(scope="module")
def worlds(elsewhere: Elsewhere, server_url: str, template: str) -> Iterator[Lending]:
    with elsewhere.entered(prepared(server_url, template)) as name:
        lending = Lending(server_url, name)
        yield lending
        elsewhere.run(lending.close())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Keeps connections open, and looks for no proxy or password in the environment."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def url(elsewhere: Elsewhere, worlds: Lending, session: requests.Session) -> Iterator[str]:
    """A world for each operation: one that writes may delete resources of the next."""
    answers.clear()
    session.cookies.clear()
    with elsewhere.entered(served(worlds)) as found:
        yield found
    for operation_id, statuses in answers.items():
        if operation_id in RIGHT_BY_CHANCE:
            continue
        is_reached = any(status < 300 for status in statuses)
        assert is_reached is (operation_id not in NEVER_RIGHT), (operation_id, statuses)


schema = schemathesis.openapi.from_dict(
    described_api(), config=SchemathesisConfig.from_dict(CONFIG)
)


# hypothesis sees random numbers drawn during a test: by the service, in its thread
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@schema.parametrize()
@hypothesis.settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_described_is_what_is_done(
    case: Case[Any], url: str, session: requests.Session
) -> None:
    operation_id = case.operation.definition.raw["operationId"]
    is_admins = case.path.startswith(("/users", "/audit", "/projects/", "/metrics"))
    token = token_of(ADMIN if is_admins else ADA)
    assert case.meta is not None
    wrong = {place for place, one in case.meta.components.items() if one.mode.is_negative}
    is_query_right = ParameterLocation.QUERY not in wrong
    has_end = case.query.get("until") not in (None, "", [""])
    if operation_id == "stream_events" and (is_query_right or not has_end):
        case.query["until"] = INSTANT  # or it would have no end
    is_beyond_schema = (
        operation_id in BEYOND_SCHEMA
        or "cursor" in case.query  # which is opaque
        or "aggregate" in case.query  # which does not go with parameters of pages
        or {"since", "until"} <= case.query.keys()  # the second may be before the first
    )
    if ParameterLocation.HEADER not in wrong and case.headers:
        case.headers.pop("X-Project-ID", None)  # a project that the caller is no member of
        case.headers.pop("If-Match", None)  # a tag of nothing
        case.headers.pop("If-None-Match", None)  # which may forbid to replace anything
    is_absent = not is_query_right and any(one in ("", [""]) for one in case.query.values())
    calls[operation_id] += 1
    answer = case.call_and_validate(
        base_url=url,
        session=session,
        headers={"Authorization": f"Bearer {token}"},
        excluded_checks=[
            *([positive_data_acceptance] if is_beyond_schema else []),
            # it takes the schema of the stream's text for that of each message
            *([response_schema_conformance] if operation_id == "stream_events" else []),
            *(_ABOUT_METHODS if operation_id in BESIDE_OTHERS else []),
            *([negative_data_rejection] if operation_id in ANSWERS_IN_PLACE else []),
            # an unknown header is nothing wrong (RFC 9110, section 5.1), nor is a parameter
            # without a value, which counts as absent
            *(
                [negative_data_rejection]
                if wrong == {ParameterLocation.HEADER} or is_absent
                else []
            ),
        ],
        timeout=60,
    )
    if case.method.lower() == case.operation.method.lower():
        answers[operation_id].append(answer.status_code)


def test_every_exception_is_an_operation() -> None:
    known = {operation.id for operation in operations_of(schema.raw_schema)}

    assert BEYOND_SCHEMA.keys() <= known
    print(f"schemathesis, in this process: {calls.total()} calls at {len(calls)} operations")
