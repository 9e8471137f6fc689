"""Only our own valid, unexpired tokens are accepted."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_trigger.auth.tokens import LONGEST_TOKEN_CHARACTERS, AccessClaims, Tokens
from tests.support.problems import problem_of
from tests.support.services import ADA, SECRET

LOGIN = UUID(int=ADA)
SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
OURS = AccessClaims(user_id=ADA, login_id=LOGIN, expires_at=SOME_TIME)
KID = hashlib.sha256(SECRET.encode()).hexdigest()[:8]
HEADER = {"alg": "HS256", "typ": "JWT", "kid": KID}
GONE = object()  # what a claim is set to in order to leave it out
TOKENS = Tokens(SECRET)


def now() -> datetime:
    return datetime.now(UTC)


def read(tokens: Tokens, text: str) -> AccessClaims | None:
    return tokens.read(text, at=now())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    second = int(time.time())
    ours = {
        "iss": "event-trigger",
        "aud": "event-trigger",
        "sub": str(ADA),
        "sid": str(LOGIN),
        "jti": "1",
        "iat": second,
        "exp": second + 600,
    }
    return {name: value for name, value in {**ours, **changes}.items() if value is not GONE}


def sealed(
    header: bytes,
    payload: bytes,
    *,
    secret: str = SECRET,
    digest: Callable[..., Any] = hashlib.sha256,
) -> str:
    """Signs a JWT by hand, because a library would refuse to write a forger's claims."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.digest(secret.encode(), signed.encode(), digest))}"


