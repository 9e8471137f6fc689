"""Reads the body of a batch call by call, keeping the text of each payload as it was sent.

A parser of the whole body would hold the event loop, and lose how numbers were written.
"""

import asyncio
import json
import re
from collections.abc import Iterator, MutableMapping
from typing import Any, NoReturn

from pydantic import ValidationError

from event_trigger.errors import Invalid
from event_trigger.firing.batch.schemas import MOST_CALLS, SentCall, SentCalls, TriggerCall
from event_trigger.firing.fire import SentBody
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.invalid_requests import invalid_request
from event_trigger.web.strict_json import (
    MOST_LEVELS,
    StrictRequest,
    StrictRoute,
    loads,
    raw_loads,
)

_CHARACTERS_PER_SLICE = 16 * 1024  # about a millisecond
_SPACES = " \t\n\r"
_SPACE = re.compile(f"[{_SPACES}]*")
# a call as most clients write it, up to its payload, and behind that
_S = f"[{_SPACES}]*"
_CALL = re.compile(
    rf'\{{{_S}"trigger"{_S}:{_S}(?:([1-9][0-9]{{0,18}})|"([a-z0-9][a-z0-9._-]{{0,99}})"){_S}'
    rf',{_S}"payload"{_S}:{_S}(?=\{{)',
    re.ASCII,
)
_REST = re.compile(rf'{_S}(?:,{_S}"idempotency_key"{_S}:{_S}"([ !#-\[\]-~]{{1,255}})"{_S})?\}}{_S}')
_KEPT, _NOTHING = "read_batch", object()  # in the state of a request
_ANY_JSON = json.JSONDecoder(parse_int=str, parse_float=str)  # only to find where a value ends


class BatchRequest(StrictRequest):
    async def json(self) -> Any:
        kept = self.scope.get("state", {}).pop(_KEPT, _NOTHING)
        if kept is _NOTHING:
            return await read_batch(await self.body())
        if isinstance(kept, json.JSONDecodeError):
            raise kept
        return kept


class BatchRoute(StrictRoute):
    request_class = BatchRequest


def keep_read(scope: MutableMapping[str, Any], read: Any) -> None:
    """Keeps what was read of a request's body, or its JSONDecodeError: nobody reads it again."""
    scope.setdefault("state", {})[_KEPT] = read


async def read_batch(body: bytes) -> Any:
    """Reads a batch in slices, between which the event loop does other work.

    A call that is not valid becomes a problem in its place, also if its payload is JSON that cannot
    be stored. A body that is no object is returned as `loads` reads it. Raises JSONDecodeError for
    a body that is no JSON.
    """
    try:
        scan = _Scanner(body.decode())
    except UnicodeDecodeError:
        return loads(body)  # which says so
    if not scan.begins("{"):
        return loads(body)
    read: dict[str, Any] = {}
    for quoted in scan.members():
        name = loads(quoted.encode())
        if name in read:
            _refuse("an object has the same name twice")
        is_list = name == "calls" and scan.begins("[")
        read[name] = await _read_calls(scan) if is_list else loads(scan.value().encode())
    scan.end()
    return read


async def _read_calls(scan: "_Scanner") -> SentCalls:
    calls, slice_began = SentCalls(), scan.at
    for place in scan.items():
        if place < MOST_CALLS:
            calls.append(_read_call(scan, place))
        else:  # too many, which is refused when they are counted
            scan.value()
            calls.append(Invalid())
        if scan.at - slice_began > _CHARACTERS_PER_SLICE:
            await asyncio.sleep(0)
            slice_began = scan.at
    return calls


def _read_call(scan: "_Scanner", place: int) -> SentCall | Invalid:
    """Reads one call, and moves behind it whether it is valid or not."""
    try:
        if (valid := _read_usual_call(scan) or _read_plain_call(scan)) is not None:
            return valid
    except ValueError:  # of its payload, which is found and told below
        pass
    if not scan.begins("{"):
        scan.value()
        return Invalid.at(["calls", place], "Write each call as an object.")
    began, payload = scan.at, ""
    for quoted in scan.members():
        text = scan.value()
        if _ANY_JSON.decode(quoted) == "payload":
            payload = text
    try:
        call = TriggerCall.model_validate(loads(scan.text[began : scan.at].encode()))
    except json.JSONDecodeError as error:
        return Invalid.at(["calls", place], f"This is not acceptable JSON: {error.msg}.")
    except ValidationError as error:
        found = [{**one, "loc": ("body", "calls", place, *one["loc"])} for one in error.errors()]
        return invalid_request(found, TriggerCall)
    body = None if call.payload is None else SentBody(call.payload, payload)
    return SentCall(call.trigger, body, call.idempotency_key)


