"""Query and response models of the audit log."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import ActorKind, AuditEntry
from event_trigger.web.schemas import (
    Instant,
    JsonObject,
    QueryModel,
    ResponseModel,
    RowId,
    Text,
    Until,
)

Word = Annotated[Text | None, Field(max_length=100)]


class AuditQuery(QueryModel):
    """Selects entries of the audit log."""

    user_id: RowId | None = None
    action: Word = None
    target: Word = None
    target_id: RowId | None = None
    refused: bool | None = None
    since: Instant | None = Field(None, description="Inclusive.")
    until: Until = Field(None, description="Exclusive.")


class AuditRead(ResponseModel):
    id: int
    at: Instant
    actor: ActorKind = Field(
        description="The kind of caller; `operator` is the command line, or a job of the service."
    )
    user_id: int | None
    key_id: int | None
    project_id: int | None = Field(
        description="The project that it happened in; null for actions outside of projects."
    )
    address: str | None = Field(
        description="Null for commands, and for the owners of a project if its author is no member"
        " of it now."
    )
    request_id: str | None
    action: str = Field(description="The operation id, or the command or job of the operator.")
    target: str | None = Field(examples=["trigger"])
    target_id: int | None
    refused: bool
    before: JsonObject | None = Field(description="The changed fields, before the change.")
    after: JsonObject | None = Field(description="The fields after the change, without secrets.")


def read_entry(entry: AuditEntry, *, with_address: bool) -> AuditRead:
    read = AuditRead.model_validate(entry)
    return read if with_address else read.model_copy(update={"address": None})
