"""The request and response models of rendered requests."""

from typing import Annotated

from pydantic import Field

from event_trigger.destinations.fields import ContentType, Format, Method, Subject, Template, Url
from event_trigger.models import DestinationMethod, NoticeKind
from event_trigger.triggers.schemas.requests import DestinationName
from event_trigger.web.schemas import JsonObject, RequestModel, ResponseModel, RowId


class RenderRequest(RequestModel):
    """A destination, or parts of one, and an event or a sample of its payload."""

    destination: Annotated[
        DestinationName | None,
        Field(
            description="The id or the key of a destination. The fields below replace its own; null"
            " means the default.",
            examples=["billing"],
        ),
    ] = None
    url: Url | None = None
    format: Format | None = None
    method: Method | None = None
    template: Template | None = None
    content_type: ContentType | None = None
    subject: Subject | None = None
    event_id: Annotated[
        RowId | None, Field(description="An event whose delivery is shown.", examples=[1])
    ] = None
    data: Annotated[
        JsonObject | None,
        Field(
            description="The payload of a sample, which is shown if there is no `event_id`.",
            examples=[{"message": "Backup done"}],
        ),
    ] = None
    notice: Annotated[
        NoticeKind | None,
        Field(
            strict=False,
            description="A sample of a notice of this kind is shown instead.",
            examples=["destination.opened"],
        ),
    ] = None


class RenderedRequest(ResponseModel):
    """A request as it would be sent."""

    method: DestinationMethod | None = Field(description="Null for a mail.")
    url: str = Field(examples=["https://example.com/hook"])
    headers: dict[str, str] = Field(
        description="Stars stand for the signature, and for values that the destination has stored."
        " The sender adds `Accept`, `Content-Length` and the like. Of a mail, its header fields.",
        examples=[{"Content-Type": "application/json", "webhook-id": "evt_3f2a_1"}],
    )
    body: str | None = Field(
        description="Null for a request without a body.", examples=['{"text":"Backup done"}']
    )
