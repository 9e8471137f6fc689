import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { HOME, api, holds, type Schemas } from "../api/client";
import { Instant, Shown, State, count, type Mood } from "../parts/basics";
import { Bars, barsOf } from "../parts/charts";
import { ask, run, tell } from "../parts/dialog";
import { useQuery } from "../query";
import { FirstSteps, isGuided } from "./first_steps";
import { LiveEvents } from "./live";

type Overview = Schemas["OverviewRead"];
type Attention = Schemas["AttentionRead"];
const HOUR = 3600;

export function OverviewView(): JSX.Element {
  const overview = useQuery("overview", loadOverview, 5);
  return (
    <>
      <h1 class="hidden">Overview</h1>
      <Shown of={overview}>
        {(data) => (
          <>
            <Verdict overview={data} isAway={overview.error !== null} />
            {isNew(data) || isGuided() ? <Beginning overview={data} /> : <Glance overview={data} />}
          </>
        )}
      </Shown>
    </>
  );
}

/** Guides through the first steps, unless there is a trigger that has not been counted yet. */
function Beginning({ overview }: { overview: Overview }): JSX.Element {
  const [, setDone] = useState(false);
  const any = useQuery(
    "any-trigger",
    async (signal) => {
      if (!holds("triggers:read")) return true;
      const { data } = await api.GET("/triggers", { params: { query: { limit: 1, view: "summary" } }, signal });
      return (data as unknown[]).length > 0;
    },
    5,
  );
  if (isGuided()) return <FirstSteps onDone={() => setDone(true)} />;
  return <Shown of={any}>{(isAny) => (isAny ? <Glance overview={overview} /> : <FirstSteps onDone={() => setDone(true)} />)}</Shown>;
}

async function loadOverview(signal: AbortSignal): Promise<Overview> {
  const { data } = await api.GET("/overview", { signal });
  return data as Overview;
}

const isNew = ({ triggers, events }: Overview): boolean =>
  triggers.active + triggers.paused + triggers.completed + events.last_day === 0;

const VERDICTS: Record<Overview["verdict"], { mood: Mood; icon: string }> = {
  ok: { mood: "good", icon: "●" },
  attention: { mood: "bad", icon: "▲" },
  unknown: { mood: "planned", icon: "○" },
};

