"""Declares every table of the database; no behaviour lives here."""

from event_trigger.models.account_mail import AccountMail, AccountMailKind, PasswordReset
from event_trigger.models.api_key import ApiKey
from event_trigger.models.audit_entry import ActorKind, AuditEntry
from event_trigger.models.base import EVERY_SHARD, SHARDS, Base, shard_of
from event_trigger.models.calendar import Calendar, TriggerCalendar
from event_trigger.models.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryBacklog,
    DeliveryError,
    DeliveryPayload,
    DeliveryRequest,
    DeliveryStatus,
)
from event_trigger.models.destination import (
    Destination,
    DestinationFormat,
    DestinationMethod,
    DestinationStatus,
    DisabledReason,
)
from event_trigger.models.event import (
    BlockCount,
    Event,
    EventCount,
    EventPartition,
    EventState,
    EventType,
    SlotCount,
)
from event_trigger.models.event_bytes import EventBytes, MeasuredPartition
from event_trigger.models.heartbeat_change import HeartbeatChange
from event_trigger.models.heartbeat_states import ChangedState, ChangeReason
from event_trigger.models.hook import Hook, HookMethod, MacAlgorithm, MacEncoding, Verify
from event_trigger.models.hook_refusal import HookRefusal
from event_trigger.models.idempotency_key import IdempotencyKey
from event_trigger.models.installation import Installation
from event_trigger.models.kept_answer import KeptAnswer
from event_trigger.models.login import Login, RefreshToken
from event_trigger.models.minute_count import (
    ALL_PROJECTS,
    CountedMeasure,
    MinuteCount,
    MinutePartition,
)
from event_trigger.models.notice import (
    NOTICE_TYPE,
    Notice,
    NoticeChange,
    NoticeKind,
    NoticeListener,
    SubjectKind,
)
from event_trigger.models.owned_set import FinishedMember, OwnedSet
from event_trigger.models.project import (
    NOT_OF_DELETED_PROJECTS,
    Invitation,
    Project,
    ProjectMember,
    ProjectRole,
)
from event_trigger.models.project_count import CountPass, ProjectCount
from event_trigger.models.schedule_version import ScheduleVersion
from event_trigger.models.service_outage import ServiceBeat, ServiceOutage
from event_trigger.models.sign_in_failure import SignInFailure
from event_trigger.models.trigger import (
    OnCompletion,
    Trigger,
    TriggerStatus,
    TriggerTag,
    TriggerType,
)
from event_trigger.models.trigger_listing import TriggerDestination, TriggerSortKey
from event_trigger.models.unfired_range import UnfiredRange
from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.models.user import Role, User
from event_trigger.models.zone_rules import ZoneRulesRecord

__all__ = [
    "ALL_PROJECTS",
    "EVERY_SHARD",
    "NOTICE_TYPE",
    "NOT_OF_DELETED_PROJECTS",
    "SHARDS",
    "AccountMail",
    "AccountMailKind",
    "ActorKind",
    "ApiKey",
    "AuditEntry",
    "Base",
    "BlockCount",
    "Calendar",
    "ChangeReason",
    "ChangedState",
    "CountPass",
    "CountedMeasure",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryBacklog",
    "DeliveryError",
    "DeliveryPayload",
    "DeliveryRequest",
    "DeliveryStatus",
    "Destination",
    "DestinationFormat",
    "DestinationMethod",
    "DestinationStatus",
    "DisabledReason",
    "Event",
    "EventBytes",
    "EventCount",
    "EventPartition",
    "EventState",
    "EventType",
    "FinishedMember",
    "HeartbeatChange",
    "Hook",
    "HookMethod",
    "HookRefusal",
    "IdempotencyKey",
    "Installation",
    "Invitation",
    "KeptAnswer",
    "Login",
    "MacAlgorithm",
    "MacEncoding",
    "MeasuredPartition",
    "MinuteCount",
    "MinutePartition",
    "Notice",
    "NoticeChange",
    "NoticeKind",
    "NoticeListener",
    "OnCompletion",
    "OwnedSet",
    "PasswordReset",
    "Project",
    "ProjectCount",
    "ProjectMember",
    "ProjectRole",
    "RefreshToken",
    "Role",
    "ScheduleVersion",
    "ServiceBeat",
    "ServiceOutage",
    "SignInFailure",
    "SlotCount",
    "SubjectKind",
    "Trigger",
    "TriggerCalendar",
    "TriggerDestination",
    "TriggerSortKey",
    "TriggerStatus",
    "TriggerTag",
    "TriggerType",
    "UnfiredRange",
    "UnfiredReason",
    "User",
    "Verify",
    "ZoneRulesRecord",
    "shard_of",
]
