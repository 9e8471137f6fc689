import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, holds, nextCursor, type Delivery, type Schemas } from "../api/client";
import { Empty, Instant, Shown, State, count, type Mood } from "../parts/basics";
import { Dialog, ask, run, tell } from "../parts/dialog";
import { Choice, Pages, Search, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";

type Detail = Schemas["DeliveryDetail"];
const PAGE = 50;
const MOODS: Record<string, Mood> = { pending: "planned", retrying: "late", delivered: "good", exhausted: "bad" };

export const deliveryMood = (status: string): Mood => MOODS[status] ?? "planned";

const columns = (names: ReadonlyMap<number, string>): readonly Column<Delivery>[] => [
  { head: "State", cell: (row) => <State mood={deliveryMood(row.status)}>{row.status}</State> },
  { head: "Of", class: "narrow", cell: (row) => <Of delivery={row} /> },
  {
    head: "Destination",
    cell: (row) => <a href={`${HOME}/destinations?open=${row.destination_id}`}>{names.get(row.destination_id) ?? row.destination_id}</a>,
  },
  { head: "Attempts", class: "number", cell: (row) => count(row.attempt_count) },
  { head: "Error", cell: (row) => row.error?.replaceAll("_", " ") ?? <span class="quiet">–</span> },
  { head: "Queued", class: "time", cell: (row) => <Instant at={row.queued_at} /> },
  { head: "Next try", class: "time", cell: (row) => <Instant at={row.next_attempt_at} /> },
];

/** What is delivered: an event, or a notice of a change. */
function Of({ delivery }: { delivery: { event_id: number | null; notice_id: number | null } }): JSX.Element {
  if (delivery.event_id === null) return <>notice {delivery.notice_id}</>;
  return <a href={`${HOME}/events?open=${delivery.event_id}`}>event {delivery.event_id}</a>;
}

export function DeliveriesView(): JSX.Element {
  const url = useUrl();
  const [selected, setSelected] = useState<Set<number | string>>(new Set());
  const [areAll, setAll] = useState(false); // all that match, beyond this page
  const query = url.filters("status", "destination_id", "event_id", "trigger_id", "error", "cursor");
  const page = useQuery(
    `deliveries?${new URLSearchParams(query)}`,
    async (signal) => {
      const { data, response } = await api.GET("/deliveries", {
        params: { query: { limit: PAGE, ...query } as never },
        signal,
      });
      return { rows: data as Delivery[], next: nextCursor(response) };
    },
    5,
  );
  const names = useQuery("destination-names", async (signal) => {
    if (!holds("destinations:read")) return new Map<number, string>();
    const { data } = await api.GET("/destinations", { params: { query: { limit: 100 } }, signal });
    return new Map((data ?? []).flatMap(({ id, key }) => (key === null ? [] : [[id, key] as const])));
  });
  const { cursor: _, ...filter } = query;
  const chosen = areAll ? { filter: asFilter(filter) } : { ids: [...selected].map(Number) };
  const act = (action: "redeliver" | "cancel"): void =>
    void run(async () => {
      const { data: planned } = await api.POST("/deliveries/actions", { body: { action, ...chosen, dry_run: true } as never });
      const number = count(planned?.changed ?? 0);
      ask({
        title: `${action === "redeliver" ? "Redeliver" : "Cancel"} ${number} deliveries`,
        detail: action === "redeliver" ? "They are sent again." : "They are not sent any more, and end as exhausted.",
        verb: action === "redeliver" ? `Redeliver ${number}` : `Cancel ${number} deliveries`,
        act: async () => {
          const { data } = await api.POST("/deliveries/actions", { body: { action, ...chosen } as never });
          tell(`${count(data?.changed ?? 0)} deliveries changed.`);
          setSelected(new Set());
          setAll(false);
          page.reload();
        },
      });
      return "";
    });
  const open = Number(url.get("open"));
  return (
    <>
      <header class="view">
        <h1>Deliveries</h1>
      </header>
      <div class="filters">
        <Choice
          name="status"
          label="State"
          options={[
            ["", "any"],
            ["exhausted", "exhausted"],
            ["retrying", "retrying"],
            ["pending", "pending"],
            ["delivered", "delivered"],
          ]}
        />
        <Search name="destination_id" label="Destination (id)" />
        <Search name="event_id" label="Event (id)" />
      </div>
      {selected.size > 0 && (
        <div class="bulk" role="toolbar" aria-label="With the selection">
          <span>{areAll ? "All that match the filters" : `${selected.size} selected`}</span>
          {!areAll && page.data?.next != null && (
            <button type="button" class="plain" onClick={() => setAll(true)}>
              Select all that match
            </button>
          )}
          <button type="button" onClick={() => act("redeliver")}>
            Redeliver
          </button>
          <button type="button" class="danger" onClick={() => act("cancel")}>
            Cancel
          </button>
        </div>
      )}
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty>No delivery matches. Each event of a trigger with destinations makes one for each of them.</Empty>
          ) : (
            <>
              <Table
                label="Deliveries"
                rows={rows}
                id={(row) => row.id}
                columns={columns(names.data ?? new Map())}
                onOpen={(row) => url.set({ open: String(row.id) })}
                {...(holds("triggers:fire") ? { selected, onSelect: setSelected } : {})}
              />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
      {open > 0 && <DeliveryDrawer key={open} id={open} onClose={() => url.set({ open: "" })} />}
    </>
  );
}

/** The list's filter in the words of the body: ids are numbers, and statuses a list. */
function asFilter({ status, error, ...ids }: Record<string, string>): Record<string, unknown> {
  return {
    ...Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, Number(id)])),
    ...(error === undefined ? {} : { error }),
    ...(status === undefined ? {} : { status: [status] }),
  };
}