def _read_usual_call(scan: "_Scanner") -> SentCall | None:
    """Reads a valid call whose members come as the documentation shows; otherwise does not move.

    That takes a third of the time of parsing the whole call and finding the payload in its text.
    """
    if (call := _CALL.match(scan.text, scan.at)) is None:
        return None
    value, ended = raw_loads(scan.text, began := call.end(), around=1)
    rest, (number, key) = _REST.match(scan.text, ended), call.groups()
    if rest is None or (key is None and int(number) > LARGEST_ID):
        return None
    scan.at = rest.end()  # with the white space behind it
    body = SentBody(value, scan.text[began:ended])
    return SentCall(int(number) if key is None else key, body, rest[1])


def _read_plain_call(scan: "_Scanner") -> SentCall | None:
    """Reads a valid call whose payload is easily found in its text; otherwise does not move.

    That takes a third of the time of walking over the members, which also finds out the mistakes.
    """
    try:
        value, end = raw_loads(scan.text, scan.at)
        call = TriggerCall.model_validate(value)
    except ValueError:  # of pydantic and of JSON
        return None
    text = scan.text[scan.at : end]
    if "\\" in text or text.count('"payload"') > 1:  # the name may be written in another way
        return None
    body = None if call.payload is None else SentBody(call.payload, _payload_in(text, value))
    scan.move_to(end)
    return SentCall(call.trigger, body, call.idempotency_key)


def _payload_in(text: str, call: dict[str, Any]) -> str:
    """Returns the text of the payload of a call that has its name once, and no backslash."""
    began = text.index(":", text.index('"payload"') + len('"payload"')) + 1
    if next(reversed(call)) == "payload":
        return text[began:-1].strip(_SPACES)
    space = _SPACE.match(text, began)
    assert space is not None
    _, end = _ANY_JSON.raw_decode(text, space.end())
    return text[space.end() : end]


class _Scanner:
    """Walks over JSON text: each step moves behind what it reads, and the white space there.

    The caller reads the value of each member or item before it asks for the next.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.move_to(0)

    def begins(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def members(self) -> Iterator[str]:
        """Yields the name of each member of the object that begins here, with its quotes."""
        self._expect("{")
        if self._take("}"):
            return
        while True:
            if not self.begins('"'):
                _refuse("a name in double quotes is expected")
            name = self.value()
            self._expect(":")
            yield name
            if self._take("}"):
                return
            self._expect(",")

    def items(self) -> Iterator[int]:
        """Yields the number of each item of the list that begins here, from 0 on."""
        self._expect("[")
        if self._take("]"):
            return
        place = 0
        while True:
            yield place
            if (mark := self.text[self.at : self.at + 1]) not in {",", "]"}:
                _refuse(", is missing")
            self.move_to(self.at + 1)
            if mark == "]":
                return
            place += 1

    def value(self) -> str:
        """Returns the text of the value that begins here."""
        began = self.at
        try:
            _, ended = _ANY_JSON.raw_decode(self.text, began)
        except RecursionError:
            _refuse(f"it is nested deeper than {MOST_LEVELS} levels")
        self.move_to(ended)
        return self.text[began:ended]

    def end(self) -> None:
        if self.at < len(self.text):
            _refuse("something follows its end")

    def _take(self, mark: str) -> bool:
        if not self.begins(mark):
            return False
        self.move_to(self.at + 1)
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            _refuse(f"{mark} is missing")

    def move_to(self, place: int) -> None:
        if self.text[place : place + 1] not in _SPACES:  # which '' is in
            self.at = place
            return
        space = _SPACE.match(self.text, place)
        assert space is not None
        self.at = space.end()


def _refuse(reason: str) -> NoReturn:
    raise json.JSONDecodeError(reason, "", 0) from None
