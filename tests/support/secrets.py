"""Finds secrets in text: no log line of the suite may hold one."""

import re

from tests.support.services import PASSWORD, SECRET

_SHAPES = re.compile(
    r"etk_[\w-]{20,}|etr_[\w-]{20,}|whsec_[\w+/=]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]+|/hooks/[\w-]{20,}|/accept#[\w-]{20,}"
    r"|-----BEGIN PRIVATE KEY-----"
    rf"|{re.escape(PASSWORD)}|{re.escape(SECRET)}|canary-\w+"
)


def secrets_in(text: str) -> list[str]:
    return _SHAPES.findall(text)
