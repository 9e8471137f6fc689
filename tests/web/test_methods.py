"""HEAD answers wherever GET does, OPTIONS everywhere, and a 405 lists what is allowed."""

from collections import defaultdict

import httpx
import pytest

from tests.support.document import described_api, make_app, operations_of
from tests.support.problems import problem_of
from tests.support.services import Service
from tests.support.triggers import make_api

STREAMS = {"/events/stream", "/events/export"}
PAGES = ("/", "/api/docs", "/api/redoc", "/api/docs/assets/docs.css", "/openapi.json")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service whose first trigger has the id 1."""
    return own_service


def allowed() -> dict[str, list[str]]:
    """Gives the methods of each path by the document, with an example of each path."""
    described: defaultdict[str, set[str]] = defaultdict(set)
    for operation in operations_of(described_api()):
        described[operation.path].add(operation.method)
    del described["/hooks/{token}"]  # each hook has methods of its own
    for page in ("/invitations/accept", "/auth/reset", "/console/session"):
        described[page].add("GET")  # a page for browsers
    described |= {page: {"GET"} for page in PAGES}
    return {
        path.replace("{", "").replace("}", ""): [
            one for one in METHODS if one in {*methods, "OPTIONS"} | _head_of(path, methods)
        ]
        for path, methods in described.items()
    }


def _head_of(path: str, methods: set[str]) -> set[str]:
    return {"HEAD"} if "GET" in methods and path not in STREAMS else set()


async def test_options_answers_everywhere_without_credential_or_database() -> None:
    transport = httpx.ASGITransport(make_app())

    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        answers = {path: await client.options(path) for path in allowed()}
        unknown = await client.options("/nothing")

    assert len(answers) > 50
    for path, answer in answers.items():
        assert (answer.status_code, answer.content) == (204, b""), path
        assert answer.headers["allow"] == ", ".join(allowed()[path])
    problem_of(unknown, 404)


async def test_any_other_method_is_a_405_with_the_right_ones(admin: httpx.AsyncClient) -> None:
    for path, methods in allowed().items():
        for method in {*METHODS, "TRACE"} - {*methods}:
            answer = await admin.request(method, path)

            assert answer.headers["allow"] == ", ".join(methods), (method, path)
            if method == "HEAD":
                assert (answer.status_code, answer.content) == (405, b"")
            else:
                problem_of(answer, 405)


async def test_head_answers_as_get_does_without_a_body(admin: httpx.AsyncClient) -> None:
    await make_api(admin, payload={"a": "b" * 20_000})
    await admin.post("/triggers/1/trigger")

    for path, methods in allowed().items():
        if "HEAD" in methods:
            read = await admin.get(path)
            head = await admin.head(path)

            assert head.content == b"", path
            assert head.status_code == read.status_code, path
            del head.headers["x-request-id"], read.headers["x-request-id"]
            if path == "/metrics":  # which have changed since
                del head.headers["content-length"], read.headers["content-length"]
            assert head.headers == read.headers, path


async def test_head_runs_the_operation_once(ada: httpx.AsyncClient) -> None:
    made = await ada.post("/destinations", json={"url": "https://93.184.216.34/"})

    head = await ada.head(f"{made.headers['location']}/secret")

    assert (head.status_code, head.content) == (200, b"")
    audited = (await ada.get("/audit?target=destination")).json()
    assert [one["action"] for one in audited] == ["get_destination_secret", "create_destination"]
