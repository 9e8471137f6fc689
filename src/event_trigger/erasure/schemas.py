"""Request and response models of erasing users."""

from typing import Annotated

from pydantic import Field

from event_trigger.web.schemas import RequestModel, ResponseModel, Text


class OwnErasure(RequestModel):
    password: Annotated[
        Text,
        Field(
            max_length=1024,
            description="The account's present password.",
            examples=["correct horse battery staple"],
            json_schema_extra={"format": "password"},
        ),
    ]


class ErasedRead(ResponseModel):
    """The numbers of rows that were deleted with a user."""

    projects: int = Field(description="The user's own, and those in which the user was alone.")
    triggers: int
    destinations: int
    keys: int
    logins: int
