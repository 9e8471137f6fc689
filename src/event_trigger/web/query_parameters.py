"""Reads query strings strictly: refuses unknown and repeated parameters, and drops empty ones."""

import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, get_args
from urllib.parse import unquote_to_bytes, urlencode

from fastapi import Request, Response
from fastapi._compat import ModelField, field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import get_request_handler
from starlette.datastructures import QueryParams
from starlette.types import Scope

from event_trigger.errors import FieldError, Invalid
from event_trigger.web.invalid_requests import (
    LONGEST_NAME,
    MOST_ERRORS,
    body_type,
    invalid,
    invalid_request,
    nearest_name,
)
from event_trigger.web.routes import LazyRoute

MOST_PARAMETERS = 1000
_NOT_UTF8 = "This is not UTF-8. Write the text in UTF-8, and escape its bytes, such as %C3%A9."
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# an offset whose `+` was not escaped: in a query that is a space
_SPACED_OFFSET = re.compile(r"(.*\d:\d\d(?:\.\d+)?) (\d\d:?\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class QueryRules:
    """The parameters of an operation: all, those with one value, and those that are instants."""

    known: frozenset[str]
    single: frozenset[str]
    instants: frozenset[str]

    @classmethod
    def of(cls, dependant: Dependant) -> "QueryRules":
        fields = get_flat_params(Dependant(query_params=[*_query_params_of(dependant)]))
        kinds = {field.alias: field.field_info.annotation for field in fields}
        return cls(
            known=frozenset(kinds),
            single=frozenset(
                name for name, kind in kinds.items() if not field_annotation_is_sequence(kind)
            ),
            instants=frozenset(name for name, kind in kinds.items() if _holds_instant(kind)),
        )

    def errors_in(self, sent: Sequence[tuple[str, str]]) -> list[FieldError]:
        unknown = [*dict.fromkeys(name for name, _ in sent if name not in self.known)][:MOST_ERRORS]
        counts = Counter(name for name, value in sent if value and name in self.single)
        return [
            *(
                FieldError("parameter", one[:LONGEST_NAME], self._instead_of(one))
                for one in unknown
            ),
            *(
                FieldError("parameter", name, "This takes one value. Give it once.")
                for name, count in counts.items()
                if count > 1
            ),
        ]

    def _instead_of(self, name: str) -> str:
        if not self.known:
            return "This operation takes no query parameters. Leave it out."
        if nearest := nearest_name(name, self.known):
            return f"There is no such parameter. Did you mean '{nearest}'?"
        return f"There is no such parameter. Use one of these: {', '.join(sorted(self.known))}."

    def as_meant(self, sent: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Leaves out empty values, and gives offsets of instants their `+` back."""
        return [
            (name, _with_offset(value) if name in self.instants else value)
            for name, value in sent
            if value
        ]


def _query_params_of(dependant: Dependant) -> Iterator[ModelField]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_params_of(inner)


def _holds_instant(annotation: Any) -> bool:
    return annotation is datetime or any(map(_holds_instant, get_args(annotation)))


def _with_offset(instant: str) -> str:
    spaced = _SPACED_OFFSET.fullmatch(instant)
    return instant if spaced is None else f"{spaced[1]}+{spaced[2]}"


class StrictQueryRoute(LazyRoute):
    """A route that refuses parameters which it does not know; an empty one counts as absent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        rules = QueryRules.of(self.dependant)

        async def handle_strictly(request: Request) -> Response:
            if request.scope["query_string"] and (errors := _tidy_query(request.scope, rules)):
                await self._refuse(request, errors)
            return await handle(request)

        return handle_strictly

    async def _refuse(self, request: Request, errors: Sequence[FieldError]) -> NoReturn:
        """Raises Invalid, unless a dependency raises first, as for Unauthorized."""

        async def end(**_: object) -> NoReturn:
            raise invalid(errors)

        handle = get_request_handler(
            replace(self.dependant, call=end),
            self.body_field,
            embed_body_fields=self._embed_body_fields,
        )
        try:
            await handle(request)
        except RequestValidationError as error:
            inner = invalid_request(error.errors(), body_type(self))
            raise invalid([*errors, *inner.errors]) from None
        raise AssertionError


def _tidy_query(scope: Scope, rules: QueryRules) -> list[FieldError]:
    """Rewrites the query as it is meant, and returns its errors; raises Invalid if it is huge."""
    query: bytes = scope["query_string"]
    if query.count(b"&") >= MOST_PARAMETERS:
        raise Invalid(f"The query has more than {MOST_PARAMETERS} parameters. Send fewer.")
    query = scope["query_string"] = _NOT_ASCII.sub(lambda m: b"%%%02X" % m[0][0], query)
    if errors := [_not_utf8(pair) for pair in query.split(b"&") if not _is_utf8(pair)]:
        return errors
    sent = QueryParams(query).multi_items()
    meant = rules.as_meant(sent)
    if meant != sent:
        scope["query_string"] = urlencode(meant).encode()
    return rules.errors_in(sent)


def _is_utf8(pair: bytes) -> bool:
    try:
        unquote_to_bytes(pair).decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(pair: bytes) -> FieldError:
    name = unquote_to_bytes(pair.partition(b"=")[0]).decode(errors="replace")
    return FieldError("parameter", name[:LONGEST_NAME], _NOT_UTF8)
