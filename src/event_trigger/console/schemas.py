"""Request models of a browser's session."""

from typing import Annotated

from pydantic import Field

from event_trigger.web.schemas import RequestModel, Text


class SessionCreate(RequestModel):
    email: Annotated[Text, Field(max_length=320, examples=["admin@localhost"])]
    password: Annotated[
        Text, Field(max_length=1024, repr=False, examples=["correct horse battery staple"])
    ]
