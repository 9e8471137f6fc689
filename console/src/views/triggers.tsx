import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, holds, nextCursor, type Schemas, type Trigger } from "../api/client";
import { useKeys } from "../keys";
import { Empty, GLYPHS, Glyph, Instant, Shown, count, type Mood } from "../parts/basics";
import { ask, run, tell } from "../parts/dialog";
import { SavedFilters } from "../parts/saved_filters";
import { Choice, Pages, Search, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { inZone, zone } from "../time";
import { useUrl } from "../url";

type Listed = Schemas["TriggerListed"];
type Action = "pause" | "resume" | "delete" | "fire" | "test";
const PAGE = 50;

export const titleOf = (trigger: { name: string | null; key: string | null; id: number }): string =>
  trigger.name ?? trigger.key ?? `Trigger ${trigger.id}`;

const HEARTBEAT_MOODS: Record<string, Mood> = { alive: "good", late: "late", silent: "bad", waiting: "planned", paused: "paused" };

export function moodOf(trigger: Listed | Trigger): { mood: Mood; words: string } {
  if (trigger.error !== null) return { mood: "bad", words: `set aside: ${trigger.error}` };
  if (trigger.status === "paused") return { mood: "paused", words: "paused" };
  if (trigger.status === "completed") return { mood: "planned", words: "completed" };
  if (trigger.type === "heartbeat") {
    const { status } = trigger.heartbeat;
    return { mood: HEARTBEAT_MOODS[status] ?? "planned", words: status };
  }
  return { mood: "good", words: "active" };
}

/** The sign of an instant: of one that did not fire, the reason's. */
export const REASONS: Record<string, { mood: Mood; words: string }> = {
  coalesced: { mood: "merged", words: "one later event stands for them" },
  missed: { mood: "bad", words: "the service was down, or too late" },
  expired: { mood: "bad", words: "longer ago than is caught up on" },
  failed: { mood: "bad", words: "they could not be fired" },
  paused: { mood: "paused", words: "the trigger was paused" },
  replaced: { mood: "planned", words: "the schedule was changed" },
  deleted: { mood: "planned", words: "the trigger was deleted" },
};
const LATE_MS = 5_000; // what is less late counts as in time
const STRIP = 10; // instants

type Recent = Schemas["RecentInstant"];

function markOf({ reason, count: number, lag_ms: lag, at }: Recent): { mood: Mood; words: string } {
  const when = inZone(new Date(at));
  if (reason !== null) {
    const { mood, words } = REASONS[reason] ?? { mood: "bad", words: "" };
    return { mood, words: `${when}: ${number === 1 ? "" : `${count(number)} `}${reason}, ${words}` };
  }
  if (lag !== null && lag >= LATE_MS) return { mood: "late", words: `${when}: fired ${count(Math.round(lag / 1000))} s late` };
  return { mood: "good", words: `${when}: fired` };
}

/** The last instants, oldest first, and the next one. */
function Strip({ of, next }: { of: readonly Recent[] | undefined; next: string | null }): JSX.Element {
  zone.value;
  const marks = (of ?? []).map(markOf);
  const told = marks.length === 0 ? "no instant in 48 h" : summary(marks);
  return (
    <span class="strip" role="img" aria-label={next === null ? told : `${told}; one planned`}>
      {marks.map(({ mood, words }, index) => (
        <span key={index} class={`state ${mood}`} title={words}>
          {GLYPHS[mood]}
        </span>
      ))}
      {next !== null && (
        <span class="state planned" title={`${inZone(new Date(next))}: planned`}>
          {GLYPHS.planned}
        </span>
      )}
    </span>
  );
}

const NAMES: Record<Mood, string> = { good: "fired", late: "late", merged: "coalesced", bad: "missed or failed", paused: "paused", planned: "replaced" };

function summary(marks: readonly { mood: Mood }[]): string {
  const numbers = new Map<Mood, number>();
  for (const { mood } of marks) numbers.set(mood, (numbers.get(mood) ?? 0) + 1);
  return `Last ${marks.length}: ${[...numbers].map(([mood, number]) => `${number} ${NAMES[mood]}`).join(", ")}`;
}

const columns = (recent: ReadonlyMap<number, readonly Recent[]> | null): readonly Column<Listed>[] => [
  {
    head: "State",
    class: "narrow",
    cell: (row) => {
      const { mood, words } = moodOf(row);
      return <Glyph mood={mood} title={words} />;
    },
  },
  {
    head: "Name",
    cell: (row) => (
      <>
        <a class="clamped" href={`${HOME}/triggers/${row.id}`} title={titleOf(row)}>
          {titleOf(row)}
        </a>
        {row.tags.map((tag) => (
          <span key={tag} class="badge">
            {tag}
          </span>
        ))}
        {row.set_name !== null && <span class="badge">from set {row.set_name}</span>}
        {recent !== null && (
          <div class="slim">
            <Strip of={recent.get(row.id)} next={row.next_fire_at} />
          </div>
        )}
      </>
    ),
  },
  { head: "When", class: "wide", cell: (row) => row.words },
  ...(recent === null
    ? []
    : [{ head: "Last instants", class: "time wide", cell: (row: Listed) => <Strip of={recent.get(row.id)} next={row.next_fire_at} /> }]),
  { head: "Next", class: "time", cell: (row) => <Instant at={row.next_fire_at} /> },
  { head: "Last", class: "time wide", cell: (row) => <Instant at={row.last_fired_at} /> },
  { head: "Fired", class: "number wide", cell: (row) => count(row.fire_count) },
];

export function TriggersView(): JSX.Element {
  const url = useUrl();
  const [selected, setSelected] = useState<Set<number | string>>(new Set());
  const [areAll, setAll] = useState(false); // all that match, beyond this page
  const query = url.filters("q", "status", "type", "tag", "failing", "sort", "cursor");
  const page = useQuery(
    `triggers?${new URLSearchParams(query)}`,
    async (signal) => {
      const { data, response } = await api.GET("/triggers", {
        params: { query: { view: "summary", limit: PAGE, ...query } },
        signal,
      });
      return { rows: data as Listed[], next: nextCursor(response) };
    },
    10,
  );
  const ids = page.data?.rows.map(({ id }) => id) ?? [];
  const recent = useQuery(
    `recent-${ids.join()}`,
    async (signal) => {
      if (ids.length === 0 || !holds("events:read")) return null;
      const { data } = await api.GET("/triggers/recent", { params: { query: { id: ids, last: STRIP } }, signal });
      return new Map(data?.map((one) => [one.trigger_id, one.instants]));
    },
    10,
  );
  useKeys({ n: () => url.go("/triggers/new") });

  const filter = Object.fromEntries(
    Object.entries(query).filter(([name]) => !["sort", "cursor"].includes(name)),
  ) as Record<string, string>;
  const chosen = areAll ? { filter: asFilter(filter) } : { ids: [...selected].map(Number) };
  const act = (action: Action): void => {
    void run(async () => {
      const { data } = await api.POST("/triggers/actions", { body: { action, ...chosen, dry_run: true } as never });
      const matched = (data as { matched: number }).matched;
      ask({
        title: `${VERBS[action]} ${count(matched)} triggers`,
        detail: CONSEQUENCES[action],
        verb: `${VERBS[action]} ${count(matched)}`,
        ...(action === "delete" ? { typed: String(matched) } : {}),
        act: async () => {
          const done = await api.POST("/triggers/actions", { body: { action, ...chosen } as never });
          const { changed, failed } = done.data as { changed: number; failed: unknown[] };
          tell(`${count(changed)} triggers: ${action} done.${failed.length > 0 ? ` ${failed.length} refused.` : ""}`);
          setSelected(new Set());
          setAll(false);
          page.reload();
        },
      });
      return "";
    });
  };

  return (
    <>
      <header class="view">
        <h1>Triggers</h1>
        {holds("triggers:write") && (
          <a class="button primary" href={`${HOME}/triggers/new`}>
            New trigger
          </a>
        )}
      </header>
      <div class="filters">
        <Search label="Search" />
        <Choice
          name="status"
          label="Status"
          options={[
            ["", "any"],
            ["active", "active"],
            ["paused", "paused"],
            ["completed", "completed"],
          ]}
        />
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
          name="failing"
          label="Failing"
          options={[
            ["", "any"],
            ["true", "set aside"],
            ["false", "not set aside"],
          ]}
        />
        <Choice
          name="sort"
          label="Order"
          options={[
            ["", "newest first"],
            ["id", "oldest first"],
            ["next_fire_at", "next first"],
            ["-next_fire_at", "next last"],
            ["-last_fired_at", "last fired first"],
            ["last_fired_at", "longest ago first"],
            ["name", "by name"],
            ["-name", "by name, from Z"],
          ]}
        />
        <Search name="tag" label="Tag" />
      </div>
      <SavedFilters view="triggers" names={["q", "status", "type", "tag", "failing", "sort"]} />
      {selected.size > 0 && (
        <div class="bulk" role="toolbar" aria-label="With the selection">
          <span>{areAll ? "All that match the filters" : `${selected.size} selected`}</span>
          {!areAll && page.data?.next != null && (
            <button type="button" class="plain" onClick={() => setAll(true)}>
              Select all that match
            </button>
          )}
          {(["fire", "test", "pause", "resume", "delete"] as const).map((action) => (
            <button key={action} type="button" class={action === "delete" ? "danger" : ""} onClick={() => act(action)}>
              {VERBS[action]}
            </button>
          ))}
        </div>
      )}
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Nothing isFiltered={Object.keys(filter).length > 0} />
          ) : (
            <>
              <Table
                label="Triggers"
                rows={rows}
                id={(row) => row.id}
                columns={columns(recent.data)}
                onOpen={(row) => url.go(`/triggers/${row.id}`)}
                {...(holds("triggers:write") ? { selected, onSelect: setSelected } : {})}
              />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
    </>
  );
}

const VERBS: Record<Action, string> = {
  fire: "Fire",
  test: "Test",
  pause: "Pause",
  resume: "Resume",
  delete: "Delete",
};
const CONSEQUENCES: Record<Action, string> = {
  fire: "Each makes an event now, with its predefined payload.",
  test: "Each makes a test event now; counts and schedules stay as they are.",
  pause: "None of them fires until it is resumed. What falls into the pause is not caught up on.",
  resume: "They fire again at their next instants.",
  delete: "They are gone; their past events stay until they are purged.",
};

/** The list's filter in the words of the body: tags are lists, and so are statuses. */
function asFilter(filter: Record<string, string>): Record<string, unknown> {
  const { tag, failing, ...others } = filter;
  return {
    ...others,
    ...(tag === undefined ? {} : { tag: [tag] }),
    ...(failing === undefined ? {} : { failing: failing === "true" }),
  };
}

function Nothing({ isFiltered }: { isFiltered: boolean }): JSX.Element {
  if (isFiltered) return <Empty>Nothing matches these filters.</Empty>;
  return (
    <Empty
      curl={`curl ${location.origin}/triggers -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"type": "scheduled", "details": {"cron": "30 2 * * 1-5", "timezone": "Europe/Berlin"}}'`}
    >
      <p>A trigger says when something should happen, or who may make it happen. There is none yet.</p>
    </Empty>
  );
}
