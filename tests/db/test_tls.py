"""TLS to the database is as its URL says, by the words of libpq."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from event_trigger.db.engine import create_engine
from event_trigger.db.notify import EVENTS_STORED, listen
from event_trigger.db.urls import asyncpg_url
from tests.support.certificates import Authority, server_context
from tests.support.tls_front import TlsFront, tls_front


@dataclass(frozen=True)
class Files:
    """PEM files: two authorities, a server's certificate by the first, and a client's."""

    trusted: str
    other: str
    server: Path
    client: str
    key: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(), Authority("Another authority")
    client = authority.issue("a client")
    certificate, key = folder / "client.crt", folder / "client.key"
    certificate.write_text(client.certificate)
    key.write_text(client.private_key)
    return Files(
        str(authority.save(folder)),
        str(other.save(folder)),
        authority.issue("localhost").save(folder),
        str(certificate),
        str(key),
    )


async def is_connected(url: str) -> bool:
    engine = create_engine(url, connections=1)
    try:
        async with engine.connect() as connection:
            return bool((await connection.execute(text("SELECT 1"))).scalar_one())
    except (OSError, DBAPIError):
        return False
    finally:
        await engine.dispose()


# host, mode, authorities, and whether the server is trusted; its certificate is for localhost
CASES = (
    ("localhost", "verify-full", "trusted", True),
    ("127.0.0.1", "verify-full", "trusted", False),
    ("localhost", "verify-full", "other", False),
    ("localhost", "verify-full", None, False),
    ("localhost", "verify-full", "system", False),
    ("127.0.0.1", "verify-ca", "trusted", True),
    ("127.0.0.1", "verify-ca", "other", False),
    ("127.0.0.1", "require", None, True),
    ("127.0.0.1", "require", "other", False),
    ("127.0.0.1", "prefer", None, True),
    ("127.0.0.1", "disable", None, False),
)


async def test_a_mode_decides_which_servers_are_trusted(database_url: str, files: Files) -> None:
    found = []
    async with tls_front(database_url, server_context(files.server)) as front:
        for host, mode, authorities, _ in CASES:
            query = {"sslmode": mode}
            if authorities is not None:
                query["sslrootcert"] = getattr(files, authorities, authorities)
            front.subjects.clear()
            is_trusted = await is_connected(front.at(host, **query))
            assert bool(front.subjects) is is_trusted
            found.append((host, mode, authorities, is_trusted))

    assert tuple(found) == CASES


async def test_a_client_shows_its_certificate(database_url: str, files: Files) -> None:
    context = server_context(files.server, clients_of=Path(files.trusted))
    async with tls_front(database_url, context) as front:
        shown = {"sslmode": "require", "sslcert": files.client, "sslkey": files.key}

        assert await is_connected(front.at("localhost", **shown))
        assert front.subjects == ["a client"]
        assert not await is_connected(front.at("localhost", sslmode="require"))


async def test_notifications_are_heard_over_tls(database_url: str, files: Files) -> None:
    async with tls_front(database_url, server_context(files.server)) as front:
        url = front.at("localhost", sslmode="verify-full", sslrootcert=files.trusted)
        engine = create_engine(url, connections=1)
        heard: asyncio.Queue[str] = asyncio.Queue()
        heard_by = {EVENTS_STORED: heard.put_nowait}
        changes: list[bool] = []
        listening = asyncio.create_task(listen(engine, heard_by, None, on_change=changes.append))
        assert await heard.get() == ""

        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_notify('{EVENTS_STORED}', '7')"))

        assert await heard.get() == "7"
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        assert changes == [True, False]
        await engine.dispose()


async def test_the_first_host_that_answers_is_taken(database_url: str, files: Files) -> None:
    async with (
        tls_front(database_url, server_context(files.server)) as gone,
        tls_front(database_url, server_context(files.server)) as front,
    ):
        closed = await _closed_port(gone)
        url = front.at("localhost", sslmode="require", target_session_attrs="primary")
        several = url.replace("@localhost:", f"@127.0.0.1:{closed},localhost:")

        assert several != url
        assert await is_connected(several)
        assert len(front.subjects) > 0


async def _closed_port(front: TlsFront) -> int:
    """Returns a port of loopback that nobody listens on."""
    server = await asyncio.start_server(front.forward, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sslmode=verify_full", "sslmode must be one of disable, allow, prefer, require,"),
        ("sslmode=verify-full&sslrootcert=/no/such", "PEM: No such file or directory"),
        ("sslmode=verify-full&sslrootcert={key}", "of authorities in PEM: this is none"),
        ("sslmode=require&sslcert={client}", "unencrypted key in PEM: this is none"),
        ("sslmode=require&sslkey={key}", "sslkey needs sslcert"),
        ("sslcert={client}&sslkey={key}", "need sslmode=verify-full, verify-ca or require"),
        ("sslmode=prefer&sslrootcert={trusted}", "need sslmode=verify-full, verify-ca or require"),
        ("sslmode=verify-ca&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("sslmode=verify-ca", "sslmode=verify-ca needs sslrootcert, the authority"),
        ("sslmode=require&sslmode=disable", "may be given once"),
        ("target_session_attrs=writable", "must be one of any, prefer-standby, primary,"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_in_words(
    files: Files, query: str, words: str
) -> None:
    given = query.format(trusted=files.trusted, client=files.client, key=files.key)

    with pytest.raises(ValueError, match="DATABASE_URL: ") as refused:
        asyncpg_url(f"postgresql://u:hunter2@host/name?{given}")

    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)
