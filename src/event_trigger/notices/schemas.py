"""Query and response models of notices."""

from typing import Annotated, Any

from pydantic import Field

from event_trigger.models import Notice, NoticeKind
from event_trigger.web.schemas import Instant, QueryModel, ResponseModel


class NoticeQuery(QueryModel):
    """Selects notices for a list."""

    kind: Annotated[NoticeKind | None, Field(strict=False)] = None


class NoticeRead(ResponseModel):
    id: int
    kind: NoticeKind
    subject: str = Field(
        description="The thing that changed: `triggers/{id}`, `destinations/{id}`, `keys/{id}` or"
        " `projects/{id}`.",
        examples=["destinations/4"],
    )
    name: str | None = Field(description="The subject's name or key.", examples=["billing"])
    project_id: int = Field(description="The project in which it happened.")
    project_name: str | None
    count: int = Field(
        description="The number of changes, instants or deliveries that it tells of.", examples=[1]
    )
    since: Instant = Field(description="The time of the first of them.")
    message: str = Field(
        examples=["The destination billing answers again, and gets its deliveries."]
    )
    details: dict[str, Any] = Field(
        description="More about the last of them; members without a meaning for the kind are null.",
        examples=[{"failures": 5}],
    )
    at: Instant = Field(description="When it was queued for the destinations.")


def read_notice(notice: Notice) -> NoticeRead:
    return NoticeRead.model_validate(
        {**notice.data, "id": notice.id, "at": notice.at}, strict=False
    )
