"""A failure of TLS and a redirect say why and whereto, but for internal addresses never."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvloop

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.http.tls_reason import tls_reason
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.models import DeliveryError
from tests.support.certificates import HOUR, Authority, Issued, server_context, tls_receiver
from tests.support.names import resolving

NAME = "hook.example"
KNOWN, UNKNOWN = Authority("Known"), Authority("Unknown")
LOOPBACK = [ip_network("127.0.0.0/8")]


class AsIfPublic(AddressPolicy):
    """Takes loopback for the Internet."""

    def may_tell_of(self, address: str) -> bool:
        return address == "127.0.0.1"


async def post(port: int, ca_file: Path, policy: AddressPolicy) -> AttemptResult:
    sender = Sender(policy, resolving("127.0.0.1").lookup, ca_file=ca_file)
    try:
        url, headers = f"https://{NAME}:{port}/hook", {"X-Key": "sesame-1234"}
        return await sender.send(url, headers, b"{}", within=10)
    finally:
        await sender.aclose()


async def post_to(
    folder: Path, context: ssl.SSLContext | None, *, policy: AddressPolicy, **answer: Any
) -> AttemptResult:
    async with tls_receiver(context) as receiver:
        receiver.__dict__.update(answer)
        return await post(receiver.port, KNOWN.save(folder), policy)


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a receiver that refuses one handshake, and closes the connection at the end.

    One that closes it at once may reset it, and then its reason never arrives.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as accepted:

        def refuse() -> None:
            plain, _ = listener.accept()
            connection = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            accepted.enter_context(connection)
            with suppress(OSError):  # of TLS, or because the test is over
                connection.do_handshake()

        Thread(target=refuse, daemon=True).start()
        yield listener.getsockname()[1]


def _self_signed() -> Issued:
    alone = Authority(NAME)
    return Issued(alone.certificate, alone.issue(NAME, key=alone.key).private_key)


CASES: dict[str, tuple[Issued, str]] = {
    "expired": (KNOWN.issue(NAME, begins_in=-2 * HOUR, ends_in=-HOUR), "has expired"),
    "not yet": (KNOWN.issue(NAME, begins_in=HOUR, ends_in=2 * HOUR), "not valid yet"),
    "another host": (KNOWN.issue("other.example"), "for other names than the URL's host"),
    "unknown authority": (UNKNOWN.issue(NAME), "not signed by an authority that is trusted here"),
    "signed by itself": (_self_signed(), "signed by itself"),
}


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_reason_of_a_failure_is_told_for_public_addresses_only(
    tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        for name, (issued, words) in CASES.items():
            context = server_context(issued.save(tmp_path))
            public, internal = (
                runner.run(post_to(tmp_path, context, policy=policy(LOOPBACK)))
                for policy in (AsIfPublic, AddressPolicy)
            )

            assert public.error is internal.error is DeliveryError.TLS_FAILED, name
            assert words in (public.reason or ""), name
            assert internal == AttemptResult(DeliveryError.TLS_FAILED), name


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("newest", "words"),
    [
        (ssl.TLSVersion.TLSv1_3, "wants a client certificate"),
        (ssl.TLSVersion.TLSv1_2, "or wants a client certificate"),
    ],
)
def test_a_receiver_that_wants_a_client_certificate_is_told_apart(
    tmp_path: Path,
    newest: ssl.TLSVersion,
    words: str,
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    clients = UNKNOWN.save(tmp_path)
    context = server_context(KNOWN.issue(NAME).save(tmp_path), clients_of=clients)
    context.maximum_version = newest

    with asyncio.Runner(loop_factory=make_loop) as runner, refusing(context) as port:
        result = runner.run(post(port, KNOWN.save(tmp_path), AsIfPublic(LOOPBACK)))

    assert result.error is DeliveryError.TLS_FAILED
    assert words in (result.reason or "")


async def test_a_receiver_that_closes_the_connection_may_want_a_client_certificate(
    tmp_path: Path,
) -> None:
    clients = UNKNOWN.save(tmp_path)
    context = server_context(KNOWN.issue(NAME).save(tmp_path), clients_of=clients)

    result = await post_to(tmp_path, context, policy=AsIfPublic(LOOPBACK))

    assert result.error in (DeliveryError.TLS_FAILED, DeliveryError.CONNECTION_FAILED)
    assert "client certificate" in (result.reason or "")


async def test_a_receiver_without_tls_is_told_apart(tmp_path: Path) -> None:
    result = await post_to(tmp_path, None, policy=AsIfPublic(LOOPBACK))

    assert result.error is DeliveryError.TLS_FAILED
    assert "does not speak TLS" in (result.reason or "")


async def test_the_location_of_a_redirect_is_told_for_public_addresses_only(
    tmp_path: Path,
) -> None:
    context = server_context(KNOWN.issue(NAME).save(tmp_path))
    location = "https://www.example.com/\u202e?key=sesame-1234&é=" + "x" * 3000
    moved = {"status": 308, "headers": {"Location": location}}

    public = await post_to(tmp_path, context, policy=AsIfPublic(LOOPBACK), **moved)
    internal = await post_to(tmp_path, context, policy=AddressPolicy(LOOPBACK), **moved)
    created = await post_to(
        tmp_path, context, policy=AsIfPublic(LOOPBACK), **{**moved, "status": 201}
    )

    assert public.error is internal.error is DeliveryError.REDIRECTED
    assert public.location is not None
    assert public.location.startswith("https://www.example.com/\ufffd?key=********&é=xxx")
    assert len(public.location) == 2048
    assert internal.location is None
    assert (created.error, created.location) == (None, None)


def test_what_openssl_says_of_other_certificates_is_repeated() -> None:
    failure = ssl.SSLCertVerificationError(1, "long text")
    failure.verify_code, failure.verify_message = 92, "Missing Authority Key Identifier"

    assert tls_reason([OSError(), failure]) == (
        "The receiver's certificate is not accepted: Missing Authority Key Identifier."
    )
    assert tls_reason([OSError()]) is None
