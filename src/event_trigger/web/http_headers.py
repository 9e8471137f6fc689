"""Knows the names that headers may have (RFC 9110, section 5.1), and those of CloudEvents."""

import re

LONGEST_HEADER_NAME = 100  # characters
HEADER_NAME_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
EVENT_HEADERS = frozenset(  # of the format cloudevents_binary
    f"ce-{name}"
    for name in (
        *("specversion", "id", "source", "type", "time", "istest", "scheduledfor"),
        *("triggerkey", "triggername", "sourcekind", "replayof", "subject"),
    )
)
_HEADER_NAME = re.compile(HEADER_NAME_PATTERN, re.ASCII)


def is_header_name(text: str) -> bool:
    return len(text) <= LONGEST_HEADER_NAME and _HEADER_NAME.fullmatch(text) is not None
