"""Plans, applies and reads sets over HTTP."""

from typing import Any

import httpx

File = dict[str, Any]


async def put_set(client: httpx.AsyncClient, name: str, file: File, **query: str) -> dict[str, Any]:
    """Applies a file, or plans it with dry_run="true"; gives the plan."""
    answer = await client.put(f"/sets/{name}", json=file, params=query)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def plan_set(
    client: httpx.AsyncClient, name: str, file: File, **query: str
) -> dict[str, Any]:
    return await put_set(client, name, file, dry_run="true", **query)


async def prune_set(client: httpx.AsyncClient, name: str, file: File) -> dict[str, Any]:
    """Applies a file, and removes what it lacks, however much that is; gives the plan."""
    planned = await plan_set(client, name, file, prune="true")
    seen = {"If-Match": f'"{planned["digest"]}"'}
    answer = await client.put(f"/sets/{name}?prune=true", json=file, headers=seen)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def get_set(client: httpx.AsyncClient, name: str) -> File:
    answer = await client.get(f"/sets/{name}")
    assert answer.status_code == 200, answer.text
    file: File = answer.json()
    return file


def names_in(members: list[dict[str, Any]]) -> list[str]:
    """Gives the members of a plan as `kind/key`."""
    return [f"{one['kind']}/{one['key']}" for one in members]


def is_empty(plan: dict[str, Any]) -> bool:
    return not (plan["create"] or plan["update"] or plan["adopt"] or plan["remove"])
