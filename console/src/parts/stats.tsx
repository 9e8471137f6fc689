// Rates of one trigger or destination over the last day, from GET /stats.
import type { JSX } from "preact";
import { api, type Schemas } from "../api/client";
import { useQuery } from "../query";
import { Shown } from "./basics";
import { Chart, type Drawn } from "./charts";
import type { Series } from "./plot";

type Stats = Schemas["StatsRead"];
export type About = { trigger_id: number } | { destination_id: number };
type Query = { measure: "events" | "lag_ms" | "attempts" | "duration_ms"; by?: "type" | "outcome" };

const STEP = 3600; // s, of PT1H
const LOOKS: Record<string, Pick<Series, "color" | "dash">> = {
  delivered: { color: "--good" },
  p50: { color: "--good" },
  p95: { color: "--late", dash: [8, 4] },
  max: { color: "--bad", dash: [2, 3] },
};
const OTHERS: readonly Pick<Series, "color" | "dash">[] = [
  { color: "--accent" },
  { color: "--bad", dash: [8, 4] },
  { color: "--merged", dash: [2, 3] },
  { color: "--late", dash: [10, 3, 2, 3] },
];

export async function readStats(query: Query & About, signal: AbortSignal): Promise<Stats> {
  const { data } = await api.GET("/stats", { params: { query: { step: "PT1H", ...query } }, signal });
  return data as Stats;
}

export function plotOf({ start, series }: Stats, unit = ""): Drawn {
  const from = Date.parse(start) / 1000;
  const steps = series[0]?.values.length ?? 0;
  return {
    times: Array.from({ length: steps }, (_, index) => from + index * STEP),
    series: series.map(({ key, values }, index) => ({
      label: key.replaceAll("_", " "),
      values,
      ...(LOOKS[key] ?? OTHERS[index % OTHERS.length] ?? { color: "--accent" }),
      ...(unit === "" && series.length === 1 ? { isBar: true } : {}),
    })),
    unit,
  };
}

/** Two charts of the last day: how much, and how long it took. */
export function Rates({ about }: { about: About }): JSX.Element {
  const isTrigger = "trigger_id" in about;
  const found = useQuery(
    `rates-${JSON.stringify(about)}`,
    async (signal) => {
      const much = await readStats({ ...about, ...(isTrigger ? { measure: "events", by: "type" } : { measure: "attempts", by: "outcome" }) }, signal);
      const long = await readStats({ ...about, measure: isTrigger ? "lag_ms" : "duration_ms" }, signal);
      return { much, long };
    },
    60,
  );
  const [much, long] = isTrigger
    ? ["Events an hour, by kind", "Lag behind the plan"]
    : ["Attempts an hour, by outcome", "Time of an attempt"];
  return (
    <Shown of={found}>
      {(stats) => (
        <>
          <Titled title={much} stats={stats.much} />
          <Titled title={long} stats={stats.long} unit=" ms" />
        </>
      )}
    </Shown>
  );
}

function Titled({ title, stats, unit = "" }: { title: string; stats: Stats; unit?: string }): JSX.Element {
  return (
    <section class="card">
      <h3>{title}</h3>
      {stats.series.length === 0 ? (
        <p class="quiet">Nothing in the last 24 hours.</p>
      ) : (
        <Chart plot={plotOf(stats, unit)} label={title} />
      )}
    </section>
  );
}
