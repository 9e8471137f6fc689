"""Serves with a wrong clock: `python skewed.py SECONDS serve`."""

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.interval
import jose.jwt

from event_trigger import clock
from event_trigger.cli import main

OFF_BY = timedelta(seconds=float(sys.argv.pop(1)))


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class SkewedDatetime(datetime, metaclass=_AnyDatetime):
    """Shifts `now()`, and leaves everything else alone."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + OFF_BY


def skew() -> None:
    right = time.time
    time.time = lambda: right() + OFF_BY.total_seconds()
    for module in (
        clock,
        apscheduler.executors.base,
        apscheduler.schedulers.base,
        apscheduler.triggers.interval,
        jose.jwt,
    ):
        setattr(module, "datetime", SkewedDatetime)


if __name__ == "__main__":
    skew()
    print(f"Clock   {clock.utc_now():%H:%M:%S}, really {datetime.now(UTC):%H:%M:%S}")
    sys.exit(main())
