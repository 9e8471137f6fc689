"""Reads docs/recipes.md: what is pasted, and the requests that it shows."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.markdown import ROOT, Block, blocks_of, posted_in, steps_of

_PAGE = ROOT / "docs" / "recipes.md"
_PATCH = re.compile(r"-X PATCH \S+/destinations/1 -d '(.*?)'", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A request as the page shows it; `body` is None if it has none."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Recipe:
    """A destination that can be pasted, and the request that leaves for it."""

    destination: dict[str, Any]
    shown: Shown

    @property
    def host(self) -> str:
        return urlsplit(self.destination["url"]).hostname or ""

    def at(self, url: str) -> dict[str, Any]:
        """The destination at another origin, without a limit of calls a second."""
        scheme_and_host = re.match(r"https://[^/]+", self.destination["url"])
        assert scheme_and_host is not None
        rest = self.destination["url"][scheme_and_host.end() :]
        return {**self.destination, "url": url + rest, "rate_limit": None}


def sample_trigger() -> dict[str, Any]:
    """The trigger whose event all shown requests are for."""
    [first, *_] = posted_in(_PAGE, "/triggers", {})
    return first


def recipes() -> list[Recipe]:
    shown = [_shown(block) for block in blocks_of(_PAGE) if block.language == "http"]
    pairs = zip(posted_in(_PAGE, "/destinations", {}), shown, strict=True)
    return [Recipe(destination, request) for destination, request in pairs]


def patch_for_notices() -> dict[str, Any]:
    """The change that lets the Slack recipe's destination hear of failures."""
    commands = [
        step.command
        for block in blocks_of(_PAGE)
        if block.language == "console"
        for step in steps_of(block)
    ]
    [patch] = [_PATCH.search(one) for one in commands if '"notices"' in one]
    assert patch is not None
    found: dict[str, Any] = json.loads(patch[1])
    return found


def _shown(block: Block) -> Shown:
    head, _, body = block.text.partition("\n\n")
    request, *headers = head.splitlines()
    method, url = request.split(" ")
    pairs = (line.split(": ", 1) for line in headers)
    return Shown(method, url, dict(pairs), json.loads(body) if body else None)
