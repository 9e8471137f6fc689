"""JSON is accepted if PostgreSQL can store it and give it back unchanged."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.web.strict_json import MOST_LEVELS, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


def nested(levels: int, *, brackets: tuple[str, str] = ("[", "]"), inside: str = "1") -> bytes:
    opening, closing = brackets
    return (opening * levels + inside + closing * levels).encode()


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_storable_json_is_read_unchanged(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert loads(body) == value


@given(VALUES, st.integers(1, MOST_LEVELS), st.booleans())
def test_a_scalar_may_lie_64_levels_deep(value: Any, levels: int, in_objects: bool) -> None:
    for _ in range(levels - 1 if isinstance(value, dict | list) else levels):
        value = {"a": value} if in_objects else [value]
    body = json.dumps(value).encode()

    if _depth(value) <= MOST_LEVELS:
        assert loads(body) == value
    else:
        with pytest.raises(json.JSONDecodeError, match="nested deeper than 64"):
            loads(body)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(st.binary(max_size=200))
def test_no_bytes_make_it_crash(body: bytes) -> None:
    with suppress(json.JSONDecodeError):
        value = loads(body)

        assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_64_levels_are_read_and_65_are_not(brackets: tuple[str, str]) -> None:
    levels_each = len(brackets[1])
    deepest = nested(MOST_LEVELS // levels_each, brackets=brackets)
    deeper = b"[" + deepest + b"]"

    assert loads(deepest) is not None
    with pytest.raises(json.JSONDecodeError, match="nested deeper than 64"):
        loads(deeper)


ACCEPTED = [
    (b"1", 1),
    (b' \t\r\n{"a": 1} ', {"a": 1}),
    (b'{"": ""}', {"": ""}),
    (b"9223372036854775808", 2**63),
    (b"-" + b"9" * 4000, -(10**4000 - 1)),
    (b"1e308", 1e308),
    (b"1e-400", 0.0),
    (b"-0.0", -0.0),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    ("\U0001f600".encode().join([b'"', b'"']), "\U0001f600"),
    (b'"\\u0001"', "\x01"),
    (b'"\xef\xbf\xbf"', "\uffff"),
    (b'{"a": {"b": 1}, "c": {"b": 1}}', {"a": {"b": 1}, "c": {"b": 1}}),
    (b'{"a": 1, "A": 2}', {"a": 1, "A": 2}),
]


@pytest.mark.parametrize(("body", "value"), ACCEPTED)
def test_odd_but_valid_json_is_read(body: bytes, value: Any) -> None:
    assert loads(body) == value


REFUSED = {
    "empty": (b"", "Expecting value"),
    "white space": (b"  ", "Expecting value"),
    "half an object": (b'{"a": ', "Expecting value"),
    "two values": (b"1 2", "Extra data"),
    "a comment": (b"// 1\n1", "Expecting value"),
    "a comma too many": (b"[1,]", "e"),  # worded differently by each Python
    "single quotes": (b"{'a': 1}", "Expecting property name"),
    "a raw line break": (b'"a\nb"', "Invalid control character"),
    "NaN": (b"NaN", "NaN and Infinity are not JSON"),
    "Infinity": (b'{"a": Infinity}', "NaN and Infinity are not JSON"),
    "-Infinity": (b"[-Infinity]", "NaN and Infinity are not JSON"),
    "1e400": (b'{"a": 1e400}', "a number is too large"),
    "-1e400": (b"[[-1e400]]", "a number is too large"),
    "5000 digits": (b"[" + b"1" * 5000 + b"]", "too many digits"),
    "a million digits": (b"1" * 1_000_000, "too many digits"),
    "NUL": (b'"a\\u0000b"', "U+0000"),
    "NUL in a name": (b'[{"a\\u0000": 1}]', "U+0000"),
    "raw NUL": (b'"a\x00b"', "Invalid control character"),
    "high surrogate": (b'"\\ud800"', "half of a surrogate pair"),
    "low surrogate": (b'{"a": ["\\udc00 x"]}', "half of a surrogate pair"),
    "surrogates in the wrong order": (b'"\\ude00\\ud83d"', "half of a surrogate pair"),
    "surrogate in a name": (b'{"\\udfff": 1}', "half of a surrogate pair"),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', "UTF-8"),
    "not UTF-8": (b'"\xff"', "UTF-8"),
    "Latin-1": ('"é"'.encode("latin-1"), "UTF-8"),
    "overlong UTF-8": (b'"\xc0\x80"', "UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-8"),
    "UTF-32": ('{"a": 1}'.encode("utf-32-le"), "Expecting property name"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "BOM"),
    "the same name twice": (b'{"a": 1, "a": 1}', "the same name twice"),
    "the same name twice, deep": (b'[{"b": {"a": 1, "a": 2}}]', "the same name twice"),
    "the same name twice, escaped": (b'{"a": 1, "\\u0061": 2}', "the same name twice"),
    "100,000 lists": (nested(100_000), "nested deeper than 64"),
    "100,000 objects": (nested(100_000, brackets=('{"a":', "}")), "nested deeper than 64"),
    "100,000 lists, unclosed": (b"[" * 100_000, "nested deeper than 64"),
    "65 empty lists": (nested(65, inside=""), "nested deeper than 64"),
    "500 levels": (nested(500), "nested deeper than 64"),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_json_that_cannot_be_stored_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=re.escape(reason)):
        loads(body)