def token(header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {
        name: value for name, value in {**HEADER, **(header or {})}.items() if value is not GONE
    }
    return sealed(json.dumps(head).encode(), json.dumps(claims(**changes)).encode())


def test_a_token_made_by_hand_is_read_if_it_is_right() -> None:
    assert read(TOKENS, token()) == OURS


def test_what_is_issued_can_be_read() -> None:
    issued = TOKENS.issue(user_id=2**63 - 1, login_id=LOGIN, at=now())

    assert read(TOKENS, issued) == AccessClaims(
        user_id=2**63 - 1, login_id=LOGIN, expires_at=SOME_TIME
    )
    assert len(issued) < LONGEST_TOKEN_CHARACTERS


@pytest.mark.parametrize("century", [1970, 2000, 2900])
def test_a_token_ends_after_an_hour_by_the_clock_that_is_given(century: int) -> None:
    made_at = datetime(century, 2, 1, tzinfo=UTC)
    issued = TOKENS.issue(user_id=ADA, login_id=LOGIN, at=made_at)

    for seconds, expected in ((0, OURS), (3599, OURS), (3600, None), (7200, None)):
        assert TOKENS.read(issued, at=made_at + timedelta(seconds=seconds)) == expected


def test_the_previous_secret_is_still_read_and_the_current_one_signs() -> None:
    old, new = "o" * 32, "n" * 32
    before, during, after = Tokens(old), Tokens(new, previous=old), Tokens(new)

    issued_before = before.issue(user_id=ADA, login_id=LOGIN, at=now())
    issued_during = during.issue(user_id=ADA, login_id=LOGIN, at=now())

    assert read(during, issued_before) == OURS
    assert read(after, issued_before) is None
    assert read(during, issued_during) == read(after, issued_during) == OURS
    assert read(before, issued_during) is None


def test_a_key_id_does_not_give_the_secret_away() -> None:
    issued = TOKENS.issue(user_id=ADA, login_id=LOGIN, at=now())

    header = base64.urlsafe_b64decode(issued.split(".")[0] + "==")

    assert json.loads(header) == HEADER
    assert len(KID) == 8


HEAD = json.dumps(HEADER).encode()
NAMELESS = {
    "alg none, unsigned": token({"alg": "none"}).rpartition(".")[0] + ".",
    "alg none, signed": token({"alg": "none"}),
    "alg None": token({"alg": "None"}),
    "alg nOnE": token({"alg": "nOnE"}),
    "alg HS512, rightly signed": sealed(
        json.dumps({**HEADER, "alg": "HS512"}).encode(),
        json.dumps(claims()).encode(),
        digest=hashlib.sha512,
    ),
    "alg HS384, rightly signed": sealed(
        json.dumps({**HEADER, "alg": "HS384"}).encode(),
        json.dumps(claims()).encode(),
        digest=hashlib.sha384,
    ),
    "alg RS256": token({"alg": "RS256"}),
    "alg missing": token({"alg": GONE}),
    "alg null": token({"alg": None}),
    "alg a list": token({"alg": ["HS256"]}),
    "alg an object": token({"alg": {}}),
    "another secret": sealed(HEAD, json.dumps(claims()).encode(), secret="x" * 40),
    "an empty secret": sealed(HEAD, json.dumps(claims()).encode(), secret=""),
    "its own key": sealed(
        json.dumps({**HEADER, "jwk": {"kty": "oct", "k": b64(b"x" * 40)}}).encode(),
        json.dumps(claims()).encode(),
        secret="x" * 40,
    ),
    "unsigned": token().rpartition(".")[0] + ".",
    "half a signature": token()[:-20],
    "the signature of another": token().rpartition(".")[0] + "." + token(jti="2").split(".")[2],
    "kid unknown": token({"kid": "00000000"}),
    "kid missing": token({"kid": GONE}),
    "kid null": token({"kid": None}),
    "kid a list": token({"kid": [KID]}),
    "kid an object": token({"kid": {}}),
    "kid a number": token({"kid": 1}),
    "header a list": sealed(b"[]", json.dumps(claims()).encode()),
    "header a string": sealed(b'"HS256"', json.dumps(claims()).encode()),
    "header null": sealed(b"null", json.dumps(claims()).encode()),
    "header not JSON": sealed(b"{", json.dumps(claims()).encode()),
    "header not UTF-8": sealed(b"\xff\xfe", json.dumps(claims()).encode()),
    "header deeply nested": sealed(b"[" * 1300, b"{}"),
    "header an object deeply nested": sealed(b'{"a":' * 250, b"{}"),
    "payload deeply nested": sealed(HEAD, b"[" * 1300),
    "payload an object deeply nested": sealed(HEAD, b'{"a":' * 250),
    "payload a list": sealed(HEAD, b"[]"),
    "payload a string": sealed(HEAD, b'"x"'),
    "payload a number": sealed(HEAD, b"1"),
    "payload null": sealed(HEAD, b"null"),
    "payload empty": sealed(HEAD, b""),
    "payload not JSON": sealed(HEAD, b"{"),
    "payload not UTF-8": sealed(HEAD, b'{"sub": "\xff"}'),
    "no claims": sealed(HEAD, b"{}"),
    "longer than 2048": token(pad="x" * 1500),
    "much longer": token(pad="x" * 100_000),
    "five parts, as a JWE has": ".".join([token(), "a", "b"]),
    "five empty parts": "....",
    "a JWE's header": b64(b'{"alg":"dir","enc":"A128CBC-HS256","zip":"DEF"}') + "..AA.AA.AA",
    "two parts": token().rpartition(".")[0],
    "one part": "abc",
    "empty": "",
    "dots": "..",
    "not base64": "!!!.???.***",
    "NUL": "\0.\0.\0",
    "not ASCII": "é.é.é",
    "half a surrogate pair": "\ud800.\ud800.\ud800",
    "a line break after it": token() + "\n.",
}
CLAIMS: dict[str, dict[str, Any]] = {
    **{f"{name} missing": {name: GONE} for name in claims()},
    **{f"{name} null": {name: None} for name in claims() if name != "jti"},
    **{f"{name} a list": {name: []} for name in claims()},
    **{f"{name} an object": {name: {}} for name in claims()},
    "expired": {"exp": int(time.time()) - 1},
    "expired long ago": {"exp": 0},
    "expires before time": {"exp": -(10**400)},
    "exp true": {"exp": True},
    "exp in words": {"exp": "tomorrow"},
    "exp infinite": {"exp": float("inf")},
    "exp minus infinite": {"exp": float("-inf")},
    "exp not a number": {"exp": float("nan")},
    "iat in words": {"iat": "today"},
    "iat infinite": {"iat": float("inf")},
    "not yet valid": {"nbf": int(time.time()) + 600},
    "nbf, which ours have not": {"nbf": 0},
    "nbf in words": {"nbf": "today"},
    "nbf infinite": {"nbf": float("inf")},
    "nbf a list": {"nbf": []},
    "for somebody else": {"aud": "another-service"},
    "for somebody else, in a list": {"aud": ["another-service"]},
    "for numbers": {"aud": [1, None, {}]},
    "aud a number": {"aud": 7},
    "by somebody else": {"iss": "another-service"},
    "by a list with us": {"iss": ["event-trigger"]},
    "iss a number": {"iss": 7},
    "jti a number": {"jti": 7},
    "sub a number": {"sub": ADA},
    "sub true": {"sub": True},
    "sub empty": {"sub": ""},
    "sub a name": {"sub": "ada"},
    "sub zero": {"sub": "0"},
    "sub negative": {"sub": "-2"},
    "sub with a zero before it": {"sub": "02"},
    "sub with a plus": {"sub": "+2"},
    "sub with a space": {"sub": " 2"},
    "sub with a line break": {"sub": "2\n"},
    "sub a fraction": {"sub": "2.0"},
    "sub with an underscore": {"sub": "1_0"},
    "sub in Arabic digits": {"sub": "٢"},
    "sub over 64 bits": {"sub": str(2**63)},
    "sub nineteen nines": {"sub": "9" * 19},
    "sub huge": {"sub": "9" * 1000},
    "sid empty": {"sid": ""},
    "sid garbage": {"sid": "garbage"},
    "sid a number": {"sid": 2},
    "sid huge": {"sid": 10**300},
    "sid true": {"sid": True},
    "sid with NUL": {"sid": "\0" * 32},
}
FORGED = NAMELESS | {name: token(**changes) for name, changes in CLAIMS.items()}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(forged: str) -> None:
    assert read(TOKENS, forged) is None


def test_a_token_is_read_up_to_2048_characters() -> None:
    padded = [token(pad="x" * length) for length in range(1180, 1300)]

    longest = max((one for one in padded if len(one) <= LONGEST_TOKEN_CHARACTERS), key=len)

    assert len(longest) > LONGEST_TOKEN_CHARACTERS - 3
    assert read(TOKENS, longest) == OURS


async def test_every_forged_token_is_answered_as_no_token_is(anonymous: httpx.AsyncClient) -> None:
    expected = problem_of(await anonymous.get("/auth/me"), 401)

    for name, forged in FORGED.items():
        header = f"Bearer {forged}".encode("utf-8", "surrogatepass")
        answer = await anonymous.get("/auth/me", headers={b"authorization": header})

        assert problem_of(answer, 401) == expected, name


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    assert read(TOKENS, text) is None


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
def test_no_parts_are_a_token(parts: list[bytes]) -> None:
    assert read(TOKENS, ".".join(map(b64, parts))) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), JSON))
def test_no_header_makes_it_crash(header: dict[str, Any]) -> None:
    found = read(TOKENS, token(header))

    assert found is None or {"alg", "kid"}.isdisjoint(header)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*claims(), "nbf", "at_hash", "x"]), JSON))
def test_no_claims_make_it_crash(changes: dict[str, Any]) -> None:
    found = read(TOKENS, token(**changes))

    assert found is None or {"iss", "aud", "sub", "sid"}.isdisjoint(changes)