function DeliveryDrawer({ id, onClose }: { id: number; onClose: () => void }): JSX.Element {
  const path = { delivery_id: id };
  const found = useQuery(
    `delivery-${id}`,
    async (signal) => {
      const { data } = await api.GET("/deliveries/{delivery_id}", { params: { path }, signal });
      return data as Detail;
    },
    3,
  );
  const act = (action: "redeliver" | "cancel"): void =>
    void run(async () => {
      if (action === "redeliver") await api.POST("/deliveries/{delivery_id}/redeliver", { params: { path } });
      else await api.POST("/deliveries/{delivery_id}/cancel", { params: { path } });
      found.reload();
      return action === "redeliver" ? "It is on its way again." : "It is not sent any more.";
    });
  return (
    <Dialog title={`Delivery ${id}`} onClose={onClose} side>
      <Shown of={found}>
        {(delivery) => (
          <>
            <p>
              <State mood={deliveryMood(delivery.status)}>{delivery.status}</State> of <Of delivery={delivery} /> to{" "}
              <a href={`${HOME}/destinations?open=${delivery.destination_id}`}>destination {delivery.destination_id}</a>
            </p>
            {holds("triggers:fire") && (
              <p class="buttons">
                {delivery.status === "exhausted" || delivery.status === "delivered" ? (
                  <button type="button" onClick={() => act("redeliver")}>
                    Redeliver
                  </button>
                ) : (
                  <button type="button" class="danger" onClick={() => act("cancel")}>
                    Cancel
                  </button>
                )}
              </p>
            )}
            <h3>Attempts</h3>
            <ol class="attempts">
              {delivery.attempts.map((attempt) => (
                <li key={attempt.number}>
                  <State mood={attempt.error === null ? "good" : "bad"}>
                    {attempt.status_code ?? attempt.error?.replaceAll("_", " ") ?? "interrupted"}
                  </State>{" "}
                  <Instant at={attempt.attempted_at} exact />
                  {attempt.duration_ms !== null && ` · ${Math.round(attempt.duration_ms)} ms`}
                  {attempt.reason !== null && <p>{attempt.reason}</p>}
                  {attempt.response !== null && attempt.response !== "" && <pre tabIndex={0}>{attempt.response}</pre>}
                </li>
              ))}
            </ol>
          </>
        )}
      </Shown>
    </Dialog>
  );
}
