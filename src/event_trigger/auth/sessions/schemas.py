"""Response models of a user's own logins."""

from uuid import UUID

from pydantic import Field

from event_trigger.models import Login
from event_trigger.web.schemas import Instant, ResponseModel


class SessionRead(ResponseModel):
    id: UUID
    created_at: Instant = Field(description="When the password was given.")
    expires_at: Instant = Field(description="Then its last refresh token ends.")
    last_used_at: Instant | None = Field(description="To the minute.")
    address: str | None = Field(
        description="Where it was started, or last refreshed, from.", examples=["192.0.2.1"]
    )
    user_agent: str | None = Field(
        description="The first 200 characters of `User-Agent`, without control characters.",
        examples=["Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"],
    )
    scopes: list[str] | None = Field(
        description="The scopes that it was narrowed to; null if it has all of its user's."
    )
    is_current: bool = Field(description="This request was made with it.")


def read_session(login: Login, *, current: UUID | None) -> SessionRead:
    columns = {name: getattr(login, name) for name in SessionRead.model_fields.keys() - _COMPUTED}
    return SessionRead(**columns, is_current=login.id == current)


_COMPUTED = {"is_current"}
