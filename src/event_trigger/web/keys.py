"""Keys: names that users give to triggers, destinations and calendars, unique in the project."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Self

from pydantic import AfterValidator, Field
from sqlalchemy.exc import IntegrityError

from event_trigger.errors import Conflict, FieldError, Invalid, pointer

LONGEST_KEY = 100
KEY_PATTERN = "^[a-z0-9][a-z0-9._-]*$"
_KEY = re.compile(KEY_PATTERN.strip("^$"), re.ASCII)
_TAKEN = re.compile(
    r'unique constraint "ix_(triggers|destinations|calendars)_key'
)  # a shard's has a suffix


def is_key(text: str) -> bool:
    return len(text) <= LONGEST_KEY and _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """Raises ValueError, in words for users, for a text that cannot be a key."""
    if not is_key(key):
        raise ValueError(
            f"Write 1 to {LONGEST_KEY} lower-case letters (a-z), digits, '.', '_' or '-', and begin"
            " with a letter or a digit."
        )
    return key


Key = Annotated[
    str,
    AfterValidator(check_key),
    Field(
        description="A name of your own, unique in the project.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": LONGEST_KEY,
            "pattern": KEY_PATTERN,
        },
    ),
]


def key_of(sent: str | None, *, path: str, otherwise: str = "A PATCH changes a key.") -> str:
    """Returns the key of a body that is put under a key; raises Invalid if it has another."""
    if sent not in {None, path}:
        raise Invalid.at(["key"], f"Write the key of the path, or leave it out. {otherwise}")
    return path


class KeyTaken(Conflict):
    """Another row of the project has the `key`; the answer does not repeat it."""

    slug, title = "key-taken", "The key is taken"
    default_detail = (
        "Another one in this project has this key. Choose another key, or change that one under"
        " the path of its key."
    )

    def __init__(self, key: str | None) -> None:
        super().__init__(errors=[FieldError("pointer", pointer("key"), self.default_detail)])
        self.key = key

    @classmethod
    def example(cls) -> Self:
        return cls("nightly-report")


@contextmanager
def refusing_taken_key(key: str | None) -> Iterator[None]:
    """Raises KeyTaken instead of the database's error, around all that may flush a row's key."""
    try:
        yield
    except IntegrityError as error:
        if not _TAKEN.search(str(error.orig)):
            raise
        raise KeyTaken(key) from None
