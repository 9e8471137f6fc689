"""Serves the console's built files, which `make console` puts into `static`.

Names of assets hold a hash of their content, so browsers keep them for ever. The page itself is
asked for again each time. Files are read and compressed once a process.
"""

import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from event_trigger.errors import NotFound
from event_trigger.web.compression import accepts_gzip
from event_trigger.web.dependencies import app_state
from event_trigger.web.docs import PAGE_POLICY
from event_trigger.web.routes import LazyRoute

ROOT: Final = Path(__file__).parent / "static"
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False, route_class=LazyRoute)


@dataclass(frozen=True, slots=True)
class _File:
    media_type: str
    content: bytes
    compressed: bytes


@cache
def _assets() -> dict[str, _File]:
    return {
        path.name: _file(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "text/plain")
        for path in (ROOT / "assets").iterdir()
    }


@cache
def _page(prefix: str) -> _File:
    """Returns the page for a service whose paths are all under `prefix`."""
    text = (ROOT / "index.html").read_text()
    return _file(text.replace("{prefix}", prefix).encode(), "text/html; charset=utf-8")


def _file(content: bytes, media_type: str) -> _File:
    return _File(media_type, content, gzip.compress(content, mtime=0))


def prepare(prefix: str) -> None:
    """Reads and compresses all files, so that no visitor holds up a firing."""
    _page(prefix)
    _assets()


@router.api_route("/console", methods=["GET", "HEAD"])
async def without_slash() -> Response:
    return RedirectResponse("console/")


@router.api_route("/console/assets/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    found = _assets().get(name)
    if found is None:
        raise NotFound
    return _answer(request, found, {"Cache-Control": _FOR_EVER})


@router.api_route("/console/{path:path}", methods=["GET", "HEAD"])
async def page(request: Request, path: str) -> Response:  # noqa: ARG001 - the page's own views
    found = _page(app_state(request).settings.prefix)
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
    return _answer(request, found, headers)


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    headers = {**headers, "Vary": "Accept-Encoding"}
    if not accepts_gzip(request.headers):
        return Response(file.content, media_type=file.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(file.compressed, media_type=file.media_type, headers=headers)
