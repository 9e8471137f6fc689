"""Parses request bodies strictly: refuses JSON that Python reads but PostgreSQL cannot store."""

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, NoReturn

from fastapi import APIRouter, Request, Response

from event_trigger.errors import UnsupportedMediaType
from event_trigger.web.answers import answer_of
from event_trigger.web.query_parameters import StrictQueryRoute
from event_trigger.web.schemas import has_lone_surrogate

MOST_LEVELS = 64
MOST_VALUES = 100_000
_VALUES_AROUND = 7  # an object and three members, at most, around a value
_BYTE_ORDER_MARK = "\ufeff"
_JSON_MEDIA_TYPE = re.compile(r"application/([^/]+\+)?json")


def loads(body: bytes) -> Any:
    """Parses RFC 8259 JSON of at most 64 levels.

    Refuses NaN, Infinity, numbers beyond a double, NUL, lone surrogates and repeated names. Raises
    JSONDecodeError, whose message tells users how to mend the body.
    """
    try:
        text = body.decode()
        if text.startswith(_BYTE_ORDER_MARK):
            _refuse("it must not begin with a byte order mark (BOM)")
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        _refuse("it must be encoded in UTF-8")
    except RecursionError:
        _refuse(f"it is nested deeper than {MOST_LEVELS} levels")
    except json.JSONDecodeError:
        raise
    except ValueError:
        _refuse("a number has too many digits")
    is_escaped = "\\u" in text
    if is_escaped or not _is_small(text, 0, len(text)):  # most bodies need no second look
        _check(value, is_escaped=is_escaped)
    return value


def raw_loads(text: str, at: int, *, around: int = 0) -> tuple[Any, int]:
    """Parses the value that begins at a place of a text; gives it, and the place behind it.

    It is `around` levels deep, in small objects. Raises ValueError of some kind for a value that
    `loads` would refuse there.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except RecursionError:
        _refuse(f"it is nested deeper than {MOST_LEVELS} levels")
    is_escaped = text.find("\\u", at, end) >= 0
    if is_escaped or not _is_small(text, at, end, around=around):
        _check(value, is_escaped=is_escaped, around=around)
    return value, end


def _refuse(reason: str) -> NoReturn:
    raise json.JSONDecodeError(reason, "", 0) from None


def _refuse_constant(_: str) -> NoReturn:
    _refuse("NaN and Infinity are not JSON")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        _refuse("an object has the same name twice")
    return unique


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse("a number is too large")
    return number


# made once: with these functions, `json.loads` would make a decoder for each body
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_names
)


def _is_small(text: str, at: int, end: int, *, around: int = 0) -> bool:
    """Tells whether the text of a value is too short for too many values or levels."""
    if end - at > MOST_VALUES:
        return False
    return text.count("[", at, end) + text.count("{", at, end) <= MOST_LEVELS - around


def _check(value: Any, *, is_escaped: bool, around: int = 0) -> None:
    """Walks a value level by level; looks into texts only if the JSON `is_escaped` with `\\u`.

    Otherwise they hold no NUL, which the decoder refuses, and no surrogate, which UTF-8 lacks.
    """
    level, depth, values = [value], around, around * _VALUES_AROUND
    while level:
        values += len(level)
        if values > MOST_VALUES:
            _refuse(f"it holds more than {MOST_VALUES} values")
        containers = []
        for one in level:
            if isinstance(one, str):
                if is_escaped:
                    _check_text(one)
            elif isinstance(one, dict | list):
                containers.append(one)
        depth += 1
        if containers and depth > MOST_LEVELS:
            _refuse(f"it is nested deeper than {MOST_LEVELS} levels")
        level = [child for one in containers for child in _children(one)]


def _children(container: dict[str, Any] | list[Any]) -> list[Any]:
    if isinstance(container, dict):
        return [*container.keys(), *container.values()]
    return container


def _check_text(text: str) -> None:
    if "\0" in text:
        _refuse("text must not hold the character U+0000")
    if has_lone_surrogate(text):
        _refuse("text must not hold half of a surrogate pair")


class StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


class StrictRoute(StrictQueryRoute):
    """A route whose body must be strict JSON, sent with a JSON media type.

    A dependency may give or keep its answer (`web/answers.py`).
    """

    request_class: ClassVar[type[StrictRequest]] = StrictRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            strict = self.request_class(request.scope, request.receive)
            if self.body_field and not _is_json(strict) and await strict.body():
                raise UnsupportedMediaType
            return await answer_of(handle, strict, self.response_model)

        return handle_json


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _JSON_MEDIA_TYPE.fullmatch(media_type) is not None


def strict_router(
    *,
    tags: list[str],
    prefix: str = "",
    route_class: type[StrictRoute] = StrictRoute,
    **options: Any,
) -> APIRouter:
    return APIRouter(prefix=prefix, tags=[*tags], route_class=route_class, **options)
