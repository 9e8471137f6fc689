"""A cluster sorts durations into buckets in Python, and one server does it in SQL."""

from typing import Any

from event_trigger.models.minute_count import bucket_holding, bucket_of


async def test_a_duration_is_in_the_same_bucket_in_both(database: Any) -> None:
    durations = [0.0, 0.4, 1.0, 1.3, 7.77, 12.5, 250.0, 999.9, 30_000.0, 1e9]

    rows = await database.fetch(
        f"SELECT {bucket_of('ms')} AS bucket FROM unnest($1::float8[]) AS given (ms)", durations
    )

    assert [bucket_holding(one) for one in durations] == [row["bucket"] for row in rows]
