"""What signing in takes and gives."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from event_trigger.config import LONGEST_PASSWORD, SHORTEST_PASSWORD
from event_trigger.models import Role
from event_trigger.web.schemas import Instant, RequestModel, ResponseModel, Text

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


def normalise_email(address: str) -> str:
    """Lower-cases an address and checks its form; whether mail arrives is not our business."""
    address = address.strip().lower()
    if not _ADDRESS.fullmatch(address):
        raise ValueError("write an e-mail address, such as ada@example.com")
    return address


Email = Annotated[Text, AfterValidator(normalise_email), Field(examples=["ada@example.com"])]
NewPassword = Annotated[
    Text,
    Field(
        min_length=SHORTEST_PASSWORD,
        max_length=LONGEST_PASSWORD,
        examples=["correct horse battery staple"],
    ),
]


class UserCreate(RequestModel):
    email: Email
    password: NewPassword


class UserRead(ResponseModel):
    id: int
    email: str
    role: Role
    created_at: Instant


class RefreshRequest(RequestModel):
    refresh_token: Annotated[Text, Field(max_length=200, examples=["etr_…"])]


class TokenRead(ResponseModel):
    """An OAuth 2.0 token response (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme, not a secret
    expires_in: int = Field(description="Seconds until the access token expires.")
    refresh_token: str
