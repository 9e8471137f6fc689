import type { JSX } from "preact";
import { api, holds, nextCursor, type Destination } from "../api/client";
import { Empty, Shown, State, count, type Mood } from "../parts/basics";
import { opened } from "../parts/opened";
import { Choice, Pages, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";

const PAGE = 50;
const DestinationDrawer = opened<{ id: number; onClose: () => void; onChange: () => void }>((all) => all.DestinationDrawer);
const DestinationForm = opened<{ onClose: () => void; onSaved: () => void }>((all) => all.DestinationForm);

export function destinationMood(one: Destination): { mood: Mood; words: string } {
  if (one.status === "disabled") return { mood: "paused", words: `disabled: ${one.disabled_reason ?? ""}` };
  if (one.state === "open") return { mood: "bad", words: "fails, only probed" };
  if (one.state === "recovering") return { mood: "late", words: "recovering" };
  return { mood: "good", words: "works" };
}

const COLUMNS: readonly Column<Destination>[] = [
  {
    head: "State",
    cell: (row) => {
      const { mood, words } = destinationMood(row);
      return <State mood={mood}>{words}</State>;
    },
  },
  { head: "Name", cell: (row) => <OpenLink row={row} /> },
  { head: "URL", cell: (row) => <span class="url">{row.url}</span> },
  { head: "Format", cell: (row) => row.format },
  { head: "Failures", class: "number", cell: (row) => count(row.failures) },
];

function OpenLink({ row }: { row: Destination }): JSX.Element {
  const url = useUrl();
  return (
    <button type="button" class="plain" onClick={() => url.set({ open: String(row.id) })}>
      {row.key ?? row.description ?? `destination ${row.id}`}
    </button>
  );
}

export function DestinationsView(): JSX.Element {
  const url = useUrl();
  const query = url.filters("status", "state", "cursor");
  const page = useQuery(
    `destinations?${new URLSearchParams(query)}`,
    async (signal) => {
      const { data, response } = await api.GET("/destinations", {
        params: { query: { limit: PAGE, ...query } as never },
        signal,
      });
      return { rows: data as Destination[], next: nextCursor(response) };
    },
    10,
  );
  const open = Number(url.get("open"));
  return (
    <>
      <header class="view">
        <h1>Destinations</h1>
        {holds("destinations:write") && (
          <button type="button" class="primary" onClick={() => url.set({ open: "new" })}>
            New destination
          </button>
        )}
      </header>
      <div class="filters">
        <Choice
          name="state"
          label="Breaker"
          options={[
            ["", "any"],
            ["closed", "works"],
            ["open", "fails"],
            ["recovering", "recovering"],
          ]}
        />
        <Choice
          name="status"
          label="Status"
          options={[
            ["", "any"],
            ["enabled", "enabled"],
            ["disabled", "disabled"],
          ]}
        />
      </div>
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty
              curl={`curl ${location.origin}/destinations -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"url": "https://example.com/hook", "key": "crm"}'`}
            >
              <p>A destination is a URL that events are posted to, signed, and again until it answers.</p>
            </Empty>
          ) : (
            <>
              <Table
                label="Destinations"
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
      {url.get("open") === "new" && (
        <DestinationForm
          onClose={() => url.set({ open: "" })}
          onSaved={() => {
            url.set({ open: "" });
            page.reload();
          }}
        />
      )}
      {open > 0 && <DestinationDrawer key={open} id={open} onClose={() => url.set({ open: "" })} onChange={page.reload} />}
    </>
  );
}
