"""All kinds of GitHub's public sample payloads are stored exactly as they were sent."""

import asyncio
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.hooks import MadeHook, github, is_fired, make_hook

SAMPLES = Path(__file__).parent / "samples" / "github_payloads.tar.xz"
CALLS_AT_ONCE = 10


def read_samples() -> Mapping[str, bytes]:
    """Reads the samples by the kinds of their events."""
    with tarfile.open(SAMPLES) as archive:
        files = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        return {
            name.removesuffix(".json"): file.read()
            for name, file in files.items()
            if file is not None and name.endswith(".json")
        }


def as_json(sample: bytes) -> tuple[bytes, str]:
    return sample, "application/json"


def as_form(sample: bytes) -> tuple[bytes, str]:
    return urlencode({"payload": sample}).encode(), "application/x-www-form-urlencoded"


@pytest.mark.parametrize("sent_as", [as_json, as_form])
async def test_every_kind_is_stored_exactly_as_sent(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any, sent_as: Any
) -> None:
    samples, hook = dict(read_samples()), await make_hook(ada, "github")
    ping, turns = samples.pop("ping"), asyncio.Semaphore(CALLS_AT_ONCE)

    async def send(kind: str, sample: bytes) -> httpx.Response:
        body, media_type = sent_as(sample)
        async with turns:
            return await anonymous.post(
                hook.url, content=body, headers=headers_of(hook, body, kind, media_type)
            )

    answers = await asyncio.gather(*[send(kind, sample) for kind, sample in samples.items()])
    pinged = await send("ping", ping)

    assert len(samples) >= 58
    assert all(map(is_fired, answers))
    assert (pinged.status_code, "event-id" in pinged.headers) == (200, False)
    rows = await database.fetch(
        "SELECT id, CAST(payload AS text) FROM events WHERE trigger_id = $1", hook.trigger_id
    )
    stored = {row["id"]: row["payload"] for row in rows}
    wrong = [
        kind
        for (kind, sample), answer in zip(samples.items(), answers, strict=True)
        if stored.pop(int(answer.headers["event-id"])) != sample.decode()
    ]
    assert (wrong, stored) == ([], {})


def headers_of(hook: MadeHook, body: bytes, kind: str, media_type: str) -> dict[str, str]:
    signed = github(hook, body, name=f"{kind} {media_type}")
    return signed | {"content-type": media_type, "x-github-event": kind}