const drawn = (shape: string): string => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${shape}</svg>`;

/** The verdict's sign for the tab: a shape and a colour that light and dark bars of tabs show. */
const TAB_ICONS: Record<Overview["verdict"], string> = {
  ok: drawn('<circle cx="16" cy="16" r="13" fill="#16a34a"/>'),
  attention: drawn('<path d="M16 3 30 29H2z" fill="#dc2626"/>'),
  unknown: drawn('<circle cx="16" cy="16" r="11" fill="none" stroke="#9ca3af" stroke-width="5"/>'),
};

/** What was so before the server was away is not known to be so now. */
function Verdict({ overview, isAway }: { overview: Overview; isAway: boolean }): JSX.Element {
  const verdict = isAway ? "unknown" : overview.verdict;
  const { mood, icon } = VERDICTS[verdict];
  const things = overview.attention.length;
  const words = {
    ok: "Everything due has fired.",
    attention: things === 1 ? "1 thing needs you." : `${things} things need you.`,
    unknown: `This cannot be known right now: ${isAway ? "the server cannot be reached." : (overview.attention[0]?.detail ?? "")}`,
  }[verdict];
  useEffect(() => {
    document.title = `${icon} Event Trigger`;
    const tab = document.querySelector<HTMLLinkElement>('link[rel="icon"]')!;
    const before = tab.href;
    tab.href = `data:image/svg+xml,${encodeURIComponent(TAB_ICONS[verdict])}`;
    return () => {
      document.title = "Event Trigger";
      tab.href = before;
    };
  }, [verdict]);
  return (
    <section class={`verdict ${mood}`} aria-label="Verdict">
      <p class="words">
        <State mood={mood}>{words}</State>
      </p>
      <p class="quiet">
        {overview.at !== null && (
          <>
            checked <Instant at={overview.at} />
          </>
        )}
        {overview.due.late > 0 && ` · ${count(overview.due.late)} late, the first by ${Math.round(overview.due.worst_lag_ms)} ms`}
      </p>
    </section>
  );
}

function Glance({ overview }: { overview: Overview }): JSX.Element {
  const { triggers, due, deliveries, destinations } = overview;
  return (
    <div class="grid">
      <section class="card">
        <h2>Triggers</h2>
        <p>
          <a href={`${HOME}/triggers?status=active`}>{count(triggers.active)} active</a> ·{" "}
          <a href={`${HOME}/triggers?status=paused`}>{count(triggers.paused)} paused</a> ·{" "}
          <a href={`${HOME}/triggers?failing=true`}>
            {triggers.failing > 0 ? <State mood="bad">{count(triggers.failing)} failing</State> : "0 failing"}
          </a>
        </p>
        <p>
          <Next at={due.next_at} /> · <a href={`${HOME}/upcoming`}>all that is planned</a>
        </p>
        <NextDay />
      </section>
      <section class="card">
        <h2>Needs you</h2>
        {overview.attention.length === 0 && <p class="quiet">Nothing.</p>}
        <ul class="attention">
          {overview.attention.map((one) => (
            <AttentionItem key={`${one.kind}-${one.id ?? ""}`} one={one} />
          ))}
        </ul>
      </section>
      <section class="card">
        <h2>Last 24 hours</h2>
        <Day measure="events" label="Fired" />
        <Day measure="unfired" label="Did not fire" mood="merged" />
        <Day measure="deliveries" label="Delivered" />
        <p class="quiet">
          <a href={`${HOME}/deliveries`}>
            {count(deliveries.pending)} pending, {count(deliveries.retrying)} retrying, {count(deliveries.exhausted)}{" "}
            exhausted
          </a>{" "}
          · <a href={`${HOME}/destinations`}>
            {count(destinations.open)} {destinations.open === 1 ? "destination" : "destinations"} open
          </a>
        </p>
      </section>
      <section class="card">
        <h2>Live</h2>
        <LiveEvents rows={8} />
      </section>
    </div>
  );
}

/** Names what fires next; it is asked for again once that has fired. */
function Next({ at }: { at: string | null }): JSX.Element {
  const upcoming = useQuery(`next-${at}`, async (signal) => {
    if (at === null || !holds("triggers:read")) return [];
    const { data } = await api.GET("/upcoming", { params: { query: { limit: 1 } }, signal });
    return (data as Schemas["UpcomingRead"]).firings;
  });
  const [first] = upcoming.data ?? [];
  if (first === undefined) return <>Next: <Instant at={at} /></>;
  return (
    <>
      Next: <a href={`${HOME}/triggers/${first.trigger_id}`}>{first.trigger_name ?? first.trigger_key ?? `trigger ${first.trigger_id}`}</a>{" "}
      <Instant at={first.at} />
    </>
  );
}

function AttentionItem({ one }: { one: Attention }): JSX.Element {
  const mood: Mood = one.severity === "error" ? "bad" : one.severity === "warning" ? "late" : "planned";
  const isExhausted = one.kind === "deliveries_exhausted";
  return (
    <li>
      <State mood={mood}>
        <a href={linkTo(one)}>{one.name ?? one.kind.replaceAll("_", " ")}</a>
      </State>{" "}
      {one.detail}{" "}
      {one.since !== null && (
        <span class="quiet">
          since <Instant at={one.since} />
        </span>
      )}{" "}
      {isExhausted && one.id !== null && holds("triggers:fire") && (
        <button type="button" onClick={() => redeliver(one.id as number, one.name ?? "this destination")}>
          Redeliver
        </button>
      )}
    </li>
  );
}

function redeliver(destinationId: number, name: string): void {
  const filter = { destination_id: destinationId, status: ["exhausted" as const] };
  void run(async () => {
    const { data } = await api.POST("/deliveries/actions", { body: { action: "redeliver", filter, dry_run: true } });
    ask({
      title: `Redeliver to ${name}`,
      detail: `${count(data?.matched ?? 0)} exhausted deliveries are sent again.`,
      verb: "Redeliver",
      act: async () => {
        const done = await api.POST("/deliveries/actions", { body: { action: "redeliver", filter } });
        tell(`${count(done.data?.changed ?? 0)} deliveries are on their way again.`);
      },
    });
    return "";
  });
}

function linkTo(one: Attention): string {
  switch (one.kind) {
    case "trigger_set_aside":
      return one.count > 1 || one.id === null ? `${HOME}/triggers?failing=true` : `${HOME}/triggers/${one.id}`;
    case "heartbeat_silent":
    case "instants_failed":
    case "instants_missed":
    case "instants_expired":
      return one.id === null ? `${HOME}/triggers` : `${HOME}/triggers/${one.id}`;
    case "destination_gone":
    case "destination_open":
      return `${HOME}/destinations?open=${one.id ?? ""}`;
    case "deliveries_exhausted":
      return `${HOME}/deliveries?status=exhausted${one.id === null ? "" : `&destination_id=${one.id}`}`;
    case "key_expires":
      return `${HOME}/keys`;
    default:
      return `${HOME}/triggers?sort=next_fire_at`;
  }
}

function Day({
  measure,
  label,
  mood,
}: {
  measure: "events" | "unfired" | "deliveries";
  label: string;
  mood?: string;
}): JSX.Element {
  const stats = useQuery(
    `stats-${measure}`,
    async (signal) => {
      const { data } = await api.GET("/stats", { params: { query: { measure, step: "PT1H" } }, signal });
      return data as Schemas["StatsRead"];
    },
    60,
  );
  return (
    <Shown of={stats}>
      {(data) => {
        const values = data.series.map((one) => one.values);
        const summed = Array.from({ length: 24 }, (_, hour) =>
          values.reduce((sum, series) => sum + (series[hour] ?? 0), 0),
        );
        return (
          <div class="measure">
            <span>{label}</span>
            <Bars bars={barsOf(data.start, HOUR, summed)} label={label} {...(mood === undefined ? {} : { mood })} />
            <span class="number">{count(summed.reduce((sum, one) => sum + one, 0))}</span>
          </div>
        );
      }}
    </Shown>
  );
}

function NextDay(): JSX.Element {
  const upcoming = useQuery(
    "upcoming-hour",
    async (signal) => {
      const { data } = await api.GET("/upcoming", { params: { query: { step: "PT5M" } }, signal });
      return data as Schemas["UpcomingRead"];
    },
    60,
  );
  return (
    <Shown of={upcoming}>
      {(data) => {
        const bars = barsOf(data.from, 300, data.counts.slice(0, 12));
        return (
          <div class="measure">
            <span>Next hour</span>
            <Bars bars={bars} label="Planned in the next hour" mood="planned" />
            <span class="number">{count(bars.reduce((sum, bar) => sum + bar.value, 0))}</span>
          </div>
        );
      }}
    </Shown>
  );
}
