// The fields of the editor that say when a trigger fires.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Faults, CodeField, type Fault } from "../parts/code";
import { DAYS, REPEATS, cronOf, repeatOf, type Repeat } from "../parts/cron";
import { abbreviationIn, browserZone, isZone, timeIn } from "../time";
import type { Draft } from "./draft";

export interface Part {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
  /** What is wrong, by the pointers of the body. */
  faultsAt: (pointer: string) => Fault[];
}

interface Field extends Part {
  name: "cron" | "interval" | "time" | "rrule" | "grace" | "from" | "until" | "spread" | "maxFires" | "except";
  pointer?: string;
  children: ComponentChildren;
  placeholder?: string;
  list?: string;
  type?: "text" | "number" | "datetime-local";
}

function TextField({ draft, change, faultsAt, name, pointer = name, children, placeholder = "", list, type = "text" }: Field): JSX.Element {
  return (
    <>
      <label>
        {children}
        <input
          class="code"
          type={type}
          value={draft[name]}
          spellcheck={false}
          placeholder={placeholder}
          {...(list === undefined ? {} : { list })}
          onInput={(event) => change({ [name]: event.currentTarget.value })}
        />
      </label>
      <Faults of={faultsAt(`/details/${pointer}`)} />
    </>
  );
}

export function ScheduleFields(part: Part): JSX.Element | null {
  const { draft, change, faultsAt } = part;
  switch (draft.kind) {
    case "cron":
      return (
        <>
          <Repeats {...part} />
          <ZoneField {...part} />
        </>
      );
    case "interval":
      return (
        <>
          <IntervalField {...part}>Interval: minutes, or an ISO 8601 duration such as PT90S</IntervalField>
          <TimeField {...part}>Counted from (now, if empty)</TimeField>
          {draft.time !== "" && !draft.time.endsWith("Z") && <ZoneField {...part} />}
        </>
      );
    case "rrule":
      return (
        <>
          <TextField {...part} name="rrule">
            Rule, as in an iCalendar file
          </TextField>
          <TimeField {...part}>First time</TimeField>
          <ZoneField {...part} />
        </>
      );
    case "once":
      return (
        <>
          <TimeField {...part}>Time</TimeField>
          {!draft.time.endsWith("Z") && <ZoneField {...part} />}
        </>
      );
    case "api":
      return null;
    case "heartbeat":
      return (
        <>
          <label class="check">
            <input type="checkbox" checked={draft.isByCron} onChange={(event) => change({ isByCron: event.currentTarget.checked })} />
            Pings are expected by a cron schedule
          </label>
          {draft.isByCron ? (
            <>
              <Repeats {...part} />
              <ZoneField {...part} />
            </>
          ) : (
            <IntervalField {...part}>A ping each: minutes, or an ISO 8601 duration such as PT1H</IntervalField>
          )}
          <TextField {...part} name="grace">
            Grace: so much later it is silent
          </TextField>
        </>
      );
    case "other":
      return (
        <CodeField
          label="Details, as the API takes them"
          value={draft.details}
          onChange={(details) => change({ details })}
          faults={faultsAt("/details")}
        />
      );
  }
}

