"""Keeps the small rendered requests of deliveries, until these are finished."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession

LARGEST_KEPT = 8 * 1024  # bytes of a URL and a body; the rows of some attempts take as much

_LIST_KEPT = text("""
    SELECT delivery_id, form, url, body, subject FROM delivery_requests
    WHERE shard = :shard AND delivery_id = ANY (CAST(:ids AS bigint[]))
""")
# only for attempts that this transaction has recorded, and so fenced by their leases
_KEEP = text("""
    INSERT INTO delivery_requests (shard, delivery_id, owner_id, form, url, body, subject)
    SELECT :shard, deliveries.id, deliveries.owner_id, made.form, made.url, made.body,
        made.subject
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:forms AS bytea[]), CAST(:urls AS text[]),
        CAST(:bodies AS bytea[]), CAST(:subjects AS text[])
    ) AS made (id, form, url, body, subject)
    JOIN deliveries ON deliveries.shard = :shard AND deliveries.id = ANY (CAST(:ids AS bigint[]))
        AND deliveries.id = made.id
    ORDER BY deliveries.id
    ON CONFLICT (shard, delivery_id)
    DO UPDATE SET form = excluded.form, url = excluded.url, body = excluded.body,
            subject = excluded.subject
        WHERE delivery_requests.form <> excluded.form
""")
_FORGET = text("""
    DELETE FROM delivery_requests
    WHERE shard = :shard AND delivery_id = ANY (CAST(:ids AS bigint[]))
""")


class KeptRequest(NamedTuple):
    """A rendered request, and the digest of the form that it was rendered from."""

    delivery_id: int
    form: bytes
    url: str
    body: bytes | None
    subject: str | None


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request that was sent."""

    delivery_id: int
    form: bytes
    url: str
    body: bytes | None = field(repr=False)
    subject: str | None = None

    @property
    def is_small(self) -> bool:
        """Whether it may be kept: a larger one is rendered again, from the same event and form."""
        texts = (self.url, self.subject or "")
        return sum(len(one.encode()) for one in texts) + len(self.body or b"") <= LARGEST_KEPT


@dataclass(frozen=True)
class KeptRequests:
    session: ReadSession

    async def list(self, shard: int, delivery_ids: Collection[int]) -> list[KeptRequest]:
        rows = await self.session.execute(_LIST_KEPT, {"shard": shard, "ids": [*delivery_ids]})
        return [*map(KeptRequest._make, rows)]

    async def keep(self, shard: int, requests: Sequence[NewRequest]) -> None:
        """Keeps requests of recorded attempts, unless one of the same form is kept."""
        values = {
            "shard": shard,
            "ids": [one.delivery_id for one in requests],
            "forms": [one.form for one in requests],
            "urls": [one.url for one in requests],
            "bodies": [one.body for one in requests],
            "subjects": [one.subject for one in requests],
        }
        await self.session.execute(_KEEP, values)

    async def forget(self, shard: int, delivery_ids: Sequence[int]) -> None:
        await self.session.execute(_FORGET, {"shard": shard, "ids": delivery_ids})
