"""The embedded PostgreSQL is restarted when it ends, or the service is told that this failed."""

import asyncio
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from event_trigger.db.embedded.down_flag import down_flag_of
from event_trigger.db.embedded.server import (
    EmbeddedPostgresError,
    running_postgres,
    supervised_postgres,
    url_if_running,
)
from tests.support.databases import connect
from tests.support.gates import REFUSAL, gate_in, postmaster_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("embedded servers")

AT_ONCE = (0.0,) * 5


async def answer(url: str) -> int:
    try:
        connection = await connect(url)
    except (OSError, asyncpg.PostgresError):
        return 0
    try:
        return int(await connection.fetchval("SELECT 1"))
    finally:
        await connection.close()


async def until_it_answers(url: str) -> None:
    await eventually(lambda: answer(url), lambda found: found == 1)


async def test_a_server_that_is_killed_is_started_again_at_the_same_address(folder: Path) -> None:
    with supervised_postgres(folder, on_give_up=pytest.fail, restart_after=AT_ONCE) as url:
        first = postmaster_of(folder)
        first.kill()
        await eventually(lambda: asyncio.to_thread(first.is_running), lambda runs: not runs)
        await until_it_answers(url)
        second = postmaster_of(folder)
        down_flag = down_flag_of(url)
        assert down_flag is not None
        await asyncio.to_thread(down_flag.wait, within=10)

    assert second.pid != first.pid
    assert not second.is_running()


async def test_remains_of_a_killed_server_hold_up_its_successor_and_no_more(folder: Path) -> None:
    with supervised_postgres(folder, on_give_up=pytest.fail, restart_after=AT_ONCE) as url:
        first = postmaster_of(folder)
        remains = first.children()[0]
        remains.suspend()
        first.kill()

        async def log() -> str:
            return (folder / "postgres.log").read_text()

        await eventually(log, lambda text: "still in use" in text)
        remains.kill()
        await until_it_answers(url)


async def test_a_server_that_cannot_be_started_again_is_given_up_in_its_own_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, told = gate_in(folder), threading.Event()
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", str(gate.programs))
    data_dir = folder / "data"

    with ExitStack() as running:
        url = running.enter_context(
            supervised_postgres(data_dir, on_give_up=told.set, restart_after=AT_ONCE)
        )
        down_flag = down_flag_of(url)
        assert down_flag is not None
        before = down_flag.reason()
        gate.shut()
        postmaster_of(data_dir).kill()
        assert await asyncio.to_thread(told.wait, 60)
        after = down_flag.reason()
        with (
            pytest.raises(EmbeddedPostgresError, match="another event-trigger process uses"),
            running_postgres(data_dir),
        ):
            pytest.fail("the data directory was free")
        with pytest.raises(EmbeddedPostgresError, match="has ended"):
            down_flag.wait(within=0)
        with pytest.raises(EmbeddedPostgresError, match=REFUSAL):
            running.close()

    assert before is None
    assert after == "the embedded PostgreSQL has ended and is being restarted"
    assert url_if_running(data_dir) is None


@pytest.mark.parametrize("pause", [0.0, 600.0], ids=["while it starts", "between two tries"])
async def test_an_end_in_an_outage_waits_for_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    gate = gate_in(folder)
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", str(gate.programs))
    with supervised_postgres(
        folder / "data", on_give_up=pytest.fail, restart_after=[0.0, pause] * 9
    ) as url:
        gate.shut()
        if not pause:  # it starts, and never gets ready
            script = (gate.programs / "postgres").read_text().replace("exit 1", "exec sleep 600")
            (gate.programs / "postgres").write_text(script)
        postmaster_of(folder / "data").kill()

        async def log() -> str:
            return (folder / "data" / "postgres.log").read_text()

        await eventually(log, lambda text: REFUSAL in text)
        down_flag = down_flag_of(url)
        assert down_flag is not None
        assert down_flag.reason() is not None


async def test_a_server_that_is_told_to_end_is_started_again_too(folder: Path) -> None:
    with supervised_postgres(folder, on_give_up=pytest.fail, restart_after=AT_ONCE) as url:
        first = postmaster_of(folder)
        first.send_signal(signal.SIGINT)
        await eventually(lambda: asyncio.to_thread(first.is_running), lambda runs: not runs)
        await until_it_answers(url)


async def test_only_the_url_of_an_embedded_server_says_whether_that_is_away(
    server_url: str, folder: Path
) -> None:
    others = [
        server_url,
        "postgresql://somebody@db.example/name",
        f"postgresql://x@/y?host={folder}",
        "postgresql://somebody@one.example:5432,two.example:5433/name",
    ]

    assert [down_flag_of(url) for url in others] == [None, None, None, None]
