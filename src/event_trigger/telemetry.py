"""Declares what this process counts and measures; `metrics/` serves the numbers.

The instruments belong to the process, as its log does, and all its applications share them. In a
worker of `serve --workers` they are in files that all workers read (`PROMETHEUS_MULTIPROC_DIR`).
No label holds a trigger, an event, a user or a path as it was sent; only
EVENT_TRIGGER_METRICS_PER_DESTINATION brings the ids of destinations.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from event_trigger.models import DeliveryStatus, EventType, UnfiredReason

disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each counter

REGISTRY = CollectorRegistry()
PREFIX = "event_trigger_"
Mode = Literal["livesum", "livemax", "livemin", "max"]  # how the values of workers are put together

# seconds; the first are those that OpenTelemetry advises for HTTP
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_JOB_SECONDS = (0.01, 0.1, 1, 10, 60, 600)
_LOOP_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class SignInOutcome(StrEnum):
    SUCCEEDED = "succeeded"
    WRONG = "wrong"
    THROTTLED = "throttled"


class ConnectionState(StrEnum):
    IDLE = "idle"
    USED = "used"


def _counter(name: str, words: str, *labels: str) -> Counter:
    return Counter(name, words, labels, registry=REGISTRY)


def _gauge(name: str, words: str, *labels: str, mode: Mode = "livesum") -> Gauge:
    return Gauge(name, words, labels, registry=REGISTRY, multiprocess_mode=mode)


def _histogram(name: str, words: str, *labels: str, buckets: Sequence[float]) -> Histogram:
    return Histogram(name, words, labels, registry=REGISTRY, buckets=buckets)


# firing

_fired = _counter(PREFIX + "events_fired", "Events that were stored.", "type", "is_test")
EVENTS_FIRED = {
    (kind, is_test): _fired.labels(kind, str(is_test).lower())
    for kind, is_test in product(EventType, (False, True))
}
_lag = _histogram(
    PREFIX + "firing_lag_seconds",
    "From the planned instant, or the arrival of a call, to the commit of its event.",
    "kind",
    buckets=_LAG_SECONDS,
)
FIRING_LAG = {kind: _lag.labels(kind) for kind in EventType}
_unfired = _counter(
    PREFIX + "instants_unfired", "Planned instants that did not fire, by reason.", "reason"
)
INSTANTS_UNFIRED = {reason: _unfired.labels(reason) for reason in UnfiredReason}
TRIGGERS_SET_ASIDE = _counter(
    PREFIX + "triggers_set_aside", "Triggers that could not fire, and were paused with an error."
)

# jobs

JOB_LAST_SUCCESS = _gauge(
    PREFIX + "job_last_success_timestamp_seconds",
    "When a job last succeeded here; its start counts as one.",
    "job",
    mode="max",
)
JOB_INTERVAL = _gauge(
    PREFIX + "job_interval_seconds", "How often a job runs at least.", "job", mode="max"
)
JOB_FAILURES = _counter(
    PREFIX + "job_failures", "Failed runs of a job, by SQLSTATE.", "job", "sqlstate"
)
JOB_DURATION = _histogram(
    PREFIX + "job_duration_seconds", "How long a run of a job took.", "job", buckets=_JOB_SECONDS
)
NO_SQLSTATE = "none"

# deliveries

_attempts = _counter(
    PREFIX + "delivery_attempts",
    "Recorded attempts, by the state of the delivery after.",
    "outcome",
)
DELIVERY_ATTEMPTS: Mapping[DeliveryStatus, Counter] = {
    one: _attempts.labels(one) for one in DeliveryStatus if one is not DeliveryStatus.PENDING
}
DESTINATION_ATTEMPTS = _counter(
    PREFIX + "destination_delivery_attempts",
    "As delivery_attempts_total, with EVENT_TRIGGER_METRICS_PER_DESTINATION=true.",
    "destination",
    "outcome",
)
DELIVERY_DURATION = _histogram(
    PREFIX + "delivery_attempt_duration_seconds",
    "From the first byte of a delivery's request to the end of its answer, or the failure.",
    buckets=(*SECONDS, 15, 30),
)
DELIVERIES_EXHAUSTED = _counter(
    PREFIX + "deliveries_exhausted", "Deliveries whose last attempt failed."
)
SENDER_IN_FLIGHT = _gauge(PREFIX + "sender_in_flight", "Requests to receivers that are under way.")
SENDER_LIMIT = _gauge(PREFIX + "sender_in_flight_limit", "The most requests that may be under way.")

# the database's connections

CONNECTIONS = _gauge(
    "db_client_connection_count", "Open connections to PostgreSQL.", "pool", "state"
)
CONNECTIONS_MAX = _gauge("db_client_connection_max", "The most connections of a pool.", "pool")
_CONNECTION_WAIT = _histogram(
    "db_client_connection_wait_time_seconds",
    "How long callers waited for a connection when none was free.",
    "pool",
    buckets=SECONDS,
)
_CONNECTION_TIMEOUTS = _counter(
    "db_client_connection_timeouts", "Callers that got no connection in time.", "pool"
)
LISTENER_CONNECTED = _gauge(
    PREFIX + "listener_connected",
    "Whether every process hears PostgreSQL's notifications.",
    mode="livemin",
)
REPLICA_USED = _gauge(
    PREFIX + "replica_used", "Whether every process reads from the replica.", mode="livemin"
)
REPLICA_AGE = _gauge(
    PREFIX + "replica_age_seconds", "How old the replica's data may be.", mode="livemax"
)
GAUGES_FAILED = _counter(
    PREFIX + "database_gauges_failures",
    "Failed reads of the gauges that come from the database: they keep their values.",
)

# the process and its callers

EVENT_LOOP_LAG = _histogram(
    PREFIX + "event_loop_lag_seconds",
    "How much later than asked a timer of the event loop ran, four times a second.",
    buckets=_LOOP_SECONDS,
)
_sign_ins = _counter(PREFIX + "sign_ins", "Sign-ins with a password.", "outcome")
SIGN_INS = {one: _sign_ins.labels(one) for one in SignInOutcome}
HOOK_REFUSALS = _counter(PREFIX + "hook_refusals", "Refused calls of hooks, by reason.", "reason")
STREAMS = _gauge(PREFIX + "streams", "Open streams of events.")
READERS_DROPPED = _counter(
    PREFIX + "readers_dropped", "Connections that were ended because their client did not read."
)
HTTP_DURATION = _histogram(
    "http_server_request_duration_seconds",
    "How long answers took, by method, route and status.",
    "method",
    "route",
    "status",
    buckets=SECONDS,
)


class PoolMeter:
    """Measures one pool of connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._wait = _CONNECTION_WAIT.labels(name)
        self._timeouts = _CONNECTION_TIMEOUTS.labels(name)

    def waited(self, seconds: float) -> None:
        self._wait.observe(seconds)

    def timed_out(self) -> None:
        self._timeouts.inc()


def count_unfired(counts: Iterable[tuple[UnfiredReason, int]]) -> None:
    for reason, count in counts:
        INSTANTS_UNFIRED[reason].inc(count)
