"""The address of a client is an address, whatever a trusted proxy writes."""

import pytest

from event_trigger.web.request_head import client_address


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 443), "192.0.2.1"),
        (("2001:DB8::1", 443), "2001:db8::1"),
        (("fe80::1%eth0", 443), "fe80::1"),
        (("::1%" + "x" * 5000, 443), "::1"),
        (("::ffff:192.0.2.1", 443), "192.0.2.1"),
        (("::FFFF:c000:201%<script>", 443), "192.0.2.1"),
        (("%eth0", 0), "unknown"),
        (("192.0.2.1\0", 0), "unknown"),
        (("garbage<script>", 0), "unknown"),
        (("x" * 5000, 0), "unknown"),
        (("", 0), "unknown"),
        (None, None),
    ],
)
def test_what_is_no_address_is_unknown(client: tuple[str, int] | None, address: str | None) -> None:
    assert client_address({"client": client}) == address
