"""An event keeps what came besides the body and says what it is, and no secret."""

from typing import Any

import pytest
from pydantic import ValidationError

from event_trigger.events.source import EventSource, SourceKind
from event_trigger.hooks.acceptance import Acceptance
from event_trigger.hooks.sources import LONGEST_QUERY, LONGEST_VALUE, MOST_HEADERS, source_of
from event_trigger.triggers.schemas.accepting import HookAcceptance
from tests.support.hooks import request_of

SECRETS = [
    *("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth", "apikey"),
    *("x-hub-signature-256", "webhook-signature", "svix-signature", "stripe-signature"),
    *("x-gitlab-token", "x-slack-signature", "x-shopify-hmac-sha256", "x-signature-ed25519"),
    *("x-twilio-signature", "x-accesstoken", "x-csrf-token", "x-session-id", "x-my-secret"),
]


def source(
    *headers: tuple[str, str], query: str = "", of: dict[str, Any] | None = None
) -> EventSource:
    request = request_of(headers, method="PUT", query=query, address="192.0.2.1")
    return source_of(Acceptance.of({"verify": "none", **(of or {})}), request)


def test_the_way_and_the_senders_headers_are_kept() -> None:
    described = {
        "x-github-event": "push",
        "x-shopify-topic": "orders/create",
        "ce-type": "com.example",
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/1",
        "x-topic": "a",
    }
    others = [("host", "service.test"), ("x-forwarded-for", "10.0.0.1"), ("x-other", "1")]

    kept = source(
        *described.items(), *others, query="a=1&b=%20", of={"headers": ["X-Topic", "X-Absent"]}
    )

    assert kept == EventSource(
        SourceKind.HOOK,
        address="192.0.2.1",
        method="PUT",
        query="a=1&b=%20",
        headers=described,
    )


@pytest.mark.parametrize("name", SECRETS)
def test_credentials_and_signatures_are_never_kept(name: str) -> None:
    kept = source((name, "s3cret"), (f"ce-{name}", "s3cret"), of={"headers": [name]})

    assert kept.headers is None


@pytest.mark.parametrize(
    "name", ["X-Event-Key", "X-Idempotency-Key", "Idempotency-Key", "X-Routing-Key", "Event-Key"]
)
def test_a_header_whose_key_is_no_secret_can_be_named_and_is_kept(name: str) -> None:
    named = HookAcceptance.model_validate({"headers": [name]}).headers

    assert named == [name]
    assert source((name.lower(), "a"), of={"headers": named}).headers == {name.lower(): "a"}


@pytest.mark.parametrize("name", [*SECRETS, "x-secret-event-key", "x-routing-key-token", "x-key"])
def test_a_header_that_may_be_a_secret_cannot_be_named(name: str) -> None:
    with pytest.raises(ValidationError, match="may hold a credential"):
        HookAcceptance.model_validate({"headers": [name]})


def test_the_header_that_holds_the_hooks_own_secret_is_never_kept() -> None:
    for name in ("x-topic", "x-event-key"):
        options = {"verify": "token", "header": name.title(), "headers": [name]}

        assert source((name, "s3cret"), of=options).headers is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a=1&token=s3cret&b=2", "a=1&token=***&b=2"),
        ("api_key=s3cret", "api_key=***"),
        ("%74oken=s3cret&Signature=s3cret", "%74oken=***&Signature=***"),
        ("accessToken=s3cret&sig=s3cret%3D", "accessToken=***&sig=***"),
        ("key", "key"),
        ("pwd=s3cret&user.pass=s3cret&db_pwd=s3cret", "pwd=***&user.pass=***&db_pwd=***"),
        ("accesskey=s3cret&clientKey=s3cret&otp=1", "accesskey=***&clientKey=***&otp=***"),
        ("code=s3cret&passphrase=s3cret&pin=1", "code=***&passphrase=***&pin=***"),
        ("author=me&x", "author=me&x"),
        ("country_codes=de&passed=1&monkey=2&spin=3", "country_codes=de&passed=1&monkey=2&spin=3"),
        ("sid=s3cret&ticket=s3cret&PHPSESSID=s3cret", "sid=***&ticket=***&PHPSESSID=***"),
        ("oauth_verifier=s3cret&x.sid=s3cret", "oauth_verifier=***&x.sid=***"),
        ("ticket_id=1&tickets=2&side=3&verified=4", "ticket_id=1&tickets=2&side=3&verified=4"),
        ("idempotency_key=s3cret&routing-key=s3cret", "idempotency_key=***&routing-key=***"),
        ("token=s3;cr;et&b=2", "token=***&b=2"),
        ("token=;s3cret", "token=***"),
        ("a=1;b;token=s3;cr=e;t&sig=s3cret;&c=3", "a=1;b;token=***&sig=***&c=3"),
        ("a=1;b=2;;c", "a=1;b=2;;c"),
        ("&&=1&a==&token=&key=s=3", "&&=1&a==&token=&key=***"),
    ],
)
def test_secrets_in_a_query_are_masked(sent: str, kept: str) -> None:
    assert source(query=sent).query == kept


def test_what_is_kept_is_bounded() -> None:
    many = [(f"ce-n{number}", "x") for number in range(MOST_HEADERS + 10)]
    long = ("user-agent", "x" * (LONGEST_VALUE + 1))

    kept = source(long, *many, query="x" * (LONGEST_QUERY + 1))

    assert kept.headers is not None
    assert len(kept.headers) == MOST_HEADERS
    assert len(kept.headers["user-agent"]) == LONGEST_VALUE
    assert kept.query == "x" * LONGEST_QUERY


@pytest.mark.parametrize("piece", ["a", "=", "&", ";", "token=s3cret&", "%41", "a=&"])
def test_a_query_of_any_length_is_cut_before_it_is_read(piece: str) -> None:
    kept = source(query=piece * 1_000_000).query

    assert kept is not None
    assert len(kept) <= LONGEST_QUERY
    assert "s3cret" not in kept


def test_a_repeated_header_is_joined_and_none_is_nothing() -> None:
    assert source(("ce-a", "1"), ("ce-a", "2")).headers == {"ce-a": "1, 2"}
    assert source().headers is None
    assert source().query is None
