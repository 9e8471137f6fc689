"""A project sends so many mails in a minute, in each process; the others wait for their turn."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from event_trigger.deliveries.mail.allowances import MailAllowances
from tests.support.destinations import fire, list_deliveries, make_destination
from tests.support.mail_server import MailServer, mail_server, mail_settings
from tests.support.services import ADA, BOB, running_service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

MOST = 6


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_minute_has_as_many_mails_as_are_allowed() -> None:
    clock = Clock()
    mails = MailAllowances(MOST, clock)

    assert mails.room(1, 100) == MOST
    mails.take(1, MOST)
    assert (mails.room(1, 100), mails.used_by(1), mails.room(2, 3)) == (0, MOST, 3)
    assert mails.seconds_until_next(1) == pytest.approx(10)
    clock.now += 10
    assert (mails.room(1, 100), mails.used_by(1)) == (1, MOST - 1)
    mails.take(1, 1)
    clock.now += 60
    assert (mails.room(1, 100), mails.used_by(1)) == (MOST, 0)


def test_no_limit_lets_all_through() -> None:
    mails = MailAllowances(0, Clock())
    mails.take(1, 1000)

    assert (mails.room(1, 1000), mails.used_by(1), mails.seconds_until_next(1)) == (1000, 0, 0)


def test_projects_whose_minute_is_over_are_forgotten() -> None:
    clock = Clock()
    mails = MailAllowances(1, clock)
    for project in range(3000):
        clock.now += 1
        mails.take(project, 1)

    assert mails.used_by(2999) == 1
    assert len(mails._paid_until) < 2000


@pytest.fixture
async def mails() -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        yield made


async def _fire_all(client: httpx.AsyncClient, count: int) -> None:
    urls = ["mailto:a@example.com", "mailto:b@example.com"]
    ids = [(await make_destination(client, url))["id"] for url in urls]
    trigger = await make_api(client, destinations=ids)
    for _ in range(count):
        await fire(client, trigger)


async def test_mails_beyond_the_limit_wait_and_other_projects_do_not(
    new_database_url: str, mails: MailServer
) -> None:
    settings: dict[str, Any] = {"max_mails_per_minute": MOST, **mail_settings(mails.port)}
    async with running_service(new_database_url, **settings) as service:
        ada, bob = service.client(ADA), service.client(BOB)
        await _fire_all(ada, MOST)
        await _fire_all(bob, 1)
        await eventually(
            lambda: list_deliveries(bob, status="delivered"), lambda done: len(done) == 2
        )
        await eventually(
            lambda: list_deliveries(ada, status="delivered"), lambda done: len(done) >= MOST
        )
        waiting = await list_deliveries(ada, status="pending")
        limits = (await ada.get("/info")).json()["limits"]["mails_per_minute"]

    # one more for each ten seconds that the test has taken
    assert 0 < len(waiting) <= MOST
    assert {one["attempt_count"] for one in waiting} == {0}
    assert limits["limit"] == MOST
    assert limits["used"] >= MOST - 1
