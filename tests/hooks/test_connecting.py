"""The hooks of docs/hooks.md take what their senders really send."""

from typing import Any

import httpx

from tests.support.hooks import is_fired
from tests.support.markdown import ROOT, posted_in
from tests.support.sender_calls import SENDER_CALLS
from tests.support.triggers import change

GIVEN = "a-secret-that-the-sender-shows"
ISSUED_LATER = "Paid"  # Stripe issues its secret once it knows the URL


def _hooks_of_the_page() -> dict[str, dict[str, Any]]:
    """The triggers with hooks that the page makes, by name."""
    page = ROOT / "docs" / "hooks.md"
    posted = posted_in(page, "/triggers", {"'$SECRET'": GIVEN})
    return {one["name"]: one for one in posted if "name" in one}


def test_each_sender_of_the_page_has_its_calls() -> None:
    assert _hooks_of_the_page().keys() == SENDER_CALLS.keys()


async def _connect(client: httpx.AsyncClient, trigger: dict[str, Any]) -> tuple[str, str]:
    """Makes a trigger as the page does; gives the URL and the secret of its hook."""
    made = (await client.post("/triggers", json=trigger)).json()
    if trigger["name"] != ISSUED_LATER:
        return made["hook_url"], made["hook_secret"] or GIVEN
    options = {**trigger["details"]["hook"], "secret": GIVEN}
    await change(client, made["id"], {"details": {"hook": options}})
    return made["hook_url"], GIVEN


async def test_each_sender_fires_with_what_it_sends(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for name, trigger in _hooks_of_the_page().items():
        url, secret = await _connect(ada, trigger)
        for call in SENDER_CALLS[name]:
            wrong = await anonymous.post(url, content=call.body, headers=call.signed("wrong"))
            answer = await anonymous.post(url, content=call.body, headers=call.signed(secret))

            assert (wrong.status_code == 401) == (trigger["details"]["hook"]["verify"] != "none")
            assert is_fired(answer), (name, answer.text)
            event = (await ada.get(answer.headers["location"])).json()
            assert event["payload"] == call.payload
            assert event["source"]["kind"] == "hook"
            assert call.tells.items() <= event["source"]["headers"].items()
            assert secret not in str(event)
