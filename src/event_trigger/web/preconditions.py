"""Reads the conditional headers of requests, and answers 304."""

from typing import Annotated, Any

from fastapi import Depends, Header, Response

from event_trigger.web.entity_tags import Preconditions
from event_trigger.web.response_headers import with_headers

_EXAMPLES = ['"mS0vQzGJ2kP4oXhE"']
TAGGED = with_headers(200, "ETag")
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {
        "description": "It is the one that If-None-Match names.",
        **with_headers(304, "ETag")[304],
    }
}

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Writes only if its `ETag` is one of these; else 412.",
        examples=_EXAMPLES,
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="Answers 304 if its `ETag` is one of these.",
        examples=_EXAMPLES,
    ),
]
IfNoneThere = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="With `*`, writes only if nothing is there; else 412.",
        examples=["*"],
    ),
]


async def get_reading(if_none_match: IfNoneMatch = None) -> Preconditions:
    return Preconditions(if_none_match=if_none_match)


async def get_changing(if_match: IfMatch = None) -> Preconditions:
    return Preconditions(if_match)


async def get_putting(if_match: IfMatch = None, if_none_match: IfNoneThere = None) -> Preconditions:
    return Preconditions(if_match, if_none_match)


ReadingDep = Annotated[Preconditions, Depends(get_reading)]
ChangingDep = Annotated[Preconditions, Depends(get_changing)]
PuttingDep = Annotated[Preconditions, Depends(get_putting)]


def not_modified(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag})
