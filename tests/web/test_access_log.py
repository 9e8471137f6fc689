"""Each line of a request names its caller, whatever answered it, and probes have none."""

from collections.abc import Sequence
from typing import Any

import httpx
from structlog.testing import capture_logs

from tests.support.hooks import make_hook
from tests.support.keys import holding, make_key
from tests.support.services import ADA, Service, from_address
from tests.support.triggers import make_api

HERE = "127.0.0.1"


async def callers_of(client: httpx.AsyncClient, method: str, path: str) -> Sequence[Any]:
    """Asks plainly, and so that FastAPI answers; gives both callers that the log names."""
    with capture_logs() as logged:
        for query in ("", "?&"):
            await client.request(method, f"{path}{query}")
    lines = [one for one in logged if one["event"] == "request"]
    assert len(lines) == 2
    assert {one["log_level"] for one in lines} == {"info"}
    assert {type(one["status"]) for one in lines} == {int}  # the console shows other kinds by name
    return [(one["user_id"], one["key_id"], one["address"]) for one in lines]


async def test_the_log_names_user_key_and_address(service: Service, ada: httpx.AsyncClient) -> None:
    fired = f"/triggers/{(await make_api(ada))['id']}/trigger"
    hook = httpx.URL((await make_hook(ada, verify="none")).url).path
    key = await make_key(ada)
    by_key, stranger = holding(service, key), from_address(service, "2001:db8::7")
    known = from_address(service, "203.0.113.9")
    known.headers["X-API-Key"] = key["key"]

    named = {
        name: await callers_of(*asked)
        for name, asked in {
            "a login that fires": (ada, "POST", fired),
            "a key that fires": (by_key, "POST", fired),
            "a key that reads": (by_key, "GET", "/triggers"),
            "a key that may not": (by_key, "GET", "/users"),
            "a key from elsewhere": (known, "GET", "/events"),
            "a sender of hooks": (stranger, "POST", hook),
            "a stranger": (stranger, "POST", fired),
        }.items()
    }

    assert named == {
        "a login that fires": [(ADA, None, HERE)] * 2,
        "a key that fires": [(ADA, key["id"], HERE)] * 2,
        "a key that reads": [(ADA, key["id"], HERE)] * 2,
        "a key that may not": [(ADA, key["id"], HERE)] * 2,
        "a key from elsewhere": [(ADA, key["id"], "203.0.113.9")] * 2,
        "a sender of hooks": [(None, None, "2001:db8::7")] * 2,
        "a stranger": [(None, None, "2001:db8::7")] * 2,
    }


async def test_probes_are_logged_for_debugging_only(service: Service) -> None:
    with capture_logs() as logged:
        for path in ("/healthz", "/readyz", "/metrics", "/info"):
            await service.client(ADA).get(path)

    lines = [one for one in logged if one["event"] == "request"]
    assert {one["path"]: one["log_level"] for one in lines} == {
        "/healthz": "debug",
        "/readyz": "debug",
        "/metrics": "debug",
        "/info": "info",
    }
