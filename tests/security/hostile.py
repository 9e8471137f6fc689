"""What strangers send: values, whole bodies, and texts for paths, queries, headers and forms."""

import base64
import json
from typing import Any

from tests.web import test_hostile_input as known

MARK = "mark-7f3a9c-0b5d"  # stands in for whatever must not come back
NOBODYS = 987_654_321  # an id; in odd clothes it may still be read as one
SURROGATE = "\ud83d"


def _deep(levels: int, inside: bytes) -> bytes:
    return b'{"a":' * levels + inside + b"}" * levels


# every one of these is JSON: as a whole body, and as the value of each field
VALUES: dict[str, Any] = {
    **known.VALUES,
    "a mark": MARK,
    "a mark in a list": [MARK],
    "a mark in an object": {"a": MARK},
    "a mark, deep": {"a": [{"b": [MARK] * 3}]},
    "a long mark": MARK * 5_000,
    "a mark as a mail address": f"{MARK}@@example.com",
    "a mark as a URL": f"ftp://{MARK}@example.com/{MARK}",
    "a mark as an inner host": f"http://10.0.0.1/{MARK}",
    "a mark as a zone": f"Europe/{MARK}",
    "a mark as a cron": f"* * * * {MARK}",
    "a mark in a pattern": {"pattern": f"({MARK}"},
    "a mark as a header": {"X-Mark": f"{MARK}\r\nX-Evil: 1"},
    "a mark as a name": {MARK: {MARK: 1}},
    "a mark after a NEL": f"\x85{MARK}\x85",
    "a mark in a $ref": {"$ref": f"https://example.com/{MARK}"},
    "a mark as a duration": f"PT{MARK}S",
    "2^64": 2**64,
    "a fraction": 1.5,
    "zero": 0,
    "false": False,
    "year 1 with an offset": "0001-01-01T00:00:00+23:59",
    "year 9000": "9000-12-31T23:59:59.999999Z",
    "an id in a text": "1",
    "ids": [0, -1, 2**63, 1.0],
    "an id of nobody": [987_654_321],
    "the same id, often": [1] * 2_000,
}
# whole bodies, sent as application/json
BODIES: dict[str, bytes] = {
    **known.BODIES,
    "a mark, half": f'{{"{MARK}": "{MARK}'.encode(),
    "a mark, alone": MARK.encode(),
    "a mark beside NaN": f'{{"a": "{MARK}", "b": NaN}}'.encode(),
    "a mark beside NUL": f'{{"a": "{MARK}\\u0000"}}'.encode(),
    "a mark beside half a pair": f'{{"a": "{MARK}\\udc00"}}'.encode(),
    "a mark twice": f'{{"a": "{MARK}", "a": "{MARK}"}}'.encode(),
    "a mark in Latin-1": f'{{"a": "{MARK}é"}}'.encode("latin-1"),
    "a mark at level 100,000": _deep(100_000, f'"{MARK}"'.encode()),
    "100,001 values": json.dumps([MARK] * 40_000).encode(),
    "2^63": b'{"a": 9223372036854775808}',
}
_MULTIPART = f'--b\r\ncontent-disposition: form-data; name="{MARK}"\r\n\r\n{MARK}\r\n--b--'
# media types with a body that fits or does not
OTHERWISE: list[tuple[str, bytes]] = [
    ("", b'{"type": "api"}'),
    (MARK, b'{"type": "api"}'),
    ("text/plain", MARK.encode()),
    ("application/xml", f"<!DOCTYPE a [<!ENTITY b '{MARK}'>]><a>&b;</a>".encode()),
    ("application/json; charset=utf-16", MARK.encode("utf-16")),
    ("application/x-www-form-urlencoded", f"username={MARK}&password=%00&a=%ff".encode()),
    ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 5_000)),
    ("application/x-www-form-urlencoded; charset=utf-7", b"username=+2D3-&password=a"),
    ("multipart/form-data", MARK.encode()),
    ("multipart/form-data; boundary=b", _MULTIPART.encode()),
    ("multipart/form-data; boundary=b", b"--b\r\n" + b"x" * 1_000),
    (f"multipart/form-data; boundary={'b' * 300}", b"--b\r\n\r\n"),
]


def forged(*position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


CURSORS: list[str] = [
    forged(),
    forged(-1),
    forged(2**63),
    forged(10**4000),
    forged(1.5),
    forged(True),
    forged("1"),
    forged(None),
    forged(1, 2, 3),
    forged(MARK),
    forged({MARK: MARK}),
    forged(2**63 - 1, 2**63 - 1),
    forged(0, 0),
    forged(2**63 - 1),
    base64.urlsafe_b64encode(b"[" * 100).decode(),
    base64.urlsafe_b64encode(b"[1").decode(),
    base64.urlsafe_b64encode(b"[NaN]").decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "====",
    "A",
    "é",
]
# what is no id, for paths, where all is text
IDS: list[str] = [
    "0",
    "-1",
    f"+{NOBODYS}",
    f"{NOBODYS}.0",
    "1e5",
    "0x1",
    f"0{NOBODYS}",
    f" {NOBODYS}",
    f"{NOBODYS} ",
    f"{NOBODYS}\n",
    "\u0669" * 9,
    "\uff19" * 9,
    "987_654_321",
    str(2**63),
    str(2**64),
    "9" * 3_000,
    "NaN",
    "Infinity",
    "true",
    "null",
    "[]",
    "{}",
    "1,2",
    "../..",
    "%2e%2e%2f",
    ";",
    "#",
    "?a=1",
    "\0",
    MARK,
    f"{MARK}\0",
    SURROGATE,
    f"{MARK}{SURROGATE}",
    "\r\nX-Evil: 1",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "' OR 1=1 --",
]
# for queries and forms, where all is text too
TEXTS = [*(one[:3_000] for one in VALUES.values() if isinstance(one, str)), *IDS, *CURSORS]
RAW_TEXTS = ["%FF", "%FF%FE" + MARK, "%C0%80", "%ED%A0%80", "%", "%zz", "%00" + MARK]
HEADER_VALUES: list[bytes] = [
    b"",
    b" ",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    MARK.encode(),
    MARK.encode() + b"\xff\0",
    MARK.encode() * 3_000,
    b"a" * 256,
    b"9" * 400,
    b"-1",
    str(2**63).encode(),
    b"NaN",
    b"v1," + MARK.encode(),
    b"sha256=" + MARK.encode(),
    b"Bearer " + MARK.encode(),
    b"Bearer " + b"e" * 5_000,
    b"Bearer a.b.c",
    b"Bearer etk_" + MARK.encode(),
    b"Basic " + base64.b64encode(f"{MARK}:{MARK}".encode()),
]
HEADERS = [
    "accept",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if-none-match",
    "origin",
    "range",
    "transfer-encoding",
    "x-api-key",
    "x-forwarded-for",
    "x-http-method-override",
]
