"""Request models of forgotten passwords."""

from typing import Annotated

from pydantic import Field

from event_trigger.auth.schemas import NewPassword
from event_trigger.web.schemas import RequestModel, ResponseModel, Text


class ForgottenPassword(RequestModel):
    email: Annotated[Text, Field(min_length=1, max_length=320, examples=["ada@example.com"])]


class RecoveryAsked(ResponseModel):
    message: str = "If there is an account with this address, a link is on its way to it."


class PasswordRecovery(RequestModel):
    token: Annotated[
        Text,
        Field(
            max_length=3000,
            repr=False,
            description="The link of the mail, or the part of it after `#`.",
            examples=["hbAV5kjxi5w7N0UQpaSQRKJZNUqJM3CT1rw6TbRv8Pw"],
        ),
    ]
    new: Annotated[
        NewPassword,
        Field(
            repr=False,
            examples=["eleven grey herons wading"],
            json_schema_extra={"format": "password"},
        ),
    ]
    end_keys: bool = Field(False, description="Ends all your API keys, too, in every project.")
