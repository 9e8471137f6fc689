"""Lets the service send mails through a server on loopback, and retry quickly."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.mail_server import MailServer, mail_server, mail_settings


@pytest.fixture(scope="session")
async def _shared_server() -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        yield made


@pytest.fixture
def mails(_shared_server: MailServer) -> MailServer:
    _shared_server.forget()
    return _shared_server


@pytest.fixture
def service_settings(_shared_server: MailServer) -> dict[str, Any]:
    return {"retry_after": "0.05,0.1", **mail_settings(_shared_server.port)}
