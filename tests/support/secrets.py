"""Knows a secret when it sees one: no line of a log, in the whole suite, may hold any."""

import re

from tests.support.services import PASSWORD, SECRET

_SHAPES = re.compile(
    r"etk_[\w-]{20,}|etr_[\w-]{20,}|whsec_[\w+/=]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]+|/hooks/[\w-]{20,}"
    rf"|{re.escape(PASSWORD)}|{re.escape(SECRET)}|canary-\w+"
)


def secrets_in(text: str) -> list[str]:
    return _SHAPES.findall(text)
