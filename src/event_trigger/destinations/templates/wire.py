"""Writes and reads what the service and a rendering process send each other, as frames.

A frame is a byte for its kind, a length for each field, and the fields. No frame is unpickled: the
service reads only bytes and text from a process that has run a stranger's template.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from enum import Enum

from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    Rendered,
    RenderJob,
    TemplateFailed,
    TemplatePart,
)

Job = RenderJob | CheckJob
Answer = Rendered | Accepted | TemplateFailed

JOB_HEADER = struct.Struct("!c6I")
ANSWER_HEADER = struct.Struct("!c3I")
_NONE = 0xFFFFFFFF
_NOTICES = "notices"  # in the place of the event of a job that renders
_NOBODY = 0  # processes are not told whose jobs they do


class Kind(bytes, Enum):
    RENDER = b"r"
    CHECK = b"c"
    RENDERED = b"R"
    ACCEPTED = b"A"
    FAILED = b"F"
    SKIPPED = b"S"


def write_job(job: Job) -> bytes:
    if isinstance(job, CheckJob):
        notices = _NOTICES if job.notices else ""
        checked = [job.template, job.url, job.content_type, notices, None, job.subject]
        return _frame(JOB_HEADER, Kind.CHECK, checked)
    event = json.dumps(job.event)
    fields = [job.template, job.url, job.content_type, event, job.payload, job.subject]
    return _frame(JOB_HEADER, Kind.RENDER, fields)


def read_job(header: bytes, body: bytes) -> Job:
    kind, *lengths = JOB_HEADER.unpack(header)
    template, url, content_type, event, payload, subject = _fields(lengths, body)
    if kind == Kind.CHECK:
        return CheckJob(
            _text(template),
            _text(url) or "",
            _text(content_type) or "",
            _NOBODY,
            _text(subject),
            _text(event) == _NOTICES,
        )
    return RenderJob(
        _text(template),
        _text(url) or "",
        _text(content_type) or "",
        json.loads(event or b"{}"),
        _text(payload),
        _NOBODY,
        _text(subject),
    )


def write_answer(answer: Answer | None) -> bytes:
    """Writes an answer; None for a job that had no turn."""
    match answer:
        case Rendered(url, body, subject):
            return _frame(ANSWER_HEADER, Kind.RENDERED, [url, body, subject])
        case TemplateFailed(reason, part):
            return _frame(ANSWER_HEADER, Kind.FAILED, [reason, part, None])
        case Accepted():
            return _frame(ANSWER_HEADER, Kind.ACCEPTED, [None, None, None])
        case None:
            return _frame(ANSWER_HEADER, Kind.SKIPPED, [None, None, None])


def take_answers(received: bytearray) -> Iterator[Answer | None]:
    """Takes the complete answers from the bytes received so far; raises ValueError for others."""
    size = ANSWER_HEADER.size
    while len(received) >= size:
        ends = size + length_of(ANSWER_HEADER, received[:size])
        if len(received) < ends:
            return
        header, body = bytes(received[:size]), bytes(received[size:ends])
        del received[:ends]
        yield _read_answer(header, body)


def _read_answer(header: bytes, body: bytes) -> Answer | None:
    kind, *lengths = ANSWER_HEADER.unpack(header)
    first, second, third = _fields(lengths, body)
    match Kind(kind):
        case Kind.RENDERED:
            return Rendered(_text(first) or "", second, _text(third))
        case Kind.FAILED:
            return TemplateFailed(_text(first) or "", TemplatePart(_text(second) or ""))
        case Kind.ACCEPTED:
            return Accepted()
        case Kind.SKIPPED:
            return None
        case _:
            raise ValueError(kind)


def length_of(header: struct.Struct, data: bytes | bytearray) -> int:
    """Returns how many bytes follow a header."""
    return sum(one for one in header.unpack(data)[1:] if one != _NONE)


def _frame(header: struct.Struct, kind: Kind, fields: Sequence[str | bytes | None]) -> bytes:
    encoded = [one.encode() if isinstance(one, str) else one for one in fields]
    lengths = [_NONE if one is None else len(one) for one in encoded]
    return b"".join([header.pack(kind.value, *lengths), *(one for one in encoded if one)])


def _fields(lengths: Sequence[int], body: bytes) -> list[bytes | None]:
    fields: list[bytes | None] = []
    start = 0
    for length in lengths:
        if length == _NONE:
            fields.append(None)
        else:
            fields.append(body[start : start + length])
            start += length
    return fields


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode()
