"""Users create projects, see their own ones only, and rename those that they own."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.projects.lifecycle import MAX_OWNED
from tests.support.keys import holding, make_key
from tests.support.problems import places_of, problem_of
from tests.support.projects import add_member, make_project, signed_in
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import make_api

NOBODYS = 987_654_321


async def test_a_project_is_made_with_its_maker_as_owner(ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/projects", json={"name": "Billing"})

    made = answer.json()
    assert answer.status_code == 201
    assert set(made) == {"id", "name", "role", "created_at"}
    assert (made["name"], made["role"]) == ("Billing", "owner")
    assert answer.headers["location"] == f"/projects/{made['id']}"
    assert (await ada.get(answer.headers["location"])).json() == made


async def test_ones_projects_are_listed_newest_first_with_ones_role(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hers, others = await make_project(ada, "Hers"), await make_project(bob, "Another")
    await add_member(ada, hers, BOB, "viewer")

    seen_by_ada, seen_by_bob = (await ada.get("/projects")).json(), await bob.get("/projects")

    assert [(one["id"], one["role"]) for one in seen_by_ada] == [(hers, "owner"), (ADA, "owner")]
    assert [(one["id"], one["role"]) for one in seen_by_bob.json()] == [
        (others, "owner"),
        (hers, "viewer"),
        (BOB, "owner"),
    ]


async def test_projects_are_listed_in_pages(ada: httpx.AsyncClient) -> None:
    made = [await make_project(ada) for _ in range(2)]
    seen, url = [], "/projects?limit=1"

    while url:
        page = await ada.get(url)
        seen += [one["id"] for one in page.json()]
        url = page.links.get("next", {}).get("url", "")

    assert seen == [*reversed(made), ADA]


async def test_calls_happen_in_the_project_that_the_header_names(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    there = service.client(ADA, project=project)

    made, own = await make_api(there, name="ours"), await make_api(ada, name="mine")

    assert [one["id"] for one in (await there.get("/triggers")).json()] == [made["id"]]
    assert [one["id"] for one in (await ada.get("/triggers")).json()] == [own["id"]]


async def test_projects_are_managed_whatever_project_the_header_names(
    service: Service, project: int
) -> None:
    for named in (str(NOBODYS), str(BOB), "nonsense"):
        there = service.client(ADA, project=named)

        seen = (await there.get("/projects")).json()
        renamed = await there.patch(f"/projects/{project}", json={"name": named})

        assert [one["id"] for one in seen] == [project, ADA]
        assert renamed.json()["name"] == named


async def test_an_owner_renames_a_project(ada: httpx.AsyncClient, project: int) -> None:
    answer = await ada.patch(f"/projects/{project}", json={"name": "Invoices"})

    assert (answer.status_code, answer.json()["name"]) == (200, "Invoices")
    assert (await ada.get(f"/projects/{project}")).json() == answer.json()


async def test_a_patch_without_a_name_leaves_a_project_as_it_is(
    ada: httpx.AsyncClient, project: int
) -> None:
    before = (await ada.get(f"/projects/{project}")).json()

    made = await ada.post("/projects", json={})
    patched = await ada.patch(f"/projects/{project}", json={})

    assert places_of(made) == ["#/name"]
    assert (patched.status_code, patched.json()) == (200, before)


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 101}, {"name": None}])
async def test_a_project_needs_a_name_of_up_to_100_characters(
    ada: httpx.AsyncClient, project: int, body: dict[str, Any]
) -> None:
    made = await ada.post("/projects", json=body)
    renamed = await ada.patch(f"/projects/{project}", json=body)

    assert (places_of(made), places_of(renamed)) == (["#/name"], ["#/name"])


async def test_a_key_sees_only_the_project_that_it_belongs_to(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    own = holding(service, await make_key(ada))
    ours = holding(service, await make_key(service.client(ADA, project=project)))

    for key, seen, hidden in ((own, ADA, project), (ours, project, ADA)):
        assert [one["id"] for one in (await key.get("/projects")).json()] == [seen]
        assert (await key.get(f"/projects/{seen}")).json()["role"] == "owner"
        problem_of(await key.get(f"/projects/{hidden}"), 404)


async def test_a_key_sees_its_project_once_whatever_page_it_asks_for(
    service: Service, ada: httpx.AsyncClient
) -> None:
    await make_project(ada)
    link = (await ada.get("/projects?limit=1")).links["next"]["url"]

    for client, expected in (
        (service.client(ADA), [ADA]),
        (holding(service, await make_key(ada)), [ADA]),
    ):
        assert [one["id"] for one in (await client.get(link)).json()] == expected


async def test_only_full_logins_make_and_rename_projects(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    narrowed = await signed_in(service, "ada@example.com", scope="triggers:read")
    key = holding(service, await make_key(ada))

    for client in (narrowed, key):
        made = await client.post("/projects", json={"name": "a"})
        renamed = await client.patch(f"/projects/{project}", json={"name": "a"})

        for answer in (made, renamed):
            assert problem_of(answer, 403)["type"].endswith(":full-login-required")
        assert (await client.get("/projects")).status_code == 200


async def test_an_admin_reads_and_manages_any_project_but_lists_those_of_which_it_is_a_member(
    admin: httpx.AsyncClient, overseer: httpx.AsyncClient, project: int
) -> None:
    read = await admin.get(f"/projects/{project}")
    renamed = await admin.patch(f"/projects/{project}", json={"name": "Renamed"})

    assert (read.json()["id"], read.json()["role"]) == (project, "owner")
    assert renamed.json()["name"] == "Renamed"
    assert [one["id"] for one in (await admin.get("/projects")).json()] == [ADMIN]
    for client in (admin, overseer):
        problem_of(await client.get(f"/projects/{NOBODYS}"), 404)


async def test_an_admin_lists_all_projects_with_a_star(
    service: Service, ada: httpx.AsyncClient, overseer: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, ADMIN, "viewer")
    key = holding(service, await make_key(service.client(ADMIN), "admin", "triggers:read"))
    key.headers["X-Project-ID"] = "*"

    for client in (overseer, key):
        seen, url = [], "/projects?limit=3"
        while url:
            page = await client.get(url)
            seen += [(one["id"], one["role"]) for one in page.json()]
            url = page.links.get("next", {}).get("url", "")

        assert seen == [
            (project, "viewer"),
            (BOB, "owner"),
            (ADA, "owner"),
            (ADMIN, "owner"),
        ]


async def test_nobody_else_lists_projects_with_a_star(service: Service, project: int) -> None:
    narrowed = await signed_in(service, "admin@example.com", scope="triggers:read")
    key = holding(service, await make_key(service.client(ADMIN), "triggers:read"))

    for client in (service.client(ADA), narrowed, key):
        client.headers["X-Project-ID"] = "*"
        problem_of(await client.get("/projects"), 404)
    assert (await service.client(ADA, project="*").get(f"/projects/{project}")).status_code == 200
    upcoming = await service.client(ADMIN, project="*").get("/upcoming")
    assert "happens in one project" in problem_of(upcoming, 422)["detail"]


async def test_an_admin_whose_login_is_narrowed_is_no_admin_here(
    service: Service, project: int
) -> None:
    narrowed = await signed_in(service, "admin@example.com", scope="triggers:read")

    problem_of(await narrowed.get(f"/projects/{project}"), 404)


async def test_one_user_makes_no_more_projects_than_100_even_at_once(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute(
        "WITH made AS (INSERT INTO projects (id, name) SELECT id, 'p' FROM"
        " generate_series(1000000, 999999 + $2::int) AS id RETURNING id)"
        " INSERT INTO project_members (project_id, user_id, role) SELECT id, $1, 'owner' FROM made",
        ADA,
        MAX_OWNED - 3,  # and her own
    )

    answers = await asyncio.gather(
        *(ada.post("/projects", json={"name": "more"}) for _ in range(4))
    )

    refused = [one for one in answers if one.status_code != 201]
    assert len(refused) == 2
    for one in refused:
        problem = problem_of(one, 409)
        assert problem["type"].endswith(":too-many-projects")
        assert "100" in problem["detail"]


@pytest.mark.parametrize("name", [" ", "\n\t", "\u200b", "a\u202eb", "a\u0007"])
async def test_a_name_can_be_seen(ada: httpx.AsyncClient, name: str) -> None:
    made = await ada.post("/projects", json={"name": name})

    problem_of(made, 422)
