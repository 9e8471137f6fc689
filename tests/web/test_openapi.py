"""The OpenAPI document is complete, and its examples work."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import httpx
import pytest

from event_trigger.app import create_app
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Unauthorized
from tests.support.keys import make_key
from tests.support.links import plant_reset
from tests.support.logins import sign_in
from tests.support.mail_server import mail_settings
from tests.support.names import PUBLIC, resolving
from tests.support.projects import add_member, invite, make_project, make_user, signed_in
from tests.support.services import (
    ADA,
    ADMIN,
    BOB,
    Service,
    make_settings,
    quick_passwords,
    running_service,
)

OPEN = {
    "sign_in",
    "refresh_tokens",
    "register",
    "start_session",
    "accept_invitation",
    "forgot_password",
    "reset_password",
    "call_hook",
    "call_hook_by_get",
    "call_hook_by_put",
    "ping_hook",
    "ping_hook_by_get",
    "healthz",
    "readyz",
}
OF_PROJECTS = {
    "create_project": "POST /projects",
    "list_projects": "GET /projects",
    "get_project": "GET /projects/{project_id}",
    "update_project": "PATCH /projects/{project_id}",
    "list_members": "GET /projects/{project_id}/members",
    "add_member": "POST /projects/{project_id}/members",
    "update_member": "PATCH /projects/{project_id}/members/{user_id}",
    "remove_member": "DELETE /projects/{project_id}/members/{user_id}",
    "create_invitation": "POST /projects/{project_id}/invitations",
    "list_invitations": "GET /projects/{project_id}/invitations",
    "delete_invitation": "DELETE /projects/{project_id}/invitations/{invitation_id}",
}
NEEDS_NO_SCOPE = {  # one's own, or what one's role in a project allows
    "sign_out",
    "end_browser_session",
    "get_me",
    "update_me",
    "erase_me",
    "delete_project",
    "change_password",
    "list_sessions",
    "end_session",
    "end_other_sessions",
    "create_key",
    "list_keys",
    "get_key",
    "update_key",
    "delete_key",
    "get_info",
    "list_audit",
    "act_on_triggers",  # its action decides
    *OF_PROJECTS,
}
PROBLEM = "application/problem+json"
# clients are generated from these names: a new one may be added, none may change
OPERATION_IDS = {
    "sign_in": "POST /auth/token",
    "refresh_tokens": "POST /auth/refresh",
    "sign_out": "POST /auth/logout",
    "start_session": "POST /console/session",
    "end_browser_session": "DELETE /console/session",
    "get_me": "GET /auth/me",
    "update_me": "PATCH /auth/me",
    "erase_me": "DELETE /auth/me",
    "erase_user": "DELETE /users/{user_id}",
    "delete_project": "DELETE /projects/{project_id}",
    "register": "POST /auth/register",
    "change_password": "POST /auth/password",
    "forgot_password": "POST /auth/forgot",
    "reset_password": "POST /auth/reset",
    "list_sessions": "GET /auth/sessions",
    "end_session": "DELETE /auth/sessions/{session_id}",
    "end_other_sessions": "DELETE /auth/sessions",
    "create_key": "POST /auth/keys",
    "list_keys": "GET /auth/keys",
    "get_key": "GET /auth/keys/{key_id}",
    "update_key": "PATCH /auth/keys/{key_id}",
    "delete_key": "DELETE /auth/keys/{key_id}",
    "list_users": "GET /users",
    "add_user": "POST /users",
    "create_password_link": "POST /users/{user_id}/password-link",
    "update_user": "PATCH /users/{user_id}",
    "list_audit": "GET /audit",
    **OF_PROJECTS,
    "accept_invitation": "POST /invitations/accept",
    "create_trigger": "POST /triggers",
    "list_triggers": "GET /triggers",
    "get_trigger": "GET /triggers/{trigger_id}",
    "replace_trigger": "PUT /triggers/{trigger_id}",
    "update_trigger": "PATCH /triggers/{trigger_id}",
    "get_trigger_by_key": "GET /triggers/by-key/{key}",
    "put_trigger_by_key": "PUT /triggers/by-key/{key}",
    "delete_trigger_by_key": "DELETE /triggers/by-key/{key}",
    "pause_trigger_by_key": "POST /triggers/by-key/{key}/pause",
    "resume_trigger_by_key": "POST /triggers/by-key/{key}/resume",
    "fire_trigger_by_key": "POST /triggers/by-key/{key}/trigger",
    "test_trigger_by_key": "POST /triggers/by-key/{key}/test",
    "delete_trigger": "DELETE /triggers/{trigger_id}",
    "pause_trigger": "POST /triggers/{trigger_id}/pause",
    "resume_trigger": "POST /triggers/{trigger_id}/resume",
    "fire_trigger": "POST /triggers/{trigger_id}/trigger",
    "test_trigger": "POST /triggers/{trigger_id}/test",
    "list_versions": "GET /triggers/{trigger_id}/versions",
    "list_upcoming": "GET /upcoming",
    "list_recent": "GET /triggers/recent",
    "fire_trigger_batch": "POST /triggers/trigger-batch",
    "act_on_triggers": "POST /triggers/actions",
    "rotate_hook": "POST /triggers/{trigger_id}/hook/rotate",
    "list_refusals": "GET /triggers/{trigger_id}/refusals",
    "call_hook": "POST /hooks/{token}",
    "call_hook_by_get": "GET /hooks/{token}",
    "call_hook_by_put": "PUT /hooks/{token}",
    "ping_hook": "POST /hooks/{token}/{signal}",
    "ping_hook_by_get": "GET /hooks/{token}/{signal}",
    "list_events": "GET /events",
    "count_events": "GET /events/counts",
    "get_event": "GET /events/{event_id}",
    "stream_events": "GET /events/stream",
    "export_events": "GET /events/export",
    "replay_event": "POST /events/{event_id}/replay",
    "create_calendar": "POST /calendars",
    "list_calendars": "GET /calendars",
    "list_calendar_triggers": "GET /calendars/{key}/triggers",
    "get_calendar": "GET /calendars/{key}",
    "put_calendar": "PUT /calendars/{key}",
    "delete_calendar": "DELETE /calendars/{key}",
    "list_holiday_countries": "GET /calendars/holidays",
    "get_holidays": "GET /calendars/holidays/{country}",
    "get_holidays_of_region": "GET /calendars/holidays/{country}/{region}",
    "create_destination": "POST /destinations",
    "list_destinations": "GET /destinations",
    "get_destination": "GET /destinations/{destination_id}",
    "replace_destination": "PUT /destinations/{destination_id}",
    "update_destination": "PATCH /destinations/{destination_id}",
    "get_destination_by_key": "GET /destinations/by-key/{key}",
    "put_destination_by_key": "PUT /destinations/by-key/{key}",
    "delete_destination_by_key": "DELETE /destinations/by-key/{key}",
    "disable_destination_by_key": "POST /destinations/by-key/{key}/disable",
    "enable_destination_by_key": "POST /destinations/by-key/{key}/enable",
    "get_destination_secret_by_key": "GET /destinations/by-key/{key}/secret",
    "rotate_destination_secret_by_key": "POST /destinations/by-key/{key}/rotate-secret",
    "test_destination_by_key": "POST /destinations/by-key/{key}/test",
    "delete_destination": "DELETE /destinations/{destination_id}",
    "disable_destination": "POST /destinations/{destination_id}/disable",
    "enable_destination": "POST /destinations/{destination_id}/enable",
    "get_destination_secret": "GET /destinations/{destination_id}/secret",
    "rotate_destination_secret": "POST /destinations/{destination_id}/rotate-secret",
    "render_destination": "POST /destinations/render",
    "test_destination": "POST /destinations/{destination_id}/test",
    "redeliver_exhausted": "POST /destinations/{destination_id}/redeliver",
    "put_set": "PUT /sets/{name}",
    "list_sets": "GET /sets",
    "get_set": "GET /sets/{name}",
    "delete_set": "DELETE /sets/{name}",
    "list_deliveries": "GET /deliveries",
    "get_delivery": "GET /deliveries/{delivery_id}",
    "redeliver": "POST /deliveries/{delivery_id}/redeliver",
    "cancel_delivery": "POST /deliveries/{delivery_id}/cancel",
    "act_on_deliveries": "POST /deliveries/actions",
    "list_notices": "GET /notices",
    "get_overview": "GET /overview",
    "get_stats": "GET /stats",
    "get_info": "GET /info",
    "healthz": "GET /healthz",
    "readyz": "GET /readyz",
}


@pytest.fixture
async def document() -> dict[str, Any]:
    """The document as it is served; that needs no database."""
    app = create_app(make_settings("postgresql://nowhere/nothing"), passwords=quick_passwords())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


TAKES_A_KEY = {
    *("fire_trigger", "test_trigger", "fire_trigger_by_key", "test_trigger_by_key"),
    *("call_hook", "call_hook_by_get", "call_hook_by_put", "replay_event", "redeliver"),
    *("create_trigger", "rotate_hook", "create_destination", "rotate_destination_secret"),
    "rotate_destination_secret_by_key",
    *("create_key", "create_project", "add_member", "create_invitation"),
    *("add_user", "create_password_link"),
    *("accept_invitation", "register", "create_calendar"),
    *("fire_trigger_batch", "act_on_triggers", "act_on_deliveries"),
}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "$ref")
        part = list(part.values())
    if isinstance(part, list):
        yield from chain.from_iterable(map(references, part))


def test_every_operation_has_a_declared_tag_in_the_order_of_use(document: dict[str, Any]) -> None:
    declared = {tag["name"]: tag["description"] for tag in document["tags"]}

    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used == declared.keys(), "declare a tag in api.py, TAGS, with a sentence"
    assert all(words.endswith(".") for words in declared.values())
    order = list(declared)
    assert order[:3] == ["triggers", "events", "hooks"]
    assert order.index("deliveries") < order.index("auth")
    assert order[-1] == "service"


def test_every_body_and_every_error_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert any(True for _ in examples_of(document, content)), f"{name}: its body"
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                shown = "example" in content or media_type != PROBLEM

                assert shown, f"{name}: {status}; name the very problem that it raises"


def test_every_patch_has_an_example_of_its_own(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if name.startswith("PATCH"):
            [content] = operation["requestBody"]["content"].values()
            whole = content.get("examples") or resolved(document, content["schema"])["examples"]

            assert whole, f"{name}: Swagger UI would fill in all fields; see PatchModel"


def test_answers_declare_their_headers(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        sent = {one["name"].lower() for one in operation.get("parameters", ())}
        for status, response in operation["responses"].items():
            headers = response.get("headers", {}).keys()

            assert "WWW-Authenticate" in headers or status != "401", name
            assert "Retry-After" in headers or status != "503" or "readyz" in name, name
            assert "Link" in headers or not ("cursor" in sent and status == "200"), name


def test_the_description_names_itself(document: dict[str, Any]) -> None:
    info = document["info"]

    assert document["openapi"].startswith("3.1")
    assert info["title"] == "Event Trigger Platform"
    assert info["version"]
    assert "POST /auth/token" in info["description"]


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"].strip(), name
        assert operation["description"].strip().endswith("."), name
        assert operation["tags"], name


def test_operation_ids_are_unique_and_stay(document: dict[str, Any]) -> None:
    found = [(operation["operationId"], name) for name, operation in operations(document)]

    assert len(dict(found)) == len(found)
    assert dict(found).items() >= OPERATION_IDS.items()


def test_every_operation_needs_a_login_or_is_public(document: dict[str, Any]) -> None:
    open_to_all = {
        operation["operationId"]
        for _, operation in operations(document)
        if not operation.get("security") or {} in operation["security"]
    }

    schemes = document["components"]["securitySchemes"]
    assert open_to_all == OPEN
    flow = schemes["login"]["flows"]["password"]
    assert flow["tokenUrl"] == flow["refreshUrl"] == "/auth/token"
    assert schemes["login"]["flows"]["password"]["scopes"].keys() == set(Scope)
    assert (schemes["key"]["in"], schemes["key"]["name"]) == ("header", "X-API-Key")


def test_every_operation_says_which_scopes_it_needs(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if operation["operationId"] not in OPEN:
            by_scheme = {
                scheme: held for one in operation["security"] for scheme, held in one.items()
            }

            assert by_scheme.keys() == {"login", "key"}, name
            assert by_scheme["login"] == by_scheme["key"], name
            assert set(by_scheme["login"]) <= set(Scope), name
            needs_some = operation["operationId"] not in NEEDS_NO_SCOPE
            assert bool(by_scheme["login"]) == needs_some, name
            assert operation["responses"].keys() >= {"401", "403"} or not needs_some, name


def test_what_needs_a_login_says_401(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        needs_login = operation["operationId"] not in OPEN

        assert (
            not needs_login or operation["responses"]["401"]["description"] == Unauthorized.title
        ), name


def test_every_error_is_described_as_a_problem_and_as_nothing_else(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        errors = {s: r for s, r in operation["responses"].items() if s.startswith(("4", "5"))}

        assert errors or operation["operationId"] == "healthz", name
        for status, response in errors.items():
            assert list(response["content"]) == [PROBLEM], (name, status)
            reference = response["content"][PROBLEM]["schema"]["$ref"]
            assert reference == "#/components/schemas/ProblemRead", (name, status)

    schemas = document["components"]["schemas"]
    assert {"HTTPValidationError", "ValidationError"}.isdisjoint(schemas)


def test_what_takes_a_body_says_how_it_can_be_refused(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "requestBody" in operation:
            form = "application/x-www-form-urlencoded" in operation["requestBody"]["content"]
            is_hook = operation["operationId"].startswith("call_hook")
            any_type = is_hook or form  # senders of hooks choose it
            expected = {"413", "422"} if any_type else {"413", "415", "422"}
            if operation["operationId"] == "sign_in":  # RFC 6749; 422 is for unknown parameters
                expected = {"400", "413", "422"}

            assert operation["responses"].keys() >= expected, name


def test_what_creates_or_fires_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    keyed = {
        operation["operationId"]: operation
        for _, operation in operations(document)
        if "idempotency-key" in {one["name"].lower() for one in operation.get("parameters", ())}
    }

    assert keyed.keys() == TAKES_A_KEY
    for name, operation in keyed.items():
        assert operation["responses"].keys() >= {"409", "422"}, name
        made, *_ = (one for status, one in operation["responses"].items() if status < "300")
        assert "Idempotent-Replayed" in made["headers"], name


def test_every_reference_leads_somewhere_and_no_schema_is_left_over(
    document: dict[str, Any],
) -> None:
    used = {one.removeprefix("#/components/schemas/") for one in references(document)}

    schemas = {one for one in used if not one.startswith("#")}
    assert schemas == set(document["components"]["schemas"])
    headers = {one.removeprefix("#/components/headers/") for one in used - schemas}
    assert headers == set(document["components"]["headers"])


ALL_IN_ONE_ANSWER = {
    *("GET /events/counts", "GET /triggers/{trigger_id}/refusals", "GET /calendars/holidays"),
    "GET /triggers/recent",
}


def test_every_list_takes_a_limit_of_at_most_1000(document: dict[str, Any]) -> None:
    lists = dict(lists_of(document))

    assert {"GET /events", "GET /triggers", "GET /deliveries"} <= lists.keys()
    for name, operation in lists.items():
        if name in ALL_IN_ONE_ANSWER:
            continue
        [limit] = [one for one in operation["parameters"] if one["name"] == "limit"]
        assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 1000), name


def lists_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, operation in operations(document):
        answered = operation["responses"].get("200", {}).get("content", {})
        schema = answered.get("application/json", {}).get("schema", {})
        if "array" in {one.get("type") for one in (schema, *schema.get("anyOf", []))}:
            yield name, operation


def test_every_path_parameter_is_a_64_bit_id(document: dict[str, Any]) -> None:
    texts = {"token", "signal", "session_id", "key", "name", "country", "region"}
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] not in texts:
                assert parameter["schema"]["minimum"] == 1, name
                assert parameter["schema"]["maximum"] == 2**63 - 1, name


def examples_of(document: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    """The examples that the docs show: the named ones, or one made of the fields' examples."""
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    schema = resolved(document, content["schema"])
    if "examples" in schema:
        return [*schema["examples"]]
    fields = schema["properties"]
    return [{name: example for name, field in fields.items() if (example := _example(field))}]


