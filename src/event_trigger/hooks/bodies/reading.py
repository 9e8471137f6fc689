"""Decides what kind of body a sender has sent, and makes the payload of it."""

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from event_trigger.firing.fire import SentBody
from event_trigger.hooks.bodies.characters import decode, mend_escapes
from event_trigger.hooks.bodies.forms import (
    UnreadableBody,
    charset_of,
    is_form,
    read_multipart,
    read_urlencoded,
)
from event_trigger.web.strict_json import loads

LONGEST_TYPE = 1_000
OTHER_BODY = "body"  # the only member of the payload of a body that is neither object nor form
_JSON_TYPE = re.compile(r"[^/]+/([^/]+\+)?json", re.ASCII)
_FORM_TYPE, _MULTIPART_TYPE = "application/x-www-form-urlencoded", "multipart/form-data"


def read_body(body: bytes, content_type: str, *, json_field: str | None = None) -> SentBody | None:
    """Makes the payload of a body; None if there is none, or only blanks.

    1. Multipart: the fields of the form.
    2. JSON, also of another type if it is an object or an array: an object to the letter, other
       values as `{"body": …}`.
    3. A form: its fields, or the JSON in its `json_field`.
    4. Anything else is text: `{"body": "…"}`.

    Characters that cannot be stored are replaced by U+FFFD. Raises UnreadableBody for a body of a
    JSON type that is no JSON, and for forms that are none or too large.
    """
    if len(content_type) > LONGEST_TYPE:
        raise UnreadableBody.at([], f"Send a Content-Type of at most {LONGEST_TYPE} characters.")
    media_type, charset, is_json = _kind_of(content_type)
    if media_type == _MULTIPART_TYPE:
        return _of_fields(read_multipart(body, content_type), json_field)
    if is_json:
        return _read_json(body, charset) if body.strip() else None
    text = decode(body, charset)
    if not text.strip():
        return None
    if text.lstrip().startswith(("{", "[")) and (found := _read_if_json(body, charset)) is not None:
        return found
    if media_type == _FORM_TYPE and is_form(text):
        return _of_fields(read_urlencoded(text, charset), json_field)
    return _of_value({OTHER_BODY: text})


class _Kind(NamedTuple):
    """The parts of a content type that say how its body is read."""

    media_type: str
    charset: str
    is_json: bool


@lru_cache(maxsize=256)  # senders repeat themselves
def _kind_of(content_type: str) -> _Kind:
    media_type = content_type.partition(";")[0].strip().lower()
    charset = charset_of(content_type) if ";" in content_type else "utf-8"
    return _Kind(media_type, charset, _JSON_TYPE.fullmatch(media_type) is not None)


def _read_json(body: bytes, charset: str) -> SentBody:
    """Reads JSON strictly; and if that fails, once more if its characters had to be mended."""
    try:
        return _of_json(loads(body), body.decode())
    except json.JSONDecodeError as error:
        reason = error.msg
    text = mend_escapes(decode(body, charset))
    mended = text.encode()
    if mended != body:
        try:
            return _of_json(loads(mended), text)
        except json.JSONDecodeError as error:
            reason = error.msg
    raise UnreadableBody.at([], f"This is not acceptable JSON: {reason}.")


def _read_if_json(body: bytes, charset: str) -> SentBody | None:
    try:
        return _read_json(body, charset)
    except UnreadableBody:
        return None


def _of_json(value: Any, text: str) -> SentBody:
    if isinstance(value, dict):
        return SentBody(value, text)
    return SentBody({OTHER_BODY: value}, f'{{"{OTHER_BODY}": {text}}}')


def _of_fields(fields: dict[str, Any], json_field: str | None) -> SentBody:
    if json_field is not None and isinstance(sent := fields.get(json_field), str):
        return _read_json(sent.encode(), "utf-8")
    return _of_value(fields)


def _of_value(value: dict[str, Any]) -> SentBody:
    return SentBody(value, json.dumps(value, ensure_ascii=False))
