"""A project's owners read the audit log of their project, and of nothing else."""

from typing import Any

import httpx
import pytest

from event_trigger.models import ProjectRole
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.logins import ask_for_tokens, sign_in
from tests.support.memberships import add_project, remove_member
from tests.support.problems import problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import make_api

URL = "https://1.1.1.1/hook"


@pytest.fixture
async def team(service: Service) -> int:
    """A project that Ada made, and that Bob owns as well."""
    return await add_project(service, ADA, {BOB: ProjectRole.OWNER})


async def entries(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    """Returns the audit entries, oldest first."""
    answer = await client.get("/audit", params={"limit": 1000, **filters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found[::-1]


async def test_every_owner_reads_the_entries_of_the_project_and_no_others(
    service: Service, team: int, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    theirs = await make_api(service.client(ADA, project=team))
    hers, his = await make_api(ada), await make_api(bob)

    seen = [await entries(service.client(one, project=team)) for one in (ADA, BOB)]

    assert seen[0] == seen[1]
    assert [(one["target_id"], one["project_id"]) for one in seen[0]] == [(theirs["id"], team)]
    assert [one["target_id"] for one in await entries(ada)] == [hers["id"]]
    assert [one["target_id"] for one in await entries(bob)] == [his["id"]]


async def test_an_admin_reads_all_entries_or_those_of_one_project(
    service: Service, team: int, ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    theirs, hers = await make_api(service.client(ADA, project=team)), await make_api(ada)
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})

    of_all = await entries(admin)
    of_team = await entries(service.client(ADMIN, project=team))

    assert [(one["target"], one["target_id"], one["project_id"]) for one in of_all] == [
        ("trigger", theirs["id"], team),
        ("trigger", hers["id"], ADA),
        ("user", BOB, None),
    ]
    assert await entries(service.client(ADMIN, project="*")) == of_all
    assert of_team == of_all[:1]


@pytest.mark.parametrize("role", [ProjectRole.VIEWER, ProjectRole.OPERATOR, ProjectRole.EDITOR])
async def test_other_members_are_told_to_ask_an_owner_who_sees_that_they_tried(
    service: Service, role: ProjectRole
) -> None:
    team = await add_project(service, ADA, {BOB: role})

    answers = [await service.client(BOB, project=team).get("/audit") for _ in range(2)]

    problem = problem_of(answers[1], 403)
    assert problem["type"] == "urn:event-trigger:problem:for-owners-only"
    assert f"you are its {role}. Ask an owner" in problem["detail"]
    [entry] = await entries(service.client(ADA, project=team))
    assert (entry["action"], entry["refused"]) == ("list_audit", True)
    assert entry["user_id"] == BOB


async def test_an_owners_key_and_narrowed_login_read_nothing_of_it(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    key, narrowed = await make_key(ada), await sign_in(anonymous, scope="triggers:read")

    answers = [
        await holding(service, key).get("/audit"),
        await anonymous.get("/audit", headers=narrowed.headers),
    ]

    for answer in answers:
        detail = problem_of(answer, 403)["detail"]
        assert "needs the scope admin" in detail
        assert "a login that was not narrowed" in detail
        assert 'scope="admin"' in answer.headers["www-authenticate"]


async def test_an_admins_key_with_that_scope_reads_all_or_one_project(
    service: Service, team: int, admin: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    theirs, hers = await make_api(service.client(ADA, project=team)), await make_api(ada)
    key = holding(service, await make_key(admin, "admin"))

    of_all = await entries(key, target="trigger")
    key.headers["X-Project-ID"] = str(team)
    of_team = await entries(key, target="trigger")

    assert [one["target_id"] for one in of_all] == [theirs["id"], hers["id"]]
    assert [one["target_id"] for one in of_team] == [theirs["id"]]


async def test_a_project_that_is_not_theirs_answers_as_none(service: Service, team: int) -> None:
    outsider = await add_project(service, ADMIN)

    theirs = await service.client(BOB, project=outsider).get("/audit")
    nobodys = await service.client(BOB, project=987_654_321).get("/audit")

    assert problem_of(theirs, 404) == problem_of(nobodys, 404)


async def test_owners_see_what_an_admin_did_but_not_from_where(service: Service, team: int) -> None:
    for user_id in (ADA, ADMIN):
        await make_api(service.client(user_id, project=team))
    owner, admin = service.client(BOB, project=team), service.client(ADMIN, project=team)

    seen, whole = await entries(owner), await entries(admin)

    assert [(one["user_id"], one["address"]) for one in seen] == [
        (ADA, "127.0.0.1"),
        (ADMIN, None),
    ]
    assert [one["address"] for one in whole] == ["127.0.0.1"] * 2
    assert [one | {"address": None} for one in whole] == [one | {"address": None} for one in seen]


async def test_an_admin_who_is_a_member_is_seen_as_one(service: Service) -> None:
    team = await add_project(service, ADA, {ADMIN: ProjectRole.EDITOR})

    await make_api(service.client(ADMIN, project=team))

    [entry] = await entries(service.client(ADA, project=team))
    assert (entry["user_id"], entry["address"]) == (ADMIN, "127.0.0.1")


async def test_owners_see_no_address_of_a_former_admin_or_member(
    service: Service, admin: httpx.AsyncClient
) -> None:
    team = await add_project(service, ADA, {BOB: ProjectRole.EDITOR})
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    await make_api(service.client(BOB, project=team))
    await remove_member(service, team, BOB)
    await make_api(service.client(BOB, project=team))
    await admin.patch(f"/users/{BOB}", json={"role": "user"})

    seen = await entries(service.client(ADA, project=team), user_id=BOB)

    assert [(one["action"], one["address"]) for one in seen] == [("create_trigger", None)] * 2


async def test_owners_see_who_read_a_secret(service: Service) -> None:
    team = await add_project(service, ADA, {BOB: ProjectRole.EDITOR})
    made = await make_destination(service.client(ADA, project=team), URL)
    await service.client(BOB, project=team).get(f"/destinations/{made['id']}/secret")

    found = await entries(service.client(ADA, project=team), action="get_destination_secret")

    assert [(one["user_id"], one["target_id"]) for one in found] == [(BOB, made["id"])]


async def test_what_concerns_no_project_is_for_admins_only(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    await ask_for_tokens(anonymous, "ada@example.com", "wrong")
    await admin.patch(f"/users/{ADA}", json={"role": "user"})
    await sign_in(anonymous)
    await ada.get("/users")

    assert await entries(ada) == []
    assert {one["project_id"] for one in await entries(admin)} == {None}


async def test_filters_and_pages_stay_within_the_project(
    service: Service, team: int, ada: httpx.AsyncClient
) -> None:
    owner = service.client(ADA, project=team)
    theirs = []
    for _ in range(5):
        theirs.append((await make_api(owner))["id"])
        await make_api(ada)
    seen = await entries(owner)

    pages = await read_all(owner, "/audit", limit=2)
    cursor = httpx.URL((await ada.get("/audit", params={"limit": 3})).links["next"]["url"])
    by_cursor = await owner.get("/audit", params={"cursor": cursor.params["cursor"]})

    assert [one["target_id"] for one in pages] == theirs[::-1]
    assert [one["target_id"] for one in by_cursor.json()] == theirs[2::-1]
    assert await entries(owner, since=seen[3]["at"]) == seen[3:]
    assert await entries(owner, until=seen[3]["at"]) == seen[:3]
    assert await entries(owner, since=seen[1]["at"], until=seen[2]["at"]) == seen[1:2]
    assert await entries(owner, action="create_trigger", user_id=ADA, target="trigger") == seen
    assert await entries(owner, target_id=theirs[0], refused=False) == seen[:1]