function IntervalField(part: Part & { children: ComponentChildren }): JSX.Element {
  return (
    <>
      <TextField {...part} name="interval" list="intervals" />
      <datalist id="intervals">
        {INTERVALS.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </datalist>
    </>
  );
}

const INTERVALS: readonly (readonly [string, string])[] = [
  ["PT30S", "30 seconds"],
  ["PT1M", "a minute"],
  ["PT5M", "5 minutes"],
  ["PT1H", "an hour"],
  ["P1D", "a day"],
  ["P1W", "a week"],
  ["P1M", "a month"],
];

/** Chooses by a calendar; a time that was written with its offset stays a text. */
function TimeField(part: Part & { children: ComponentChildren }): JSX.Element {
  const isLocal = part.draft.time === "" || /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(part.draft.time);
  return <TextField {...part} name="time" {...(isLocal ? { type: "datetime-local" as const } : {})} />;
}

/** Shows a cron line as what repeats, and writes the line from that. */
function Repeats(part: Part): JSX.Element {
  const { draft, change } = part;
  const [isOther, setOther] = useState(false); // somebody wants to write the line
  const found = repeatOf(draft.cron);
  const repeat: Repeat = isOther ? { ...found, every: "other" } : found;
  const set = (changes: Partial<Repeat>): void => {
    setOther(changes.every === "other");
    change({ cron: cronOf({ ...repeat, ...changes }, draft.cron) });
  };
  const number = (name: "minutes" | "minute" | "day", words: string, least: number, most: number): JSX.Element => (
    <label>
      {words}
      <input
        type="number"
        min={least}
        max={most}
        value={repeat[name]}
        onInput={(event) => event.currentTarget.checkValidity() && set({ [name]: event.currentTarget.valueAsNumber })}
      />
    </label>
  );
  return (
    <>
      <div class="repeats">
        <label>
          Repeats
          <select value={repeat.every} onChange={(event) => set({ every: event.currentTarget.value as Repeat["every"] })}>
            {(Object.keys(REPEATS) as Repeat["every"][]).map((every) => (
              <option key={every} value={every}>
                {REPEATS[every]}
              </option>
            ))}
          </select>
        </label>
        {repeat.every === "minutes" && number("minutes", "Minutes between", 1, 59)}
        {repeat.every === "hour" && number("minute", "Minute of the hour", 0, 59)}
        {repeat.every === "month" && number("day", "Day of the month", 1, 31)}
        {["day", "week", "month"].includes(repeat.every) && (
          <label>
            At
            <input
              type="time"
              value={repeat.time}
              onInput={(event) => event.currentTarget.value !== "" && set({ time: event.currentTarget.value })}
            />
          </label>
        )}
      </div>
      {repeat.every === "week" && (
        <fieldset class="days">
          <legend>Days</legend>
          {DAYS.map((name, day) => (
            <label key={name} class="check">
              <input
                type="checkbox"
                checked={repeat.days.includes(day)}
                onChange={(event) =>
                  set({
                    days: event.currentTarget.checked ? [...repeat.days, day].sort() : repeat.days.filter((one) => one !== day),
                  })
                }
              />
              {name}
            </label>
          ))}
        </fieldset>
      )}
      <TextField {...part} name="cron">
        Cron
      </TextField>
    </>
  );
}

function ZoneField({ draft, change, faultsAt }: Part): JSX.Element {
  const others = [browserZone, "UTC"].filter((name) => name !== draft.timezone);
  return (
    <>
      <label>
        Time zone
        <input
          list="zones"
          value={draft.timezone}
          spellcheck={false}
          onInput={(event) => change({ timezone: event.currentTarget.value })}
        />
        <datalist id="zones">
          {["UTC", ...Intl.supportedValuesOf("timeZone")].map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
      <p class="hint">
        {isZone(draft.timezone)
          ? `It is ${timeIn(draft.timezone)} there now (${abbreviationIn(draft.timezone)}).`
          : "This browser knows no such zone: write one such as Europe/Berlin."}{" "}
        {others.map((name) => (
          <button key={name} type="button" class="plain" onClick={() => change({ timezone: name })}>
            {name}
          </button>
        ))}
      </p>
      <Faults of={faultsAt("/details/timezone")} />
    </>
  );
}

/** Where a schedule begins, ends, and is left out. */
export function LimitFields(part: Part): JSX.Element {
  const { draft, change } = part;
  return (
    <details class="more" open={LIMITS.some((name) => draft[name] !== "") || draft.isDeletedAtEnd}>
      <summary>Limits, exceptions, catching up</summary>
      <div class="repeats">
        <TextField {...part} name="from" placeholder="2027-01-01T00:00:00Z">
          Not before
        </TextField>
        <TextField {...part} name="until" placeholder="2027-12-31T00:00:00Z">
          Not after
        </TextField>
        <TextField {...part} name="maxFires" pointer="max_fires" type="number">
          At most so many times
        </TextField>
      </div>
      <TextField {...part} name="except" placeholder="2026-12-25 closed">
        Not on these dates, nor on those of these calendars
      </TextField>
      <TextField {...part} name="spread" placeholder="PT10M">
        Spread: later by a constant of this trigger, up to
      </TextField>
      <label>
        After downtime
        <select value={draft.catch_up} onChange={(event) => change({ catch_up: event.currentTarget.value })}>
          <option value="">one event, for the newest missed instant</option>
          <option value="all">one event for each missed instant</option>
          <option value="none">no event for missed instants</option>
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={draft.isDeletedAtEnd}
          onChange={(event) => change({ isDeletedAtEnd: event.currentTarget.checked })}
        />
        Delete it when it has no instant left
      </label>
    </details>
  );
}

const LIMITS = ["from", "until", "maxFires", "except", "spread", "catch_up"] as const;
