"""A service that is lent to one test after another is to each as if it had just started."""

from typing import Any

from event_trigger.telemetry import JOB_FAILURES
from event_trigger.web.dependencies import state_of
from tests.support.databases import connect
from tests.support.hooks import make_hook
from tests.support.lending import Lending
from tests.support.services import ADA, Service, running_service


async def lent(lending: Lending, *statements: str) -> tuple[Service, int]:
    """Lends a service, runs statements on its database, and gives the status of its `/readyz`."""
    async with lending.lend(running_service, {}) as service:
        ready = await service.client().get("/readyz")
        database = await connect(service.database_url)
        for statement in statements:
            await database.execute(statement)
        await database.close()
        return service, ready.status_code


async def test_a_refused_call_of_one_test_is_not_stored_in_the_next(lending: Lending) -> None:
    async with lending.lend(running_service, {}) as service:
        hook = await make_hook(service.client(ADA), "github")
        assert (await service.client().post(hook.url)).status_code == 401

    async with lending.lend(running_service, {}) as again:
        assert again is service
        assert state_of(again.app).hook_calls.refusals.take() == []
        assert await _refusals(again) == 0


async def _refusals(service: Service) -> Any:
    database = await connect(service.database_url)
    try:
        return await database.fetchval("SELECT count(*) FROM hook_refusals")
    finally:
        await database.close()


async def test_a_database_without_its_revision_has_it_again(lending: Lending) -> None:
    service, _ = await lent(lending, "DELETE FROM alembic_version")
    again, status = await lent(lending)

    assert again is service
    assert status == 200


async def test_a_service_whose_job_failed_is_not_lent_again(lending: Lending) -> None:
    service, _ = await lent(lending)
    async with lending.lend(running_service, {}) as again:
        JOB_FAILURES.labels("retain", "none").inc()
    other, status = await lent(lending)

    assert again is service
    assert other is not service
    assert status == 200
