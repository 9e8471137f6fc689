"""Hostile input: values, whole bodies, and texts for paths, queries, headers and forms."""

import base64
import json
from typing import Any

MARK = "mark-7f3a9c-0b5d"  # stands for input that no answer may repeat
NOBODYS = 987_654_321  # an id of nothing, also when it is written oddly
NOBODYS_UUID = "00000000-0000-4000-8000-000987654321"
SURROGATE = "\ud83d"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def _deep(levels: int, inside: bytes) -> bytes:
    return b'{"a":' * levels + inside + b"}" * levels


# every one of these is JSON: as a whole body, and as the value of each field
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "minus one": -1,
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "4,000 digits": 10**4000,
    "the smallest double": 5e-324,
    "the largest double": 1.7976931348623157e308,
    "minus zero": -0.0,
    "empty text": "",
    "text": "a",
    "control characters": "\x01\x1b[2J\x7f\x85\u2028\u202e",
    "a noncharacter": "\uffff\U0010ffff",
    "an emoji": "\U0001f469\u200d\U0001f680",
    "combining": "e\u0301" * 100,
    "long text": "x" * 100_000,
    "SQL": "'; DROP TABLE triggers; --",
    "a LIKE pattern": "%_\\",
    "a format": "%s%n{0}{{}}$1:a",
    "a folder of time zones": "Europe",
    "an absolute path": "/etc/passwd",
    "a time": "2026-03-13T10:00:00Z",
    "year 1": "0001-01-01T00:00:00Z",
    "year 9999": "9999-12-31T23:59:59.999999Z",
    "year 9999 with an offset": "9999-12-31T23:59:59-23:59",
    "a leap second": "2016-12-31T23:59:60Z",
    "an offset too large": "2026-01-01T00:00:00+99:99",
    "digits of another script": "\u0662\u0660\u0662\u0666-03-13T10:00:00Z",
    "a duration": "PT90S",
    "a duration too long": "P9999999999Y",
    "a duration with 400 digits": "PT" + "9" * 400 + "S",
    "a cron": "* * * * *",
    "a cron that never matches": "0 0 31 2 *",
    "a cron with large numbers": "99999999999999999999 * * * *",
    "a cron with a long list": ",".join(["1"] * 5000) + " * * * *",
    "a cron with a step of zero": "*/0 * * * *",
    "a cron with a large #": "0 0 * * 1#999999999999",
    "a cron with NEL": "*\x85*\x85*\x85*\x85*",
    "a list": ["a"],
    "a long list": ["a"] * 10_000,
    "a list of everything": [None, True, 1, 1.5, "a", [], {}],
    "an empty object": {},
    "an object": {"a": 1},
    "an empty name": {"": 1},
    "prototypes": {"__proto__": 1, "constructor": 1, "__class__": 1, "self": 1},
    "many names": {str(n): n for n in range(5000)},
    "50 levels": nested(50),
    "a $ref elsewhere": {"$ref": "https://example.com/schema"},
    "a $ref to itself": {"$ref": "#"},
    "a wrong schema": {"type": "nothing"},
    "a wrong pattern": {"pattern": "("},
    "a slow pattern": {"pattern": "^(a+)+$"},
    "a large pattern": {"pattern": "(x{1000}){1000}"},
    "another dialect": {"$schema": "https://example.com/dialect"},
    "odd multipleOf": {"multipleOf": 5e-324},
    "odd lengths": {"minLength": 1e308, "maxItems": -0.0},
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
    "nothing": b"",
    "white space": b" \n",
    "half": b'{"type"',
    "NaN": b'{"type": "api", "payload": {"a": NaN}}',
    "Infinity": b"Infinity",
    "1e400": b'{"a": 1e400}',
    "NUL": b'{"a": "\\u0000"}',
    "a NUL name": b'{"\\u0000": 1}',
    "raw NUL": b'{"a": "\0"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "a name of half a surrogate pair": b'{"\\udc00": 1}',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "not UTF-8": b"\xff\xfe\xfd",
    "UTF-16": '{"type": "api"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"type": "api"}',
    "5,000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "64 levels": b'{"a":' * 64 + b"1" + b"}" * 64,
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "500,000 lists": b"[" * 500_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a name twice": b'{"type": "api", "type": "scheduled"}',
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "text": b'"text"',
    "a list": b"[]",
    "a mebibyte of text": b'{"a": "' + b"x" * 1_000_000 + b'"}',
    "a mebibyte of names": json.dumps({str(n): 0 for n in range(80_000)}).encode(),
    "more than a mebibyte": b'{"a": "' + b"x" * 1_100_000 + b'"}',
    "a form": b"type=api&name=a",
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
    "if-match",
    "if-none-match",
    "origin",
    "range",
    "transfer-encoding",
    "x-api-key",
    "x-forwarded-for",
    "x-http-method-override",
]


def nobodys_id(parameter: str) -> int | str:
    """Gives the id of nothing, for a parameter of a path."""
    others = {"session_id": NOBODYS_UUID, "key": f"key-{NOBODYS}", "name": f"set-{NOBODYS}"}
    return others.get(parameter, NOBODYS)
