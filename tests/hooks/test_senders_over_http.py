"""Each sender's call becomes one event, whose payload is the body that it encodes."""

from datetime import UTC, datetime

import httpx

from event_trigger.hooks.bodies.reading import read_body
from tests.support.hooks import events_of, hook_of, is_fired
from tests.support.problems import problem_of
from tests.support.senders import SENDERS, Sender, Sending, linear_body
from tests.support.triggers import make_api


async def test_each_senders_call_makes_one_event_and_the_same_call_unsigned_none(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for name, sender in SENDERS.items():
        options = {**sender.hook, "secret": sender.secret}
        hook = hook_of(await make_api(ada, details={"hook": options}))
        now = datetime.now(UTC)
        body = linear_body(now) if name == "Linear" else sender.body
        query = sender.query(body)
        url = f"{hook.url}?{query}" if query else hook.url
        signed = sender.sign(Sending(sender.secret, body, at=now, url=hook.url))

        fired = await anonymous.post(url, content=body, headers=signed | typed(sender))
        unsigned = await anonymous.post(url, content=body, headers=typed(sender))

        assert is_fired(fired), (name, fired.text)
        problem_of(unsigned, 401)
        payload = read_body(body, sender.content_type)
        assert payload is not None
        assert await events_of(ada, hook) == [payload.value], name


def typed(sender: Sender) -> dict[str, str]:
    return {"content-type": sender.content_type}
