"""A replica's lag is bounded by WAL positions alone; without a proof it does not count as fresh."""

from event_trigger.db.replica.lag import LagBound


def test_nobody_knows_before_the_first_look() -> None:
    assert not LagBound(bound=5).holds(0)


def test_a_replica_that_has_all_is_fresh_until_the_bound_after_the_look() -> None:
    freshness = LagBound(bound=5)

    freshness.note(at=10, primary=100, replica=100)

    assert freshness.holds(15)
    assert not freshness.holds(15.1)


def test_an_idle_primary_makes_no_replica_old() -> None:
    freshness = LagBound(bound=5)

    for second in range(1000):
        freshness.note(at=second, primary=100, replica=100)

    assert freshness.holds(1000)


def test_a_replica_that_runs_after_a_busy_primary_is_as_old_as_what_it_has_reached() -> None:
    freshness = LagBound(bound=5)

    for second in range(100):
        freshness.note(at=second, primary=100 * second, replica=100 * (second - 3))

    assert freshness.holds(99)
    assert freshness.holds(96 + 5)
    assert not freshness.holds(96 + 5.1)


def test_a_replica_further_behind_than_the_bound_is_never_fresh() -> None:
    freshness = LagBound(bound=5)

    fresh = []
    for second in range(100):
        freshness.note(at=second, primary=100 * second, replica=100 * (second - 7))
        fresh.append(freshness.holds(second))

    assert not any(fresh)


def test_one_that_stands_still_is_left_and_comes_back_when_it_has_caught_up() -> None:
    freshness = LagBound(bound=5)
    freshness.note(at=0, primary=100, replica=100)

    for second in range(1, 20):
        freshness.note(at=second, primary=100 + second, replica=100)
    stood_still = freshness.holds(19)
    freshness.note(at=20, primary=119, replica=119)

    assert not stood_still
    assert freshness.holds(20)
