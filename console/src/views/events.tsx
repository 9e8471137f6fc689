import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { HOME, PREFIX, api, nextCursor, project, refusal, type Schemas } from "../api/client";
import { follow } from "../api/stream";
import { Empty, Instant, Shown, State, count } from "../parts/basics";
import { run } from "../parts/dialog";
import { SavedFilters } from "../parts/saved_filters";
import { Choice, Pages, Search, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { deliveryMood } from "./deliveries";
import { EventDrawer, EventLink } from "./event";
import { LiveEvents } from "./live";
import { SinceUntil } from "./spans";

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
        <a class="clamp" title={row.trigger_name ?? ""} href={`${HOME}/triggers/${row.trigger_id}`}>
          {row.trigger_name ?? row.trigger_key ?? row.trigger_id}
        </a>
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

const FILTERS = ["trigger_id", "type", "state", "is_test", "source", "since", "until"] as const;
const SOURCES = ["schedule", "login", "api_key", "hook", "set", "replay"] as const;

export function EventsView(): JSX.Element {
  const url = useUrl();
  const isLive = url.get("live") !== "";
  const filter = url.filters(...FILTERS);
  return (
    <>
      <header class="view">
        <h1>Events</h1>
        <button type="button" onClick={() => url.set({ live: isLive ? "" : "1" })} aria-pressed={isLive}>
          Live tail
        </button>
        <Export filter={filter} />
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
          name="source"
          label="By"
          options={[["", "anything"], ...SOURCES.map((one) => [one, one.replace("_", " ")] as const)]}
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
        <SinceUntil />
      </div>
      <SavedFilters view="events" names={FILTERS} />
      {isLive && (
        <section class="card" aria-label="Live tail">
          <LiveEvents rows={50} query={new URLSearchParams(filter).toString()} />
        </section>
      )}
      {!isLive && <EventRows query={filter} />}
      {isLive && <OpenEvent />}
    </>
  );
}

/** Downloads what the filters select: a link where the cookie is enough, else by a call that names the project. */
function Export({ filter }: { filter: Record<string, string> }): JSX.Element {
  const urlOf = (format: string): string =>
    `${PREFIX}/events/export?${new URLSearchParams({ ...filter, format })}`;
  const download = (format: string): Promise<void> =>
    run(async () => {
      const response = await fetch(urlOf(format), { headers: { "X-Project-ID": String(project.value) } });
      if (!response.ok) throw await refusal(response);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await response.blob());
      link.download = `events.${format}`;
      link.click();
      URL.revokeObjectURL(link.href);
      return "The export is downloaded.";
    });
  return (
    <>
      {(["csv", "ndjson"] as const).map((format) =>
        project.value === null ? (
          <a key={format} class="button" download={`events.${format}`} href={urlOf(format)}>
            {`Export ${format.toUpperCase()}`}
          </a>
        ) : (
          <button key={format} type="button" onClick={() => void download(format)}>
            {`Export ${format.toUpperCase()}`}
          </button>
        ),
      )}
    </>
  );
}

/** Counts the events that have come since the rows were loaded; rows that nobody reads load again by themselves. */
function useArrivals(query: Record<string, string>, isFirst: boolean, load: () => void, isRead: () => boolean): number {
  const [waiting, setWaiting] = useState(0);
  const search = new URLSearchParams(query).toString();
  const latest = useRef({ load, isRead });
  latest.current = { load, isRead };
  useEffect(() => {
    setWaiting(0);
    if (!isFirst) return;
    const ended = new AbortController();
    let came = 0;
    void follow(
      new URLSearchParams(search),
      () => came++,
      () => undefined,
      ended.signal,
    );
    const timer = setInterval(() => {
      if (came === 0 || document.visibilityState !== "visible") return;
      if (latest.current.isRead()) {
        setWaiting(came);
        return;
      }
      came = 0;
      setWaiting(0);
      latest.current.load();
    }, 1_000);
    return () => {
      ended.abort();
      clearInterval(timer);
    };
  }, [search, isFirst, project.value]);
  return waiting;
}

/** A page of events, and the drawer of the one that is open. */
export function EventRows({ query }: { query: Record<string, string> }): JSX.Element {
  const url = useUrl();
  const cursor = url.get("cursor");
  const [turn, setTurn] = useState(0);
  const place = useRef<HTMLDivElement>(null);
  const search = new URLSearchParams(query).toString();
  // what is shown ends here, so that looking again at its deliveries moves no row
  const shown = useRef({ of: "", until: "" });
  const of = `${project.value}/${search}/${cursor}`;
  const page = useQuery(
    `events?${search}&${cursor}`,
    async (signal) => {
      if (shown.current.of !== of) shown.current = { of, until: "" };
      const until = query["until"] ?? (cursor === "" ? shown.current.until || undefined : undefined);
      const { data, response } = await api.GET("/events", {
        params: {
          query: {
            ...query,
            ...{ view: "summary", include: "deliveries", limit: PAGE, cursor: cursor || undefined, until },
          } as never,
        },
        signal,
      });
      const rows = data as Listed[];
      if (shown.current.of === of && shown.current.until === "") shown.current.until = afterFirst(rows);
      return { rows, next: nextCursor(response) };
    },
    10,
  );
  const loadNewest = (): void => {
    shown.current.until = "";
    setTurn(turn + 1);
    page.reload();
  };
  const isRead = (): boolean =>
    window.scrollY > 0 || url.get("open") !== "" || place.current?.querySelector(".scroll:hover, .scroll:focus-within, tr.current") != null;
  const waiting = useArrivals(query, cursor === "" && query["until"] === undefined, loadNewest, isRead);
  const isFiltered = Object.keys(query).length > 0 || cursor !== "";
  return (
    <div ref={place}>
      {waiting > 0 && (
        <button
          type="button"
          class="new-rows floating"
          onClick={() => {
            window.scrollTo({ top: 0 });
            loadNewest();
          }}
        >
          {count(waiting)} new ↑
        </button>
      )}
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Nothing isFiltered={isFiltered} />
          ) : (
            <>
              <Table
                key={turn}
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
      <OpenEvent />
    </div>
  );
}

/** An instant after all of these rows and before anything that comes later. */
function afterFirst(rows: readonly Listed[]): string {
  const newest = rows[0]?.triggered_at;
  if (newest === undefined) return "";
  const text = /\.(\d+)Z$/.test(newest) ? newest : newest.replace("Z", ".0Z");
  const [seconds = "", fraction = "0"] = text.replace("Z", "").split(".");
  const micros = Number(fraction.padEnd(6, "0")) + 1;
  if (micros < 1_000_000) return `${seconds}.${String(micros).padStart(6, "0")}Z`;
  return new Date(new Date(`${seconds}Z`).getTime() + 1000).toISOString();
}

function OpenEvent(): JSX.Element | null {
  const url = useUrl();
  const open = Number(url.get("open"));
  return open > 0 ? <EventDrawer key={open} id={open} onClose={() => url.set({ open: "" })} /> : null;
}

function Nothing({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  if (isFiltered) return <Empty>No event matches. Each firing is one, and stays for as long as the service keeps events.</Empty>;
  return (
    <Empty
      curl={`curl -X POST ${location.origin}${PREFIX}/triggers/1/trigger -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"order": 42}'`}
    >
      An event is one firing of a trigger, by its schedule or by a call, on record exactly once. There is none yet.
    </Empty>
  );
}
