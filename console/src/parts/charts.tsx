// Charts over time: small bars in SVG, and lines by uPlot. Their numbers are also there as text.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { dayInZone, minuteInZone, zone } from "../time";
import { count } from "./basics";
import type { Plot, Series } from "./plot";

export interface Bar {
  from: Date;
  value: number;
}

/** Bars of one measure; each has its time and number as a tooltip, and the sum is in the label. */
export function Bars({ bars, label, mood = "good" }: { bars: readonly Bar[]; label: string; mood?: string }): JSX.Element {
  zone.value;
  const most = Math.max(1, ...bars.map((bar) => bar.value));
  const sum = bars.reduce((total, bar) => total + bar.value, 0);
  return (
    <svg
      class={`bars ${mood}`}
      viewBox={`0 0 ${bars.length * 10} 40`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${count(sum)} in all, at most ${count(most)} at once`}
    >
      {bars.map((bar, index) => {
        const height = bar.value === 0 ? 0.75 : Math.max(2, (bar.value / most) * 38);
        return (
          <g key={bar.from.getTime()}>
            <title>{`${dayInZone(bar.from)} ${minuteInZone(bar.from)}: ${count(bar.value)}`}</title>
            <rect class="target" x={index * 10} y={0} width={10} height={40} />
            <rect
              class={bar.value === 0 ? "none" : "bar"}
              x={index * 10 + 1}
              y={40 - height}
              width={8}
              height={height}
            />
          </g>
        );
      })}
    </svg>
  );
}

export function barsOf(start: string, stepSeconds: number, values: readonly (number | null)[]): Bar[] {
  const from = new Date(start).getTime();
  return values.map((value, index) => ({ from: new Date(from + index * stepSeconds * 1000), value: value ?? 0 }));
}

/** Lines or bars over time, with the numbers as a table for those who do not see them. */
export function Chart({ plot: drawn, label }: { plot: Drawn; label: string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [isMissing, setMissing] = useState(false);
  const [isTable, setTable] = useState(false);
  const series = drawn.series.map((one) => ({ ...one, told: summed(one.values, drawn.unit) }));
  const plot = { ...drawn, series };
  const shown: Plot = { ...plot, zone: zone.value };
  const key = JSON.stringify(shown);
  useEffect(() => {
    let [isGone, remove] = [false, (): void => undefined];
    import("./plot").then(
      ({ draw }) => {
        if (!isGone && place.current !== null) remove = draw(place.current, shown);
      },
      () => setMissing(true), // the table has the same
    );
    return () => {
      isGone = true;
      remove();
    };
  }, [key]);
  return (
    <figure class="chart" aria-label={label}>
      <div ref={place} class="plot" aria-hidden="true" />
      <figcaption>
        <span class="hidden">{series.map((one) => `${one.label}: ${one.told}`).join("; ")}</span>
        <button type="button" class="plain" aria-expanded={isTable} onClick={() => setTable(!isTable)}>
          {isTable ? "Hide the numbers" : "Show the numbers"}
        </button>
      </figcaption>
      {(isTable || isMissing) && <Numbers plot={plot} label={label} />}
    </figure>
  );
}

/** What is drawn, before it is told in words and in the zone of the page. */
export interface Drawn {
  times: readonly number[]; // s
  series: readonly Omit<Series, "told">[];
  unit: string;
}

/** The sum of counts, or the largest of durations, in words. */
function summed(values: readonly (number | null)[], unit: string): string {
  const known = values.filter((value) => value !== null);
  if (unit === "") return count(known.reduce((total, value) => total + value, 0));
  return known.length === 0 ? "none" : `up to ${count(Math.round(Math.max(...known)))}${unit}`;
}

const MOST_ROWS = 24; // of numbers: the newest steps that have any

function Numbers({ plot, label }: { plot: Drawn; label: string }): JSX.Element {
  const all = plot.times.map((at, index) => ({ at, values: plot.series.map((one) => one.values[index] ?? null) }));
  const rows = all.filter(({ values }) => values.some((value) => value !== null && value !== 0)).slice(-MOST_ROWS);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${label}, as a table`}>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            {plot.series.map((one) => (
              <th key={one.label} scope="col" class="number">
                {one.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, values }) => (
            <tr key={at}>
              <th scope="row">{`${dayInZone(new Date(at * 1000))} ${minuteInZone(new Date(at * 1000))}`}</th>
              {values.map((value, index) => (
                <td key={index} class="number">
                  {value === null ? "–" : `${count(Math.round(value * 10) / 10)}${plot.unit}`}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
