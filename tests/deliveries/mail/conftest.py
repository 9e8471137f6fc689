"""Lets the service send mails through a server on loopback, and retry quickly."""

from typing import Any

import pytest

from tests.support.mail_server import MailServer, mail_settings


@pytest.fixture
def service_settings(shared_mails: MailServer) -> dict[str, Any]:
    return {"retry_after": "0.05,0.1", **mail_settings(shared_mails.port)}
