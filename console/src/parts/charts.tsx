// Small charts in SVG: bars over time. Their numbers are also there as a text.
import type { JSX } from "preact";
import { dayInZone, minuteInZone, zone } from "../time";
import { count } from "./basics";

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