def _example(field: dict[str, Any]) -> Any:
    for one in (field, *field.get("anyOf", [])):
        if one.get("examples"):
            return one["examples"][0]
    return None


def _filled(
    name: str, trigger: httpx.Response, destination: httpx.Response, *, project: int, key_id: int
) -> str:
    name = name.replace("{key_id}", str(key_id)).replace("{key}", "nightly-report")
    name = name.replace("{name}", "billing")
    name = name.replace("{trigger_id}", str(trigger.json()["id"])).replace("{user_id}", str(BOB))
    name = name.replace("{destination_id}", str(destination.json()["id"]))
    return name.replace("{project_id}", str(project))


async def _hook_of(client: httpx.AsyncClient) -> str:
    hook = {"verify": "none", "methods": ["GET", "POST", "PUT"]}
    body = {"type": "api", "details": {"hook": hook}}
    made = await client.post("/triggers", json=body)
    return str(made.json()["hook_url"]).rpartition("/")[2]


async def test_the_example_of_every_body_works(database_url: str) -> None:
    settings = {"open_registration": True, "public_url": "http://service.test", **mail_settings(9)}
    async with running_service(database_url, resolving(PUBLIC), **settings) as service:
        await _every_example_works(service)


async def _every_example_works(service: Service) -> None:
    ada, anonymous, admin = service.client(ADA), service.client(), service.client(ADMIN)
    await make_user(service, "leaving@example.com")
    leaving = await signed_in(service, "leaving@example.com")

    def client_for(operation: dict[str, Any]) -> httpx.AsyncClient:
        if operation["operationId"] == "erase_me":
            return leaving
        security = operation.get("security")
        if not security or {} in security:
            return anonymous
        return admin if any("admin" in one.get("login", ()) for one in security) else ada

    document = (await anonymous.get("/openapi.json")).json()
    tokens = await sign_in(anonymous)
    made = await ada.post(
        "/triggers", json={"type": "scheduled", "details": {"interval": 30, "recurring": True}}
    )
    destination = await ada.post("/destinations", json={"url": "https://example.com/hook"})
    key = await make_key(ada)
    real = {
        "username": "ada@example.com",
        "refresh_token": tokens.refresh,
        "email": "grace@example.com",  # the example's address is taken here
    }
    project = await make_project(ada)
    await add_member(ada, project, BOB)
    invited = {"token": (await invite(ada, project))["url"], "email": "heidi@example.com"}
    fired = await ada.post(f"/triggers/{made.json()['id']}/trigger")
    shown = {"destination": destination.json()["id"], "event_id": int(fired.headers["Event-Id"])}
    mailed = {"token": await plant_reset(service.database_url, "bob@example.com")}
    real_at = {
        "POST /auth/reset": {**real, **mailed},
        "POST /users": {**real, "email": "ivan@example.com"},
        "POST /invitations/accept": {**real, **invited},
        "POST /destinations/render": {**real, **shown},
    }
    token, tried = await _hook_of(ada), 0
    signed = {"type": "api", "details": {"hook": {"verify": "github"}}}
    hooked = await ada.post("/triggers", json=signed)

    for name, operation in operations(document):
        trigger = hooked if name.endswith("/hook/rotate") else made
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            examples = examples_of(document, content)
            assert examples, name
            for example in examples:
                given = real_at.get(name, real)
                is_text = isinstance(example, str)
                body = (
                    example
                    if is_text
                    else example | {key: given[key] for key in given.keys() & example.keys()}
                )
                filled = _filled(
                    name, trigger, destination, project=project, key_id=key["id"]
                ).replace("{token}", token)
                method, path = filled.split()
                is_json = media_type == "application/json"
                client = client_for(operation)
                answer = await client.request(
                    method,
                    path,
                    json=body if is_json else None,
                    data=None if is_json or is_text else body,
                    content=body if is_text else None,
                )

                assert answer.is_success, (name, body, answer.text)
                assert str(answer.status_code) in operation["responses"], name
                tried += 1

    assert tried >= 10
