"""Reads the event of a request that is shown, or makes a sample of one, or of a notice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from event_trigger.deliveries.http.cloud_event import CloudEvent, source_of, source_of_notices
from event_trigger.destinations.templates.jobs import event_variables
from event_trigger.events.source import SourceKind
from event_trigger.events.trigger_names import NAMELESS, TriggerNames
from event_trigger.models import NOTICE_TYPE, Event, EventType, NoticeKind
from event_trigger.notices.repository import as_json
from event_trigger.notices.wording import sample_of

_SAMPLE_ID = 1


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as its deliveries have it; `payload` is its JSON text."""

    id: int
    type: str
    time: datetime
    scheduled_for: datetime | None
    is_test: bool
    replay_of: int | None
    hops: int
    source_kind: str | None
    trigger_id: int | None
    trigger: TriggerNames
    payload: str | None
    subject: str | None = None

    @classmethod
    def of(cls, event: Event, trigger: TriggerNames, payload: str | None) -> "ShownEvent":
        return cls(
            id=event.id,
            type=EventType(event.type),
            time=event.triggered_at,
            scheduled_for=event.scheduled_for,
            is_test=event.is_test,
            replay_of=event.replay_of,
            hops=event.hops,
            source_kind=event.source_kind,
            trigger_id=event.trigger_id,
            trigger=trigger,
            payload=payload,
        )

    @classmethod
    def sample(cls, payload: str | None, *, now: datetime) -> "ShownEvent":
        return cls(
            id=_SAMPLE_ID,
            type=EventType.API,
            time=now,
            scheduled_for=None,
            is_test=True,
            replay_of=None,
            hops=0,
            source_kind=SourceKind.LOGIN,
            trigger_id=_SAMPLE_ID,
            trigger=TriggerNames("sample", "Sample"),
            payload=payload,
        )

    @classmethod
    def notice(cls, kind: NoticeKind, *, now: datetime) -> "ShownEvent":
        data = sample_of(kind)
        return cls(
            id=_SAMPLE_ID,
            type=f"{NOTICE_TYPE}{kind}",
            time=now,
            scheduled_for=None,
            is_test=True,
            replay_of=None,
            hops=0,
            source_kind=None,
            trigger_id=None,
            trigger=NAMELESS,
            payload=as_json(data),
            subject=data["subject"],
        )

    def variables(self) -> Mapping[str, object]:
        return event_variables(
            event_id=self.id,
            event_type=self.type,
            time=self.time,
            scheduled_for=self.scheduled_for,
            is_test=self.is_test,
            trigger_id=self.trigger_id,
            trigger=self.trigger,
        )

    def cloud_event(self, *, installation: str, public_url: str | None) -> CloudEvent:
        return CloudEvent(
            id=str(self.id),
            source=self._source(installation=installation, public_url=public_url),
            type=self.type,
            time=self.time,
            payload=self.payload,
            trigger_key=self.trigger.key,
            trigger_name=self.trigger.name,
            scheduled_for=self.scheduled_for,
            is_test=self.is_test,
            replay_of=self.replay_of,
            source_kind=self.source_kind,
            subject=self.subject,
        )

    def _source(self, *, installation: str, public_url: str | None) -> str:
        if self.trigger_id is None:
            return source_of_notices(installation=installation, public_url=public_url)
        return source_of(
            "trigger", self.trigger_id, installation=installation, public_url=public_url
        )
