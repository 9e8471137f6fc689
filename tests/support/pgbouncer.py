"""Runs a PgBouncer in transaction mode before the test server, if this machine has one."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from event_trigger.db.embedded.os_user import OsUser
from tests.support.waiting import eventually

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PORT = 6432


@contextmanager
def pgbouncer(server_url: str, **settings: str) -> Iterator[str]:
    """Gives the server's URL through it; its sessions are few, so that clients share them."""
    sockets = str(make_url(server_url).query["host"])
    owner = Path(sockets).stat()
    with TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        os.chown(folder, owner.st_uid, owner.st_gid)
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "ini").write_text(_configuration(folder, sockets, settings))
        for path in folder.iterdir():
            os.chown(path, owner.st_uid, owner.st_gid)
        assert PROGRAM is not None
        with (folder / "log").open("wb") as log:
            process = OsUser(owner.st_uid, owner.st_gid).spawn([PROGRAM, folder / "ini"], log=log)
        try:
            yield (
                make_url(server_url)
                .set(query={"host": name, "port": str(PORT)})
                .render_as_string(hide_password=False)
            )
        finally:
            process.terminate()
            process.wait()


async def until_it_listens(url: str) -> None:
    path = Path(str(make_url(url).query["host"])) / f".s.PGSQL.{PORT}"

    async def listens() -> bool:  # its socket is there a moment earlier
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await eventually(listens, bool)


def _configuration(folder: Path, sockets: str, settings: dict[str, str]) -> str:
    wanted = {
        "pool_mode": "transaction",
        "default_pool_size": "4",
        "max_client_conn": "200",
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "unix_socket_dir": str(folder),
        "listen_port": str(PORT),
        **settings,
    }
    lines = [f"{key} = {value}" for key, value in wanted.items()]
    return "\n".join(
        [
            "[databases]",
            f"* = host={sockets} port=5432 user=postgres",
            "[pgbouncer]",
            *lines,
            "",
        ]
    )
