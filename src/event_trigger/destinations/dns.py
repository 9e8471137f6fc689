"""Looks names up in threads of its own, so that a slow name server holds up its own names only."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any
from weakref import WeakValueDictionary

Lookup = Callable[[str, int], Awaitable[list[str]]]  # gives addresses in figures
Resolve = Callable[..., list[Any]]  # as socket.getaddrinfo
MOST_AT_ONCE = 512  # as many as attempts may be in flight
MOST_OF_ONE_DOMAIN = 64  # so that nobody's name server takes them all
_BEGINS_WITHIN = 30.0  # seconds, as long as an attempt lasts: then nobody waits any more


class DnsResolver:
    """The system's resolver; `lookup` raises OSError for a name that has no address.

    A look-up that has begun cannot be ended, and goes on when those who asked have left.
    """

    def __init__(
        self,
        resolve: Resolve = socket.getaddrinfo,
        *,
        most_at_once: int = MOST_AT_ONCE,
        most_of_one_domain: int = MOST_OF_ONE_DOMAIN,
    ) -> None:
        self._resolve = resolve
        self._most_of_one_domain = most_of_one_domain
        self._under_way: dict[tuple[str, int], asyncio.Task[list[str]]] = {}
        self._places = asyncio.Semaphore(most_at_once)
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def lookup(self, host: str, port: int) -> list[str]:
        """All who ask for the same name meanwhile share one look-up."""
        key = host.lower(), port
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._look_up(host, port))
            task.add_done_callback(partial(self._forget, key))
        return await asyncio.shield(task)

    async def _look_up(self, host: str, port: int) -> list[str]:
        of_domain = self._domains.setdefault(
            _domain_of(host), asyncio.Semaphore(self._most_of_one_domain)
        )
        ask = partial(self._resolve, host, port, type=socket.SOCK_STREAM)
        async with asyncio.timeout(_BEGINS_WITHIN) as waiting, of_domain, self._places:
            waiting.reschedule(None)  # its place is free when its thread is
            found = await _in_thread(ask)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def _forget(self, key: tuple[str, int], task: asyncio.Task[list[str]]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # there may be nobody left to whom it matters

    def close(self) -> None:
        """Waits for no look-up: what was asked for is cancelled."""
        for task in self._under_way.values():
            task.cancel()


def _domain_of(host: str) -> str:
    return ".".join(host.lower().removesuffix(".").split(".")[-2:])


def _in_thread(ask: Callable[[], list[Any]]) -> asyncio.Future[list[Any]]:
    """Asks in a thread that does not keep the process from ending, as those of executors do."""
    done: Future[list[Any]] = Future()
    done.set_running_or_notify_cancel()
    try:
        Thread(target=_settle, args=(done, ask), name="names", daemon=True).start()
    except RuntimeError as error:  # the system has no more of them
        raise OSError(errno.EAGAIN, "no thread could be started") from error
    return asyncio.wrap_future(done)


def _settle(done: Future[list[Any]], ask: Callable[[], list[Any]]) -> None:
    try:
        done.set_result(ask())
    except Exception as error:
        done.set_exception(error)
