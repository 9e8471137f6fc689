"""The details of triggers, as they are written and as they are read."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict, override

from event_trigger.models import Verify
from event_trigger.triggers.payload_schema import check_schema
from event_trigger.triggers.schedule.canonical import canonical
from event_trigger.triggers.schedule.heartbeat import DEFAULT_GRACE
from event_trigger.triggers.schemas.hook_details import HookDetails, HookDetailsRead
from event_trigger.triggers.schemas.schedule_fields import (
    CatchUpText,
    CatchUpWindow,
    CronLines,
    Exceptions,
    Grace,
    Interval,
    PingInterval,
    RecurrenceRule,
    Spread,
    Time,
)
from event_trigger.web.schemas import Instant, JsonObject, RequestModel, Text


def _refuse_hook(value: object) -> None:
    if value is not None:
        raise ValueError("Only triggers of the types api and heartbeat have a hook; leave it out")


PayloadSchema = Annotated[
    JsonObject,
    AfterValidator(check_schema),
    Field(description="A JSON Schema that every payload must match."),
]
MonthEnd = Annotated[
    Literal["last", "skip"],
    Field(
        description="In a month without that day: its last day (the default), or no instant. Only"
        " with an interval of months or years, `time` and `timezone`."
    ),
]
TimeZone = Annotated[
    Text,
    Field(
        description="A name in the IANA time zone database, for local times; UTC by default.",
        examples=["Europe/Berlin"],
    ),
]
From = Annotated[
    Instant, Field(description="No instant is earlier, before `spread` makes it later.")
]
Until = Annotated[Instant, Field(description="No instant is later, before `spread` makes it so.")]


class _AnyDetails(RequestModel):
    def as_stored(self) -> JsonObject:
        """Returns the details as JSON, without absent and null fields, and without a secret."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    @property
    def given_secret(self) -> str | None:
        """The hook's secret, if it was given: it is not stored with the details."""
        return None


class _HookedDetails(_AnyDetails):
    hook: HookDetails | None = None

    @property
    def given_secret(self) -> str | None:
        secret = None if self.hook is None else self.hook.secret
        return None if secret is None else secret.get_secret_value()


class ApiDetails(_HookedDetails):
    payload_schema: PayloadSchema | None = Field(None, alias="schema")


class HeartbeatDetails(_HookedDetails):
    """When pings are expected, by an `interval` or by `cron` lines, and how late they may come."""

    interval: PingInterval | None = None
    cron: CronLines | None = None
    timezone: TimeZone | None = None
    grace: Grace | None = None
    hook: HookDetails | None = Field(
        None,
        description="How pings are verified. Left out, knowing the URL is enough (`none`).",
    )

    @override
    def as_stored(self) -> JsonObject:
        """Writes the defaults out: by its grace, a former schedule is known as a heartbeat's."""
        stored = canonical(super().as_stored())
        stored.setdefault("grace", DEFAULT_GRACE)
        stored.setdefault("hook", {"verify": Verify.NONE.value})
        return stored


class ScheduledDetails(_AnyDetails):
    """When to fire: a `time`, an `interval`, both, `cron` lines, or an `rrule`."""

    payload_schema: PayloadSchema | None = Field(None, alias="schema")
    time: Time | None = None
    interval: Interval | None = None
    recurring: bool = False
    month_end: MonthEnd | None = None
    cron: CronLines | None = None
    rrule: RecurrenceRule | None = None
    timezone: TimeZone | None = None
    from_: From | None = Field(None, alias="from")
    until: Until | None = None
    max_fires: Annotated[int, Field(ge=1, le=2**53)] | None = None
    except_: Exceptions | None = Field(None, alias="except")
    spread: Spread | None = None
    catch_up: CatchUpText | None = None
    catch_up_window: CatchUpWindow | None = None
    hook: SkipJsonSchema[Annotated[None, PlainValidator(_refuse_hook)]] = None

    @override
    def as_stored(self) -> JsonObject:
        return canonical(super().as_stored())


Details = ScheduledDetails | ApiDetails | HeartbeatDetails


class _AnyDetailsRead(TypedDict, total=False):
    schema: Annotated[JsonObject, Field(description="A JSON Schema that every payload matches.")]


class ApiDetailsRead(_AnyDetailsRead, total=False):
    """The details of a trigger that is called: those that are set."""

    hook: HookDetailsRead


class HeartbeatDetailsRead(TypedDict, total=False):
    """When a heartbeat's pings are expected, and how they are verified."""

    interval: PingInterval
    cron: CronLines
    timezone: TimeZone
    grace: Grace
    hook: HookDetailsRead


# members whose names are words of Python
_Exceptions = TypedDict("_Exceptions", {"from": From, "except": Exceptions}, total=False)


class ScheduledDetailsRead(_AnyDetailsRead, _Exceptions, total=False):
    """When a trigger fires: the details that are set."""

    time: Time
    interval: Interval
    recurring: bool
    month_end: MonthEnd
    cron: CronLines
    rrule: RecurrenceRule
    timezone: TimeZone
    until: Until
    max_fires: int
    spread: Spread
    catch_up: CatchUpText
    catch_up_window: CatchUpWindow
