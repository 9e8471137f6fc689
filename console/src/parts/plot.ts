// Draws lines over time with uPlot. It is loaded when the first chart is opened, and not before.
import uPlot from "uplot";

export interface Series {
  label: string;
  values: readonly (number | null)[];
  /** A variable of style.css; a dash tells lines apart without it. */
  color: string;
  dash?: number[];
  isBar?: boolean;
  /** What stands in the legend while no instant is pointed at: all of it in words. */
  told: string;
}

export interface Plot {
  times: readonly number[]; // s
  series: readonly Series[];
  zone: string;
  unit: string;
}

/** Draws into an element, follows its width and the theme, and returns what takes it away. */
export function draw(element: HTMLElement, plot: Plot): () => void {
  const css = (name: string): string => getComputedStyle(element).getPropertyValue(name).trim();
  const resolved = (name: string): string => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  };
  const bars = uPlot.paths.bars?.({ size: [0.8, 40] });
  const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: plot.zone });
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: plot.zone });
  const isLong = (plot.times.at(-1) ?? 0) - (plot.times[0] ?? 0) > 2 * 86_400;
  const timeOf = (seconds: number): string => {
    const clock = hour.format(seconds * 1000);
    return isLong || clock === "00:00" ? day.format(seconds * 1000) : clock;
  };
  const axis = (): uPlot.Axis => ({
    stroke: () => resolved("--quiet"),
    grid: { stroke: () => resolved("--line"), width: 1 },
    ticks: { stroke: () => resolved("--line"), width: 1 },
    font: `12px ${css("font-family") || "system-ui"}`,
  });
  const chart = new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), plot.zone),
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.1)] } },
      axes: [{ ...axis(), values: (_, splits) => splits.map(timeOf) }, { ...axis(), size: 60, values: (_, splits) => splits.map((one) => `${short(one)}${plot.unit}`) }],
      legend: { live: true },
      cursor: { drag: { x: false, y: false } },
      series: [
        { label: "From", value: (_, seconds) => (seconds === null ? "all" : `${day.format(seconds * 1000)} ${hour.format(seconds * 1000)}`) },
        ...plot.series.map(
          (one): uPlot.Series => ({
            label: one.label,
            stroke: () => resolved(one.color),
            width: 2,
            points: { size: 5 },
            ...(one.dash === undefined ? {} : { dash: one.dash }),
            ...(one.isBar === true && bars !== undefined ? { paths: bars, fill: () => resolved(one.color).replace("rgb(", "rgba(").replace(")", ", 0.45)"), points: { show: false } } : {}),
            value: (_, value, __, index) =>
              index === null ? one.told : value === null ? "–" : `${short(value)}${plot.unit}`,
          }),
        ),
      ],
    },
    [[...plot.times], ...plot.series.map((one) => [...one.values])],
    element,
  );
  const fitting = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
  fitting.observe(element);
  const themes = new MutationObserver(() => chart.redraw(false));
  themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    fitting.disconnect();
    themes.disconnect();
    chart.destroy();
  };
}

const HEIGHT = 180; // px
const short = (value: number): string => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
