import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, PREFIX, api, holds, nextCursor, project, type Delivery, type Event, type Schemas } from "../api/client";
import { useKeys } from "../keys";
import { Empty, Instant, Shown, State } from "../parts/basics";
import { Dialog, run } from "../parts/dialog";
import { Choice, Pages, Search, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { LiveEvents } from "./live";
import { deliveryMood } from "./deliveries";

type Listed = Schemas["EventListed"];
const PAGE = 50;

const COLUMNS: readonly Column<Listed>[] = [
  {
    head: "Event",
    class: "narrow",
    cell: (row) => <EventLink id={row.id} />,
  },
  {
    head: "Trigger",
    cell: (row) => (
      <>
        <a href={`${HOME}/triggers/${row.trigger_id}`}>{row.trigger_name ?? row.trigger_key ?? row.trigger_id}</a>
        {row.is_test && <span class="badge">test</span>}
        {row.replay_of !== null && <span class="badge">replay</span>}
      </>
    ),
  },
  { head: "At", class: "time", cell: (row) => <Instant at={row.triggered_at} /> },
  { head: "By", cell: (row) => row.source?.kind.replace("_", " ") ?? row.type },
  { head: "Deliveries", cell: (row) => <Counts of={row.deliveries} /> },
  { head: "State", cell: (row) => row.state },
];

function EventLink({ id }: { id: number }): JSX.Element {
  const url = useUrl();
  return (
    <button type="button" class="plain" onClick={() => url.set({ open: String(id) })}>
      {id}
    </button>
  );
}

function Counts({ of }: { of: Listed["deliveries"] | undefined }): JSX.Element {
  const counted = Object.entries(of ?? {}).filter(([, number]) => number > 0);
  if (counted.length === 0) return <span class="quiet">none</span>;
  return (
    <>
      {counted.map(([status, number]) => (
        <State key={status} mood={deliveryMood(status)}>
          {number} {status}{" "}
        </State>
      ))}
    </>
  );
}

export function EventsView(): JSX.Element {
  const url = useUrl();
  const [isLive, setLive] = useState(false);
  const names = ["trigger_id", "type", "state", "is_test", "source", "cursor"];
  const query = Object.fromEntries(names.map((name) => [name, url.get(name)]).filter(([, value]) => value !== ""));
  const { cursor: _, ...filter } = query as Record<string, string>;
  return (
    <>
      <header class="view">
        <h1>Events</h1>
        <button type="button" onClick={() => setLive(!isLive)} aria-pressed={isLive}>
          Live tail
        </button>
        {project.value === null && (
          <a class="button" download href={`${PREFIX}/events/export?${new URLSearchParams({ ...filter, format: "csv" })}`}>
            Export CSV
          </a>
        )}
      </header>
      <div class="filters">
        <Search name="trigger_id" label="Trigger (id)" />
        <Choice
          name="type"
          label="Kind"
          options={[
            ["", "any"],
            ["scheduled", "scheduled"],
            ["api", "called"],
            ["heartbeat", "heartbeat"],
          ]}
        />
        <Choice
          name="state"
          label="State"
          options={[
            ["", "any"],
            ["active", "active"],
            ["archived", "archived"],
          ]}
        />
        <Choice
          name="is_test"
          label="Tests"
          options={[
            ["", "with tests"],
            ["false", "without"],
            ["true", "only tests"],
          ]}
        />
      </div>
      {isLive && (
        <section class="card">
          <LiveEvents rows={50} query={new URLSearchParams(filter).toString()} />
        </section>
      )}
      <EventRows query={query as Record<string, string>} />
    </>
  );
}

/** A page of events, and the drawer of the one that is open. */
export function EventRows({ query }: { query: Record<string, string> }): JSX.Element {
  const url = useUrl();
  const search = new URLSearchParams(query).toString();
  const page = useQuery(
    `events?${search}&${url.get("cursor")}`,
    async (signal) => {
      const { data, response } = await api.GET("/events", {
        params: {
          query: { view: "summary", include: "deliveries", limit: PAGE, cursor: url.get("cursor") || undefined, ...query } as never,
        },
        signal,
      });
      return { rows: data as Listed[], next: nextCursor(response) };
    },
    10,
  );
  const open = Number(url.get("open"));
  return (
    <>
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty>No event matches. Each firing is one, and stays for as long as the service keeps events.</Empty>
          ) : (
            <>
              <Table
                label="Events"
                rows={rows}
                id={(row) => row.id}
                columns={COLUMNS}
                onOpen={(row) => url.set({ open: String(row.id) })}
              />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
      {open > 0 && <EventDrawer key={open} id={open} onClose={() => url.set({ open: "" })} />}
    </>
  );
}

function EventDrawer({ id, onClose }: { id: number; onClose: () => void }): JSX.Element {
  const url = useUrl();
  const found = useQuery(
    `event-${id}`,
    async (signal) => {
      const path = { event_id: id };
      const [event, deliveries] = await Promise.all([
        api.GET("/events/{event_id}", { params: { path }, signal }),
        holds("destinations:read")
          ? api.GET("/deliveries", { params: { query: { event_id: id } }, signal })
          : { data: [] as Delivery[] },
      ]);
      return { event: event.data as Event, deliveries: deliveries.data as Delivery[] };
    },
    5,
  );
  const replay = (): void =>
    void run(async () => {
      const { response } = await api.POST("/events/{event_id}/replay", { params: { path: { event_id: id } } });
      const made = response.headers.get("location")?.split("/").pop() ?? "";
      if (made !== "") url.set({ open: made });
      return `Event ${made} has the same payload.`;
    });
  useKeys(holds("triggers:fire") ? { r: replay } : {});
  return (
    <Dialog title={`Event ${id}`} onClose={onClose} side>
      <Shown of={found}>
        {({ event, deliveries }) => (
          <>
            <p>
              <a href={`${HOME}/triggers/${event.trigger_id}`}>
                {event.trigger_name ?? event.trigger_key ?? `Trigger ${event.trigger_id}`}
              </a>{" "}
              {event.is_test && <span class="badge">test</span>} {event.state}
            </p>
            <dl>
              <dt>Fired</dt>
              <dd>
                <Instant at={event.triggered_at} exact />
              </dd>
              {event.scheduled_for !== null && (
                <>
                  <dt>Planned for</dt>
                  <dd>
                    <Instant at={event.scheduled_for} exact /> ({lag(event)} ms later)
                  </dd>
                </>
              )}
              {event.replay_of !== null && (
                <>
                  <dt>Replay of</dt>
                  <dd>
                    <EventLink id={event.replay_of} />
                  </dd>
                </>
              )}
              {event.source !== null && (
                <>
                  <dt>By</dt>
                  <dd>
                    {event.source.kind.replace("_", " ")} {event.source.address}
                  </dd>
                </>
              )}
            </dl>
            {holds("triggers:fire") && (
              <p>
                <button type="button" onClick={replay}>
                  Replay
                </button>
              </p>
            )}
            <h3>Payload</h3>
            <pre tabIndex={0}>{JSON.stringify(event.payload, null, 2)}</pre>
            <h3>Deliveries</h3>
            {deliveries.length === 0 && <p class="quiet">None.</p>}
            <ul>
              {deliveries.map((one) => (
                <li key={one.id}>
                  <State mood={deliveryMood(one.status)}>{one.status}</State> to destination {one.destination_id}{" "}
                  <a href={`${HOME}/deliveries?open=${one.id}`}>attempts: {one.attempt_count}</a>
                </li>
              ))}
            </ul>
          </>
        )}
      </Shown>
    </Dialog>
  );
}

function lag(event: Event): number {
  return new Date(event.triggered_at).getTime() - new Date(event.scheduled_for ?? event.triggered_at).getTime();
}

