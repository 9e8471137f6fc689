"""Under a prefix, all URLs of answers carry it, whether or not a proxy takes it off."""

import httpx

from tests.support.services import ADA, running_service
from tests.support.sets import put_set

PREFIX = "/team/events"


async def test_answers_carry_the_prefix_and_both_kinds_of_proxy_work(database_url: str) -> None:
    async with running_service(database_url, root_path=PREFIX) as service:
        ada = service.client(ADA)
        for path in ("", PREFIX):
            made = await ada.post(
                f"{path}/triggers", json={"type": "api", "details": {"hook": {"verify": "none"}}}
            )
            page = await ada.get(f"{path}/triggers?limit=1")
            fired = await ada.post(f"{path}/triggers/1/trigger")
            hooked = await ada.post(made.json()["hook_url"])
            document = (await ada.get(f"{path}/openapi.json")).json()
            docs = await ada.get(f"{path}/api/docs")
            tokens = await ada.options(f"{path}/auth/token")

            assert made.headers["location"] == f"{PREFIX}/triggers/{made.json()['id']}"
            assert (await ada.get(made.headers["location"])).json()["id"] == made.json()["id"]
            assert made.json()["hook_url"].startswith(f"http://service.test{PREFIX}/hooks/")
            assert fired.headers["location"].startswith(f"{PREFIX}/events/")
            assert hooked.status_code == docs.status_code == 200
            assert document["servers"] == [{"url": PREFIX}]
            flow = document["components"]["securitySchemes"]["login"]["flows"]["password"]
            assert flow["tokenUrl"] == f"{PREFIX}/auth/token"
            assert tokens.status_code == 204
        bare = await ada.get(PREFIX)
        other = await ada.get(f"{PREFIX}more/triggers")

    assert page.links["next"]["url"].startswith(f"http://service.test{PREFIX}/triggers?limit=1&")
    assert bare.headers["location"] == f"{PREFIX}/"
    assert other.status_code == 404


async def test_urls_begin_with_the_public_one_whatever_the_host(database_url: str) -> None:
    public = "https://example.com/team"
    async with running_service(database_url, public_url=public) as service:
        ada = service.client(ADA)
        made = [
            await ada.post(
                "/triggers", json={"type": "api", "details": {"hook": {"verify": "none"}}}
            )
            for _ in range(2)
        ]
        hooked = {"type": "api", "details": {"hook": {"verify": "none"}}}
        of_set = await put_set(ada, "calls", {"triggers": {"called": hooked}})
        page = await ada.get("/triggers?limit=2", headers={"host": "evil.example.com"})
        following = httpx.URL(page.links["next"]["url"])
        rest = await ada.get(following.raw_path.decode())

    assert str(following).startswith(f"{public}/triggers?limit=2&cursor=")
    assert [one["id"] for one in rest.json()] == [1]
    assert made[0].json()["hook_url"].startswith(f"{public}/hooks/")
    assert of_set["create"][0]["hook_url"].startswith(f"{public}/hooks/")
    assert made[0].headers["location"] == "/team/triggers/1"
