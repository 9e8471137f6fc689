"""Stores deliveries in the transaction that stores their events: both exist, or neither does."""

from collections.abc import Sequence

from sqlalchemy import text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.events.event_writer import StoredEvent
from event_trigger.models import DeliveryError, DeliveryStatus

# a payload is measured once for its event, not once for each destination
_FIRED_EVENTS = """
    SELECT events.shard, events.owner_id, events.trigger_id, triggers.key AS trigger_key,
        triggers.name AS trigger_name, triggers.destination_ids, events.id, events.type,
        events.triggered_at, events.scheduled_for, events.is_test, events.replay_of, events.hops,
        events.source_kind, events.payload,
        coalesce(octet_length(CAST(events.payload AS text)), 0) AS payload_size,
        coalesce(delivery_backlogs.is_full, false) AS is_full
    FROM events
    JOIN triggers ON triggers.shard = events.shard AND triggers.id = events.trigger_id
        AND cardinality(triggers.destination_ids) > 0
    LEFT JOIN delivery_backlogs ON delivery_backlogs.shard = events.shard
        AND delivery_backlogs.owner_id = events.owner_id
    WHERE {wanted}
        AND events.triggered_at >= :first_at AND events.triggered_at <= :last_at
"""
_FIRED_IN_SHARD, _FIRED_IN_SHARDS = (
    _FIRED_EVENTS.format(wanted=wanted)
    for wanted in (
        "events.shard = :shard AND events.id = ANY (CAST(:event_ids AS bigint[]))",
        """(events.shard, events.id) IN (
            SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:event_ids AS bigint[])))""",
    )
)
_IS_TRIGGERS_DESTINATION = """
    destinations.shard = fired.shard AND destinations.id = ANY (fired.destination_ids)
        AND destinations.owner_id = fired.owner_id AND destinations.deleted_at IS NULL
"""
_INSERT_PAYLOADS = f"""
    INSERT INTO delivery_payloads (shard, event_id, owner_id, payload_size, payload)
    SELECT fired.shard, fired.id, fired.owner_id, fired.payload_size, fired.payload
    FROM {{fired}} AS fired
    WHERE fired.payload_size > 0 AND NOT fired.is_full
        AND EXISTS (SELECT FROM destinations WHERE {_IS_TRIGGERS_DESTINATION})
"""  # noqa: S608
_INSERT_DELIVERIES = f"""
    INSERT INTO deliveries
        (shard, owner_id, destination_id, trigger_id, trigger_key, trigger_name, event_id,
        event_type, triggered_at, scheduled_for, is_test, replay_of, hops, source_kind,
        payload_size, trace_context, status, next_attempt_at, finished_at, error)
    SELECT fired.shard, fired.owner_id, destinations.id, fired.trigger_id, fired.trigger_key,
        fired.trigger_name, fired.id, fired.type, fired.triggered_at, fired.scheduled_for,
        fired.is_test, fired.replay_of, fired.hops, fired.source_kind, fired.payload_size,
        (CAST(:traces AS text[]))[array_position(CAST(:traced_ids AS bigint[]), fired.id)],
        CASE WHEN fired.is_full THEN '{DeliveryStatus.EXHAUSTED}' ELSE '{DeliveryStatus.PENDING}'
        END,
        CASE WHEN NOT fired.is_full THEN now() END, CASE WHEN fired.is_full THEN now() END,
        CASE WHEN fired.is_full THEN '{DeliveryError.BACKLOG_FULL}' END
    FROM {{fired}} AS fired JOIN destinations ON {_IS_TRIGGERS_DESTINATION}
    ORDER BY fired.id
"""  # noqa: S608
_STORE_ALL = f"""
    WITH fired AS MATERIALIZED ({{fired}}),
    payloads AS ({_INSERT_PAYLOADS.format(fired="fired")}),
    stored AS ({_INSERT_DELIVERIES.format(fired="fired")} RETURNING 1)
    SELECT count(pg_notify('{DELIVERIES_CHANGED}', ''))
    FROM (SELECT FROM stored WHERE CAST(:announces AS boolean) LIMIT 1) AS news
"""  # noqa: S608
_STORE_IN_SHARD, _STORE_IN_SHARDS = (
    text(_STORE_ALL.format(fired=fired)) for fired in (_FIRED_IN_SHARD, _FIRED_IN_SHARDS)
)
_STORE_PAYLOADS = text(_INSERT_PAYLOADS.format(fired=f"({_FIRED_IN_SHARD})"))
_STORE_DELIVERIES = text(_INSERT_DELIVERIES.format(fired=f"({_FIRED_IN_SHARD})"))


async def store_deliveries(
    session: ReadSession,
    events: Sequence[StoredEvent],
    *,
    shards: Sequence[int],
    traces: Sequence[str | None],
    announces: bool,
) -> None:
    """Stores a delivery for each event and destination of its trigger.

    If it `announces`, the commit notifies the workers; otherwise the caller does, after it.

    Stores the payload once for all of them. For an owner whose backlog is full, stores exhausted
    deliveries and no payload. One statement does it on one server; a Citus cluster needs three, and
    there all events must be of one shard. `shards` are those of the events, in their order, and so
    are `traces`, which are all None unless the process traces.
    """
    is_traced = traces[0] is not None
    values = {
        "shard": shards[0],
        "shards": shards,
        "event_ids": [event.id for event in events],
        "first_at": min(event.triggered_at for event in events),
        "last_at": max(event.triggered_at for event in events),
        "traced_ids": [event.id for event in events] if is_traced else None,
        "traces": traces if is_traced else None,
    }
    if not await is_in_cluster(session):
        statement = _STORE_IN_SHARD if shards.count(shards[0]) == len(shards) else _STORE_IN_SHARDS
        values["announces"] = announces
        await session.execute(statement, values, execution_options={ACROSS_SHARDS: ONE_SERVER})
        return
    await session.execute(_STORE_PAYLOADS, values)
    await session.execute(_STORE_DELIVERIES, values)
    if announces:
        await notify(session, DELIVERIES_CHANGED)
