"""Makes TLS contexts: one for all receivers, and one more for each client certificate.

A context takes about 80 ms and 2 MiB, as it holds all certificate authorities. So they are made in
a thread when a request needs one, and of those with a client certificate only the ones used last
are kept.
"""

import asyncio
import re
import ssl
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from weakref import WeakValueDictionary

import certifi

from event_trigger.destinations.client_certificates import ClientCertificate

MOST_CONTEXTS = 64
MOST_CONTEXTS_OF_OWNER = 24
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def _new_context(authorities: bytes) -> ssl.SSLContext:
    """Trusts the system's authorities, Mozilla's, and these (PEM); takes about 80 ms."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if authorities:
        context.load_verify_locations(cadata=authorities.decode())
    return context


_shared_context = cache(_new_context)


def context_of(ca_file: Path | None) -> ssl.SSLContext:
    """Returns the shared context without a client certificate, which trusts a file's, too."""
    return _shared_context(_authorities_in(ca_file))


def _authorities_in(ca_file: Path | None) -> bytes:
    pem = b"" if ca_file is None else ca_file.read_bytes().replace(b"\r", b"") + b"\n"
    return b"".join(_CERTIFICATE.findall(pem))


class TlsContexts:
    """The contexts of one process.

    The pool keeps the connections of each context apart, so a connection with a client certificate
    is used for its own destinations only.
    """

    def __init__(
        self,
        ca_file: Path | None,
        *,
        most: int = MOST_CONTEXTS,
        most_of_owner: int = MOST_CONTEXTS_OF_OWNER,
    ) -> None:
        """Reads the file once: a replaced one counts from the next start on.

        Raises ssl.SSLError if OpenSSL does not accept the authorities of the file.
        """
        self._authorities = _authorities_in(ca_file)
        if self._authorities:
            _shared_context(self._authorities)
        self._shared: ssl.SSLContext | None = None
        self._most, self._most_of_owner = most, most_of_owner
        self._made: OrderedDict[ClientCertificate, asyncio.Future[ssl.SSLContext]] = OrderedDict()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tls")

    async def get(self, certificate: ClientCertificate | None) -> ssl.SSLContext:
        """Returns the context that shows this certificate to receivers.

        Raises ssl.SSLError if OpenSSL does not accept the certificate any more.
        """
        if certificate is None:
            if self._shared is None:
                loop = asyncio.get_running_loop()
                making = loop.run_in_executor(self._thread, _shared_context, self._authorities)
                self._shared = await making
            return self._shared
        if certificate not in self._made:
            self._make_room(certificate.owner_id)
            making = asyncio.create_task(self._make(certificate))
            making.add_done_callback(partial(self._forget_failed, certificate))
            self._made[certificate] = making
        self._made.move_to_end(certificate)
        return await asyncio.shield(self._made[certificate])

    async def _make(self, certificate: ClientCertificate) -> ssl.SSLContext:
        """Makes one context at a time for each owner, so that others wait for one at most."""
        async with self._turns.setdefault(certificate.owner_id, asyncio.Lock()):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._load, certificate)

    def _load(self, certificate: ClientCertificate) -> ssl.SSLContext:
        context = _new_context(self._authorities)
        certificate.load_into(context)
        return context

    def _make_room(self, owner_id: int) -> None:
        """Forgets the context used longest ago: of the owner, or of the one with most of them."""
        counts = Counter(one.owner_id for one in self._made)
        if counts[owner_id] >= self._most_of_owner:
            self._forget_oldest(owner_id)
        elif len(self._made) >= self._most:
            self._forget_oldest(counts.most_common(1)[0][0])

    def _forget_oldest(self, owner_id: int) -> None:
        del self._made[next(one for one in self._made if one.owner_id == owner_id)]

    def _forget_failed(
        self, certificate: ClientCertificate, making: asyncio.Future[ssl.SSLContext]
    ) -> None:
        failed = making.cancelled() or making.exception() is not None
        if failed and self._made.get(certificate) is making:
            del self._made[certificate]

    def close(self) -> None:
        """Waits for no context that is being made."""
        self._thread.shutdown(wait=False, cancel_futures=True)
