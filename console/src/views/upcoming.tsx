import type { JSX } from "preact";
import { HOME, api, type Schemas } from "../api/client";
import { Empty, Instant, Shown, State, count } from "../parts/basics";
import { Chart, barsOf } from "../parts/charts";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { abbreviationAt, dayInZone, inZone, minuteInZone, offsetAt, zone } from "../time";

const DAY = 86_400_000;
const SPANS = {
  "24h": { days: 1, step: "PT5M", seconds: 300, words: "24 hours" },
  "7d": { days: 7, step: "PT1H", seconds: 3600, words: "7 days" },
  "30d": { days: 30, step: "P1D", seconds: 86_400, words: "30 days" },
} as const;
type Span = keyof typeof SPANS;
const STEP_WORDS = { PT5M: "5 minutes", PT1H: "an hour", P1D: "a day" } as const;
const MOST_LISTED = 60;
const HERD = 10; // instants in one step that are worth a word

export function UpcomingView(): JSX.Element {
  const url = useUrl();
  const span: Span = url.get("span") in SPANS ? (url.get("span") as Span) : "24h";
  const { days, step, seconds, words } = SPANS[span];
  const found = useQuery(
    `upcoming-${span}`,
    async (signal) => {
      const from = new Date().toISOString();
      const until = new Date(Date.now() + days * DAY).toISOString();
      const [counts, next] = await Promise.all([
        api.GET("/upcoming", { params: { query: { from, until, step } }, signal }),
        api.GET("/upcoming", { params: { query: { from, until, limit: MOST_LISTED } }, signal }),
      ]);
      return { counts: counts.data as Schemas["UpcomingRead"], next: next.data as Schemas["UpcomingRead"] };
    },
    60,
  );
  return (
    <>
      <header class="view">
        <h1>Upcoming</h1>
        <nav class="tabs" aria-label="How far ahead">
          {(Object.keys(SPANS) as Span[]).map((one) => (
            <a key={one} href={`${HOME}/upcoming?span=${one}`} aria-current={one === span ? "page" : undefined}>
              {SPANS[one].words}
            </a>
          ))}
        </nav>
      </header>
      <Shown of={found}>
        {({ counts, next }) => {
          const bars = barsOf(counts.from, seconds, counts.counts);
          const sum = bars.reduce((total, bar) => total + bar.value, 0);
          const mean = sum / Math.max(1, bars.length);
          const herds = bars.filter((bar) => bar.value >= HERD && bar.value > 3 * mean).sort((a, b) => b.value - a.value);
          if (sum === 0) return <Empty>Nothing is planned in the next {words}.</Empty>;
          return (
            <>
              <section class="card tall">
                <Chart
                  label={`Planned in the next ${words}`}
                  plot={{
                    times: bars.map((bar) => bar.from.getTime() / 1000),
                    series: [{ label: "planned", values: bars.map((bar) => bar.value), color: "--accent", isBar: true }],
                    unit: "",
                  }}
                />
                {counts.truncated && (
                  <p>
                    <State mood="planned">Counted up to {inZone(new Date(counts.complete_until))}: there are more after that.</State>
                  </p>
                )}
                <ClockChanges from={new Date(counts.from)} days={days} />
                {herds.slice(0, 5).map((bar) => (
                  <p key={bar.from.getTime()}>
                    <State mood="late">
                      A herd at {dayInZone(bar.from)} {minuteInZone(bar.from)}: {count(bar.value)} within {STEP_WORDS[step]}. A spread parts
                      them.
                    </State>
                  </p>
                ))}
              </section>
              <h2>Next</h2>
              <ul class="instants">
                {next.firings.map((one) => (
                  <li key={`${one.at}${one.trigger_id}`}>
                    <Instant at={one.at} exact /> <span class="quiet"><Instant at={one.at} bare /></span>{" "}
                    <a href={`${HOME}/triggers/${one.trigger_id}`}>
                      {one.trigger_name ?? one.trigger_key ?? `Trigger ${one.trigger_id}`}
                    </a>
                  </li>
                ))}
              </ul>
            </>
          );
        }}
      </Shown>
    </>
  );
}

/** The days on which the clock of the page's zone is changed. */
function ClockChanges({ from, days }: { from: Date; days: number }): JSX.Element {
  const at = (day: number): Date => new Date(from.getTime() + day * DAY);
  const changed = Array.from({ length: days }, (_, day) => day).filter((day) => offsetAt(at(day)) !== offsetAt(at(day + 1)));
  return (
    <>
      {changed.map((day) => (
        <p key={day}>
          <State mood="late">
            The clock of {zone.value} changes between {dayInZone(at(day))} and {dayInZone(at(day + 1))}: {abbreviationAt(at(day))} →{" "}
            {abbreviationAt(at(day + 1))}.
          </State>
        </p>
      ))}
    </>
  );
}
