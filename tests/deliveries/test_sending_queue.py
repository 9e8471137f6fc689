"""The queue sends claimed deliveries in turns of the event loop, and nobody waits for it."""

import asyncio

from event_trigger.deliveries.sending_queue import SendingQueue


async def test_requests_are_sent_in_their_order_while_others_have_their_turns() -> None:
    sent: list[int] = []
    queue, seen = SendingQueue(sent.append), [0]

    for number in range(100):
        queue.add(number)
    while seen[-1] < 100:
        await asyncio.sleep(0)
        seen.append(len(sent))

    assert sent == [*range(100)]
    assert len(set(seen)) > 10


async def test_draining_waits_for_what_was_added_while_it_was_sending() -> None:
    sent: list[int] = []
    queue = SendingQueue(sent.append)

    queue.add(1)
    await asyncio.sleep(0)
    queue.add(2)
    first = await queue.drain(60)
    second = await queue.drain(60)  # with nothing to wait for

    assert sent == [1, 2]
    assert first == second == []


async def test_draining_gives_what_it_had_no_time_to_send() -> None:
    sent: list[int] = []
    queue = SendingQueue(sent.append)

    for number in range(1000):
        queue.add(number)
    rest = await queue.drain(0)
    await asyncio.sleep(0.01)

    assert rest
    assert sent + rest == [*range(1000)]
