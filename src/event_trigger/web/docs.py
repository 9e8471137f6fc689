"""Serves the description of the API: `/openapi.json`, Swagger UI and ReDoc.

The document is written and compressed once, with a strong ETag. The pages are files of this
package, so that they need no other host.
"""

import gzip
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from event_trigger.web.compression import accepts_gzip, in_thread, is_compressible
from event_trigger.web.routes import LazyRoute

ROOT: Final = Path(__file__).parent / "static" / "docs"
PAGES: Final = StaticFiles(directory=ROOT)
ASSETS: Final = StaticFiles(directory=ROOT / "assets")

# styled-components adds one empty <style>, and fills it by insertRule, which a CSP does not check
EMPTY_STYLE: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"


def _policy(*, style: str = "'self'", font: str = "'self'") -> str:
    return (
        f"default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data:; "
        f"connect-src 'self'; font-src {font}; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


PAGE_POLICY: Final = _policy()
REDOC_POLICY: Final = _policy(style=f"'self' {EMPTY_STYLE}", font="'self' data:")

router = APIRouter(include_in_schema=False, route_class=LazyRoute)


async def prepare() -> None:
    """Starts the file threads and loads the media types, so that no visitor waits for them."""
    await to_thread.run_sync(mimetypes.guess_type, "swagger.html")


@router.api_route("/", methods=["GET", "HEAD"])
async def root(request: Request) -> Response:
    """Leads a browser to the console, and any other client to the API's pages."""
    is_browser = "text/html" in request.headers.get("accept", "")
    return RedirectResponse("console/" if is_browser else "api/docs", headers={"Vary": "Accept"})


@router.api_route("/api/docs", methods=["GET", "HEAD"])
async def swagger(request: Request) -> Response:
    return await _page(request, "swagger.html", policy=PAGE_POLICY)


@router.api_route("/api/redoc", methods=["GET", "HEAD"])
async def redoc(request: Request) -> Response:
    return await _page(request, "redoc.html", policy=REDOC_POLICY)


@router.api_route("/api/docs/assets/{path:path}", methods=["GET", "HEAD"])
async def asset(request: Request, path: str) -> Response:
    response = await _file(ASSETS, path, request)
    is_vendored = "/" in path  # in a folder named after its version
    response.headers["Cache-Control"] = "public, max-age=86400" if is_vendored else "no-cache"
    return response


async def _page(request: Request, name: str, *, policy: str) -> Response:
    response = await _file(PAGES, name, request)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = policy
    return response


async def _file(files: StaticFiles, path: str, request: Request) -> Response:
    """Answers with a file, or with its compressed form, which shares its ETag as a weak one."""
    response = await files.get_response(path, _without_range(request))
    headers = response.headers
    if not isinstance(response, FileResponse) or not is_compressible(headers, _size_of(response)):
        return response
    headers.add_vary_header("Accept-Encoding")
    if not accepts_gzip(request.headers):
        return response
    content = await in_thread(partial(compressed_file, str(response.path), headers["etag"]))
    headers.update({"Content-Encoding": "gzip", "ETag": f"W/{headers['etag']}"})
    del headers["Content-Length"]
    return Response(content, headers=headers)


def _size_of(response: FileResponse) -> int:
    return int(response.headers["content-length"])


@lru_cache(maxsize=64)
def compressed_file(path: str, _etag: str) -> bytes:
    """Compresses a file once, in the one thread of `in_thread`."""
    return gzip.compress(Path(path).read_bytes(), mtime=0)


def _without_range(request: Request) -> Scope:
    """Drops `Range`: Starlette answers one that it cannot read in plain text, not as a problem."""
    headers = request.scope["headers"]
    request.scope["headers"] = [one for one in headers if one[0] != b"range"]
    return request.scope


_FLOW_URLS = ("authorizationUrl", "tokenUrl", "refreshUrl")


@dataclass(frozen=True, slots=True)
class ServedDocument:
    """The document in both encodings; each has an ETag of its own (RFC 9110, section 8.8.3.3)."""

    plain: bytes
    compressed: bytes
    digest: str

    @classmethod
    def of(cls, document: Mapping[str, Any], *, prefix: str) -> "ServedDocument":
        moved = _under(prefix, document) if prefix else document
        plain = json.dumps(moved, ensure_ascii=False, separators=(",", ":")).encode()
        digest = hashlib.sha256(plain).hexdigest()[:32]
        return cls(plain, gzip.compress(plain, mtime=0), digest)

    def answer(self, asked: Headers) -> Response:
        is_compressed = accepts_gzip(asked)
        etag = f'"{self.digest}-gzip"' if is_compressed else f'"{self.digest}"'
        headers = {"ETag": etag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
        if self._is_known(asked.get("if-none-match", "")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        content = self.compressed if is_compressed else self.plain
        return Response(content, headers=headers, media_type="application/json")

    def _is_known(self, if_none_match: str) -> bool:
        given = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
        return not given.isdisjoint({"*", f'"{self.digest}"', f'"{self.digest}-gzip"'})


def _under(prefix: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the prefix before `servers` and the URLs of OAuth flows."""
    components = document["components"]
    schemes = {
        name: {**one, "flows": _flows_under(prefix, one["flows"])} if "flows" in one else one
        for name, one in components["securitySchemes"].items()
    }
    return {
        **document,
        "servers": [{"url": prefix}],
        "components": {**components, "securitySchemes": schemes},
    }


def _flows_under(prefix: str, flows: Mapping[str, Any]) -> dict[str, Any]:
    return {
        kind: {name: prefix + part if name in _FLOW_URLS else part for name, part in flow.items()}
        for kind, flow in flows.items()
    }
