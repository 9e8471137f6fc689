"""A trigger says which set owns it, so that nobody edits it by hand without knowing."""

import httpx

from tests.support.sets import put_set
from tests.support.triggers import make_api, read


async def test_a_trigger_names_the_set_that_owns_it(ada: httpx.AsyncClient) -> None:
    file = {"triggers": {"order-created": {"type": "api", "details": {}}}}
    by_hand = await make_api(ada)
    await put_set(ada, "billing", file)

    owned = (await ada.get("/triggers/by-key/order-created")).json()
    listed = (await ada.get("/triggers")).json()
    sent_back = await ada.put(f"/triggers/{owned['id']}", json=owned)

    assert owned["set_name"] == "billing"
    assert {one["id"]: one["set_name"] for one in listed} == {
        owned["id"]: "billing",
        by_hand["id"]: None,
    }
    assert (sent_back.status_code, sent_back.json()["set_name"]) == (200, "billing")
    await ada.delete("/sets/billing")
    assert (await read(ada, by_hand["id"]))["set_name"] is None
