// Shows instants three ways: relative to the server's now, in the chosen zone, and in UTC.
import { computed, signal } from "@preact/signals";
import { serverNow } from "./api/client";

export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The zone of all times on the page; the URL's `tz`, or the last one chosen, or the browser's. */
export const zone = signal(firstZone());

function firstZone(): string {
  const wanted = new URLSearchParams(location.search).get("tz") ?? localStorage.getItem("zone");
  return wanted !== null && isZone(wanted) ? wanted : browserZone;
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export function chooseZone(name: string): void {
  zone.value = name;
  localStorage.setItem("zone", name);
}

const formats = computed(() => ({
  full: format({ dateStyle: "medium", timeStyle: "medium" }),
  time: format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }),
  minute: format({ hour: "2-digit", minute: "2-digit", hour12: false }),
  day: format({ weekday: "short", day: "numeric", month: "short" }),
  abbreviation: format({ timeZoneName: "short" }),
}));

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone.value });
}

export function abbreviationAt(at: Date): string {
  const parts = formats.value.abbreviation.formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone.value;
}

export const inZone = (at: Date): string => `${formats.value.full.format(at)} ${abbreviationAt(at)}`;
export const timeInZone = (at: Date): string => formats.value.time.format(at);
export const minuteInZone = (at: Date): string => formats.value.minute.format(at);
export const dayInZone = (at: Date): string => formats.value.day.format(at);

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `in 3 min`, `2 hr. ago`, `now`. */
export function ago(at: Date, now = serverNow()): string {
  const seconds = (at.getTime() - now) / 1000;
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), "second");
}

/** A tick each second, so that relative times stay true. */
export const tick = signal(0);
setInterval(() => {
  if (document.visibilityState === "visible") tick.value++;
}, 1000);

/** `2026-03-13T10:00` in the zone of the page, as a field for local times has it. */
export function wallTime(at: Date): string {
  const text = new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone.value,
    dateStyle: "short",
    timeStyle: "short",
  }).format(at);
  return text.replace(" ", "T");
}

/** The instant at which clocks of the page's zone show a local time; in a gap, one near it. */
export function instantOf(wall: string): Date {
  const asUtc = new Date(`${wall}Z`).getTime();
  let found = asUtc;
  for (let turn = 0; turn < 2; turn++) found += asUtc - new Date(`${wallTime(new Date(found))}Z`).getTime();
  return new Date(found);
}

const partsIn = (name: string): Intl.DateTimeFormatPart[] =>
  new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: name, timeZoneName: "short" }).formatToParts(serverNow());

/** The time of day in a zone, now. */
export const timeIn = (name: string): string =>
  partsIn(name).filter(({ type }) => type === "hour" || type === "minute").map(({ value }) => value).join(":");

export const abbreviationIn = (name: string): string => partsIn(name).find(({ type }) => type === "timeZoneName")?.value ?? name;

/** The offset of the page's zone at an instant, such as `GMT+01:00`. */
export function offsetAt(at: Date): string {
  const parts = new Intl.DateTimeFormat("en", { timeZone: zone.value, timeZoneName: "longOffset" }).formatToParts(at);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
}
