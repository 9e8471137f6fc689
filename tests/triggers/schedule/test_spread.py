"""Each trigger has its own constant part of a spread."""

from datetime import timedelta

from event_trigger.triggers.schedule.spread import shift_seconds

HOUR = timedelta(hours=1)


def test_parts_are_constant_and_even() -> None:
    parts = [shift_seconds(HOUR, installation="a", trigger_id=n) for n in range(6000)]
    again = [shift_seconds(HOUR, installation="a", trigger_id=n) for n in range(6000)]
    elsewhere = [shift_seconds(HOUR, installation="b", trigger_id=n) for n in range(6000)]

    by_minute = [sum(one // 60 == minute for one in parts) for minute in range(60)]
    assert parts == again != elsewhere
    assert sum(by_minute) == 6000  # all of them within the hour
    assert 50 < min(by_minute) <= max(by_minute) < 150
    assert shift_seconds(timedelta(seconds=1.5), installation="a", trigger_id=1) == 0
