"""Serves `/openapi.json`: written and compressed once, with a strong ETag."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from event_trigger.web.compression import accepts_gzip

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
