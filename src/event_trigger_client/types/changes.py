"""Types of answers about actions, batches and sets."""

from typing import Any, Literal, TypedDict


class _InvalidPartSometimes(TypedDict, total=False):
    pointer: str
    parameter: str


class InvalidPart(_InvalidPartSometimes):
    """One invalid part of a request."""

    detail: str


class _ProblemInPlaceSometimes(TypedDict, total=False):
    errors: list[InvalidPart]
    error: str
    error_description: str
    retry_after: int


class ProblemInPlace(_ProblemInPlaceSometimes):
    """The problem of one part of a request."""

    type: str
    title: str
    status: int
    detail: str


class Failure(TypedDict):
    """A trigger or delivery that an action could not change."""

    id: int
    problem: ProblemInPlace


class ActionResult(TypedDict):
    """The result of an action."""

    matched: int
    changed: int
    failed: list[Failure]


class BatchResult(TypedDict, total=False):
    """The event of a call, or its problem."""

    event_id: int
    problem: ProblemInPlace


_FieldChangeNames = TypedDict("_FieldChangeNames", {"from": "Any"}, total=True)


class FieldChange(_FieldChangeNames):
    """A field that changes."""

    pointer: str
    to: Any


class _SetMemberSometimes(TypedDict, total=False):
    next_fire_at: str | None
    secret: str | None
    hook_url: str | None
    hook_secret: str | None
    warnings: list[str]
    changes: list[FieldChange]


class SetMember(_SetMemberSometimes):
    """A member of a plan; one that changes has its `changes`."""

    kind: Literal["calendar", "destination", "trigger"]
    key: str | None
    id: int | None


_MoveNames = TypedDict("_MoveNames", {"from": "str | None"}, total=True)


class Move(_MoveNames):
    """A trigger whose next instant moves."""

    id: int
    key: str | None
    to: str | None


class SetPlan(TypedDict):
    """The changes of a set, or its plan."""

    digest: str
    create: list[SetMember]
    update: list[SetMember]
    adopt: list[SetMember]
    unchanged: int
    remove: list[SetMember]
    removes_most: bool
    moves: list[Move]


class SetSummary(TypedDict):
    """A set in a list."""

    id: int
    name: str
    triggers: int
    destinations: int
    calendars: int
    created_at: str
    updated_at: str


_MovedFrom = TypedDict("_MovedFrom", {"from": str}, total=True)


class _MovedSometimes(TypedDict, total=False):
    kind: Literal["trigger", "destination"]


class MovedMember(_MovedFrom, _MovedSometimes):
    """A member that gets another key."""

    to: str


class SetContent(TypedDict, total=False):
    """A set in the form that `put` takes."""

    triggers: dict[str, dict[str, Any]]
    destinations: dict[str, dict[str, Any]]
    calendars: dict[str, dict[str, Any]]
    moved: list[MovedMember]
