"""Entity tags, and requests that depend on them (RFC 9110, sections 8.8.3 and 13.1)."""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from event_trigger.errors import Problem
from event_trigger.web.response_headers import with_headers

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ANY = "*"
_DIGEST_BYTES = 12


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "It is not as expected"
    default_detail = (
        "It has changed since you read it, so nothing was written. Read it again, apply your change"
        " to that, and send the ETag of that answer in If-Match, with its quotes."
    )


class AlreadyThere(PreconditionFailed):
    default_detail = (
        "It is there already, and If-None-Match asks to write it only if it is not. Leave the"
        " header out to replace it."
    )


class NotThere(PreconditionFailed):
    default_detail = "It is not there, so If-Match cannot hold. Leave the header out to create it."


def etag(*parts: object) -> str:
    """Makes a strong tag of the values that tell one version from another."""
    digest = blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES).digest()
    return f'"{urlsafe_b64encode(digest).decode()}"'


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditional headers of a request, as they were sent."""

    if_match: str | None = None
    if_none_match: str | None = None

    @property
    def is_of_any(self) -> bool:
        """Tells whether `If-Match: *` asks for any version that exists."""
        return self.if_match is not None and self.if_match.strip() == _ANY

    @property
    def names_nothing(self) -> bool:
        """Tells whether If-Match was sent without a tag in quotes, so that it can never hold."""
        return self.if_match is not None and not (self.is_of_any or _TAG.search(self.if_match))

    def check(self, tag: str | None) -> None:
        """Raises PreconditionFailed; `tag` is the present one, or None if there is nothing.

        Call it after the row was locked, or two editors may overwrite each other.
        """
        if self.if_match is not None and not _matches(self.if_match, tag, weakly=False):
            raise NotThere if tag is None else PreconditionFailed
        if self.if_none_match is not None and _matches(self.if_none_match, tag, weakly=True):
            raise AlreadyThere

    def has(self, tag: str) -> bool:
        """Tells whether the client names this very version, which it has read."""
        named = self.if_match is not None and self.if_match.strip() != "*"
        return named and _matches(self.if_match or "", tag, weakly=False)

    def is_unmodified(self, tag: str) -> bool:
        """Tells whether a reader has this version already."""
        return self.if_none_match is not None and _matches(self.if_none_match, tag, weakly=True)


def _matches(header: str, tag: str | None, *, weakly: bool) -> bool:
    """Compares a tag with a list; a weak tag of the list never equals it strongly."""
    if header.strip() == _ANY:
        return tag is not None
    named = _TAG.findall(header)
    return any(one == tag and (weakly or not weak) for weak, one in named)


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
