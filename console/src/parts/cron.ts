// The cron lines that a form can show: what repeats, and when. Any other line stays a text.
export interface Repeat {
  every: "minutes" | "hour" | "day" | "week" | "month" | "other";
  minutes: number; // between two
  minute: number; // of an hour
  time: string; // of a day
  days: number[]; // 0 is Sunday
  day: number; // of a month
}

export const REPEATS: Record<Repeat["every"], string> = {
  minutes: "every few minutes",
  hour: "each hour",
  day: "each day",
  week: "on days of the week",
  month: "each month",
  other: "as the cron line says",
};
export const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const START: Repeat = { every: "other", minutes: 5, minute: 0, time: "09:00", days: [1, 2, 3, 4, 5], day: 1 };

const two = (number: string): string => number.padStart(2, "0");

export function repeatOf(cron: string): Repeat {
  const line = cron.trim().replace(/\s+/g, " ");
  const minutes = /^\*\/(\d+) \* \* \* \*$/.exec(line);
  if (minutes?.[1] !== undefined) return { ...START, every: "minutes", minutes: Number(minutes[1]) };
  const [, minute, hour, day, weekdays] = /^(\d+) (\d+|\*) (\d+|\*) \* ([0-7,-]+|\*)$/.exec(line) ?? [];
  if (minute === undefined || hour === undefined || day === undefined || weekdays === undefined) return START;
  if (hour === "*") {
    return day === "*" && weekdays === "*" ? { ...START, every: "hour", minute: Number(minute) } : START;
  }
  const at = { ...START, time: `${two(hour)}:${two(minute)}` };
  if (day !== "*") return weekdays === "*" ? { ...at, every: "month", day: Number(day) } : START;
  if (weekdays === "*") return { ...at, every: "day" };
  const days = daysOf(weekdays);
  return days === null ? START : { ...at, every: "week", days };
}

function daysOf(text: string): number[] | null {
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const [, first, last] = /^([0-7])(?:-([0-7]))?$/.exec(part) ?? [];
    if (first === undefined || (last !== undefined && last < first)) return null;
    for (let day = Number(first); day <= Number(last ?? first); day++) found.add(day % 7);
  }
  return [...found].sort();
}

export function cronOf({ every, minutes, minute, time, days, day }: Repeat, cron: string): string {
  const [hour, minuteOfDay] = time.split(":").map(Number);
  const at = `${minuteOfDay ?? 0} ${hour ?? 0}`;
  switch (every) {
    case "minutes":
      return `*/${minutes} * * * *`;
    case "hour":
      return `${minute} * * * *`;
    case "day":
      return `${at} * * *`;
    case "week":
      return days.join() === "1,2,3,4,5" ? `${at} * * 1-5` : `${at} * * ${days.join(",") || "*"}`;
    case "month":
      return `${at} ${day} * *`;
    case "other":
      return cron;
  }
}
