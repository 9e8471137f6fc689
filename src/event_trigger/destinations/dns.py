"""Resolves names in threads of its own, so that a slow name server delays its own names only."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any
from weakref import WeakValueDictionary

Lookup = Callable[[str, int], Awaitable[list[str]]]  # (host, port) to numeric addresses
Resolve = Callable[..., list[Any]]  # like socket.getaddrinfo
MOST_LOOKUPS = 512  # at a time: as many as attempts in flight
MOST_LOOKUPS_OF_DOMAIN = 64  # so that no domain's slow name server takes all threads
_QUEUE_SECONDS = 30.0  # the longest attempt: after that, nothing waits for the look-up


class DnsResolver:
    """Asks the system's resolver, with a limit on look-ups at a time.

    A look-up that has begun cannot be cancelled: it keeps its thread after its callers have gone.
    """

    def __init__(
        self,
        resolve: Resolve = socket.getaddrinfo,
        *,
        most_lookups: int = MOST_LOOKUPS,
        most_of_domain: int = MOST_LOOKUPS_OF_DOMAIN,
    ) -> None:
        self._resolve = resolve
        self._most_of_domain = most_of_domain
        self._in_flight: dict[tuple[str, int], asyncio.Task[list[str]]] = {}
        self._slots = asyncio.Semaphore(most_lookups)
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def lookup(self, host: str, port: int) -> list[str]:
        """Returns numeric addresses; raises OSError for a name without any.

        Concurrent calls for the same name share one look-up.
        """
        key = host.lower(), port
        task = self._in_flight.get(key)
        if task is None:
            task = self._in_flight[key] = asyncio.create_task(self._look_up(host, port))
            task.add_done_callback(partial(self._forget, key))
        return await asyncio.shield(task)

    async def _look_up(self, host: str, port: int) -> list[str]:
        of_domain = self._domains.setdefault(
            _domain_of(host), asyncio.Semaphore(self._most_of_domain)
        )
        resolve = partial(self._resolve, host, port, type=socket.SOCK_STREAM)
        async with asyncio.timeout(_QUEUE_SECONDS) as queued, of_domain, self._slots:
            queued.reschedule(None)  # from here on: the slot is free when the thread is
            found = await _in_thread(resolve)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def _forget(self, key: tuple[str, int], task: asyncio.Task[list[str]]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # retrieved here: all callers may have gone

    def close(self) -> None:
        """Cancels all calls, and waits for no look-up."""
        for task in self._in_flight.values():
            task.cancel()


def _domain_of(host: str) -> str:
    return ".".join(host.lower().removesuffix(".").split(".")[-2:])


def _in_thread(resolve: Callable[[], list[Any]]) -> asyncio.Future[list[Any]]:
    """Runs a look-up in a daemon thread: an executor's threads would keep the process alive."""
    done: Future[list[Any]] = Future()
    done.set_running_or_notify_cancel()
    try:
        Thread(target=_run, args=(done, resolve), name="dns", daemon=True).start()
    except RuntimeError as error:  # the system is out of threads
        raise OSError(errno.EAGAIN, "no thread could be started") from error
    return asyncio.wrap_future(done)


def _run(done: Future[list[Any]], resolve: Callable[[], list[Any]]) -> None:
    try:
        done.set_result(resolve())
    except Exception as error:
        done.set_exception(error)
