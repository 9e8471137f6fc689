"""Failures of TLS and redirects are logged, once a minute for each destination."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.attempt_log import AttemptLog, origin_in
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.models import DeliveryError

EXPIRED = AttemptResult(DeliveryError.TLS_FAILED, reason="A certificate has expired.")
CLOSED = AttemptResult(DeliveryError.CONNECTION_FAILED, reason="The receiver closed it.")
MOVED = AttemptResult(
    DeliveryError.REDIRECTED, 302, location="https://user:pass@www.example.com:444/a?key=b"
)


def attempt(destination_id: int) -> Attempt:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    url = "https://example.com/hook"
    return Attempt(1, 5, 1, destination_id, 2, 0, at, 0, url, 1, form=None)


def test_one_line_a_minute_is_written_about_a_destination() -> None:
    now = 0.0
    attempt_log = AttemptLog(lambda: now)

    with capture_logs() as lines:
        for second in range(0, 121, 10):
            now = float(second)
            attempt_log.note(attempt(7), EXPIRED)
            attempt_log.note(attempt(9), AttemptResult(DeliveryError.TIMEOUT))
            attempt_log.note(attempt(9), CLOSED)
        attempt_log.note(attempt(8), MOVED)

    about = {"event": "receiver_misconfigured", "delivery_id": 5, "log_level": "warning"}
    expired = {**about, "destination_id": 7, "error": "tls_failed", "reason": EXPIRED.reason}
    moved = {**about, "destination_id": 8, "error": "redirected"}
    assert lines == [
        expired,
        expired,
        expired,
        {**moved, "location": "https://www.example.com:444"},
    ]


def test_many_destinations_are_not_remembered_for_ever() -> None:
    attempt_log = AttemptLog(lambda: 0.0)

    with capture_logs() as lines:
        for destination_id in range(2000):
            attempt_log.note(attempt(destination_id), EXPIRED)
        attempt_log.note(attempt(1999), EXPIRED)
        attempt_log.note(attempt(0), EXPIRED)

    assert [one["destination_id"] for one in lines] == [*range(2000), 0]


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("http://example.com", "http://example.com"),
        ("https://[::1]:8/x", "https://[::1]:8"),
        ("/login?next=secret", None),
        ("//example.com/x", None),
        ("https://[broken/", None),
        ("https://example.com:x/", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_only_the_origin_of_a_location_is_logged(location: str, origin: str | None) -> None:
    assert origin_in(location) == origin
