"""Response models of `GET /info`."""

from datetime import timedelta

from pydantic import Field

from event_trigger.web.schemas import ResponseModel


class RetentionRead(ResponseModel):
    active_for: timedelta = Field(description="The age at which an event is archived, ISO 8601.")
    keep_for: timedelta = Field(description="The age at which an event is gone, ISO 8601.")


class LimitRead(ResponseModel):
    limit: int = Field(description="The most that a project may have; 0 is no limit.")
    used: int | None = Field(
        description="As much of it as the project has; null without a project."
    )


class LimitsRead(ResponseModel):
    triggers: LimitRead
    destinations: LimitRead
    calendars: LimitRead
    calls_per_minute: LimitRead = Field(
        description="Calls that fire. Each process of the service counts those that it answers; 0"
        " are counted without a limit."
    )
    mails_per_minute: LimitRead = Field(
        description="Mails of destinations. Each process of the service counts those that it sends;"
        " beyond it they wait."
    )
    backlog_bytes: LimitRead = Field(
        description="Payloads that wait to be delivered, each counted once. It is seconds old."
    )
    event_bytes: LimitRead = Field(description="Events that are kept. It is seconds old.")


class FeaturesRead(ResponseModel):
    open_registration: bool = Field(description="Anybody may make an account.")
    mail: bool = Field(description="Mails are sent: the operator has set a mail server.")
    read_replica: bool = Field(description="Lists, counts and exports may be up to 5 s old.")


class InfoRead(ResponseModel):
    version: str = Field(examples=["0.1.0"])
    installation: str = Field(
        description="The id of this database, which is part of each `webhook-id`.",
        examples=["b4d1f0a29c6e7358"],
    )
    zone_rules: str = Field(description="The version of the time zone rules.", examples=["2026f"])
    retention: RetentionRead
    project_id: int | None = Field(
        description="The project whose use is shown: the one of `X-Project-ID`, or else your"
        " default project; null if you name all projects, or one that you cannot enter."
    )
    limits: LimitsRead
    features: FeaturesRead
