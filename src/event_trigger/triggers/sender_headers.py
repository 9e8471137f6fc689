"""Tells names of headers and parameters that may hold credentials or signatures from others."""

import re

# as a whole word, or as any part of the name
_SECRET_WORD = re.compile(
    r"(?<![a-z])(auth|digest|hash|key|otp|pass|psk|pwd|sig|sign|signed)(?![a-z])"
)
_SECRET_PART = re.compile(
    r"(access|account|api|app|auth|client|master|private|service|shared|signing|user)-?key"
    r"|authentic|authori[sz]|bearer|cookie|credential|csrf|hmac|jwt|pass(code|key|phrase|w)|secret"
    r"|session|signature|token|xsrf"
)
# keys that name a thing, and open none
_NO_SECRET_HEADER = re.compile(r"(x-)?(event|idempotency|routing)-key")
# of OAuth and CAS, of sessions, and typed in: words too common in names of headers
_SECRET_PARAMETER = re.compile(
    r"(?<![a-z])(code|pin|verifier)(?![a-z])|(?<![a-z])(sid|ticket)$|phpsessid"
)


def may_be_secret(name: str) -> bool:
    """Tells whether a header, by its lower-case name, may hold a secret."""
    return _may_be_secret(name) and not _NO_SECRET_HEADER.fullmatch(name)


def may_be_secret_parameter(name: str) -> bool:
    """Tells whether a parameter of a query, by its lower-case name, may hold a secret."""
    return _may_be_secret(name) or bool(_SECRET_PARAMETER.search(name))


def _may_be_secret(name: str) -> bool:
    return bool(_SECRET_WORD.search(name) or _SECRET_PART.search(name))
