"""The plan of a set, for any file and any state: applying it leaves nothing to do."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from event_trigger.errors import pointer
from event_trigger.models import TriggerStatus
from event_trigger.sets.comparison import (
    MemberKind,
    OwnedElsewhere,
    SetPlan,
    Stored,
    Wanted,
    make_plan,
)
from event_trigger.web.changes import Change

SET = "billing"
SPECS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"name": "a"},
        {"payload": {"a": 1, "b/~": {"c": None}}},
        {"payload": {"a": True, "b/~": {}}},
        {"payload": {"a": [1, {"b": 2}]}},
        {"details": {"cron": "@daily"}, "tags": ["a", "b"]},
        {"tags": ["b", "a"], "details": {"cron": "@daily"}},
    ]
)
KEYS = st.sampled_from(["a", "b", "c", "d"])
PLACES = st.tuples(st.sampled_from(MemberKind), KEYS)
ASKED = st.sampled_from([None, TriggerStatus.ACTIVE, TriggerStatus.PAUSED])
OWNERS = st.sampled_from([SET, SET, None, "another"])


@st.composite
def files(draw: st.DrawFn) -> list[Wanted]:
    places = draw(st.lists(PLACES, unique=True, max_size=5))
    return [
        Wanted(kind, key, draw(SPECS), None, draw(ASKED) if kind == MemberKind.TRIGGER else None)
        for kind, key in places
    ]


@st.composite
def states(draw: st.DrawFn) -> list[Stored]:
    places = draw(st.lists(PLACES, unique=True, max_size=6))
    return [
        Stored(kind, number, key, draw(OWNERS), draw(SPECS), draw(st.sampled_from(TriggerStatus)))
        for number, (kind, key) in enumerate(places, start=1)
    ]


def applied(plan: SetPlan, stored: Sequence[Stored]) -> list[Stored]:
    """Returns the state that the plan leads to."""
    changed = {
        one.stored.id: replace(
            one.stored,
            set_name=SET,
            spec=one.wanted.spec,
            status=one.wanted.status or one.stored.status,
        )
        for one in (*plan.update, *plan.adopt)
    }
    gone = {one.id for one in plan.remove}
    made = [
        Stored(one.kind, 100 + number, one.key, SET, one.spec, one.status or TriggerStatus.ACTIVE)
        for number, one in enumerate(plan.create)
    ]
    return [changed.get(one.id, one) for one in stored if one.id not in gone] + made


def planned(
    wanted: Sequence[Wanted], stored: Sequence[Stored], *, prune: bool = False
) -> SetPlan | None:
    """Makes a plan; None if it is refused."""
    try:
        return make_plan(SET, wanted, stored, {}, prune=prune)
    except OwnedElsewhere:
        return None


@given(files(), states(), st.booleans())
def test_a_plan_that_was_applied_leaves_nothing_to_do(
    wanted: list[Wanted], stored: list[Stored], prune: bool
) -> None:
    plan = planned(wanted, stored, prune=prune)
    assume(plan is not None)
    assert plan is not None

    again = planned(wanted, applied(plan, stored), prune=prune)

    assert again is not None
    assert again.is_empty
    assert again.unchanged == len(wanted)


@given(files(), states(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_members_makes_no_difference(
    wanted: list[Wanted], stored: list[Stored], prune: bool, chance: random.Random
) -> None:
    plan = planned(wanted, stored, prune=prune)

    chance.shuffle(wanted)
    chance.shuffle(stored)

    assert planned(wanted, stored, prune=prune) == plan


@given(files(), states())
def test_only_prune_removes_and_only_what_the_set_owns(
    wanted: list[Wanted], stored: list[Stored]
) -> None:
    kept, pruned = (planned(wanted, stored, prune=prune) for prune in (False, True))
    assume(kept is not None and pruned is not None)
    assert kept is not None
    assert pruned is not None

    named = {(one.kind, one.key) for one in wanted}

    assert kept.remove == ()
    assert {one.id for one in pruned.remove} == {
        one.id for one in stored if one.set_name == SET and (one.kind, one.key) not in named
    }


@given(files(), states())
def test_a_key_of_another_set_is_refused_and_one_made_by_hand_unless_it_is_the_same(
    wanted: list[Wanted], stored: list[Stored]
) -> None:
    named = {(one.kind, one.key): one for one in wanted}
    met = [one for one in stored if (one.kind, one.key) in named]

    plan = planned(wanted, stored)

    if any(one.set_name == "another" for one in met):
        assert plan is None
    if plan is not None:
        by_hand = {one.id for one in met if one.set_name is None}
        assert {one.stored.id for one in plan.adopt} == by_hand
        assert all(one.changes == () for one in plan.adopt)


@given(SPECS, SPECS)
def test_the_digest_names_the_state_that_the_plan_starts_from(
    asked: dict[str, Any], spec: dict[str, Any]
) -> None:
    wanted = Wanted(MemberKind.TRIGGER, "a", asked, None)
    stored = Stored(MemberKind.TRIGGER, 1, "a", SET, spec, TriggerStatus.ACTIVE)
    plan = make_plan(SET, [wanted], [stored], {}, prune=False)
    changes: list[dict[str, Any]] = [{"spec": {**spec, "moved": 1}}, {"seal": "another"}, {"id": 2}]

    others = [
        make_plan(SET, [wanted], [replace(stored, **change)], {}, prune=False).digest
        for change in changes
    ]
    paused = replace(stored, status=TriggerStatus.PAUSED)

    assert plan.digest not in others
    assert make_plan(SET, [wanted], [paused], {}, prune=False).digest == plan.digest


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"payload": {"x": None}}, {"payload": {}}, [("/payload/x", None, None)]),
        ({"payload": {"x": 1}}, {"payload": {"x": True}}, [("/payload/x", 1, True)]),
        ({}, {"details": {"cron": "@daily"}}, [("/details", None, {"cron": "@daily"})]),
        ({"tags": ["a"]}, {"tags": ["b"]}, [("/tags", ["a"], ["b"])]),
        ({"a/b": {"c~": 1}}, {"a/b": {"c~": 2}}, [("/a~1b/c~0", 1, 2)]),
    ],
)
def test_a_change_has_its_place_in_the_file(
    before: dict[str, object], after: dict[str, object], changes: list[tuple[str, object, object]]
) -> None:
    wanted = Wanted(MemberKind.TRIGGER, "nightly", after, None)
    stored = Stored(MemberKind.TRIGGER, 1, "nightly", SET, before, TriggerStatus.ACTIVE)

    plan = make_plan(SET, [wanted], [stored], {}, prune=False)

    place = pointer("triggers", "nightly")
    found = [one for update in plan.update for one in update.changes]
    assert found == [Change(place + where, *values) for where, *values in changes]
    assert plan.unchanged == (0 if changes else 1)
