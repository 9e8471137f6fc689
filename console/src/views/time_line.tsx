// Planned beside fired: the time line of a trigger, its sum, and the reason for each gap.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { HOME, api, serverNow, type Event, type Schemas, type Trigger } from "../api/client";
import { Shown, State, count, type Mood } from "../parts/basics";
import { useQuery } from "../query";
import { dayInZone, inZone, minuteInZone, zone } from "../time";
import { useUrl } from "../url";
import { REASONS } from "./triggers";

type Account = Schemas["AccountRead"];
type Preview = Schemas["PreviewRead"];
const HOURS = 3_600_000;

interface Mark {
  at: Date;
  mood: Mood;
  words: string;
  href?: string;
}

/** Planned beside fired: each gap with its reason. */
export function TimeLine({ trigger }: { trigger: Trigger }): JSX.Element {
  const url = useUrl();
  const hours = url.get("hours") === "48" ? 47 : 24; // the oldest of 48 goes hour by hour
  const found = useQuery(
    `line-${trigger.id}-${hours}-${trigger.fire_count}`,
    async (signal) => {
      const since = new Date(serverNow() - hours * HOURS).toISOString();
      const until = new Date(serverNow()).toISOString();
      const path = { trigger_id: trigger.id };
      const [account, events, next] = await Promise.all([
        api.GET("/triggers/{trigger_id}/accounting", { params: { path, query: { since, until } }, signal }),
        api.GET("/events", {
          params: { query: { trigger_id: [trigger.id], since, view: "summary", limit: 200 } },
          signal,
        }),
        api.GET("/triggers/{trigger_id}/schedule", { params: { path, query: { count: 10 } }, signal }),
      ]);
      return {
        account: account.data as Account,
        events: events.data as Event[],
        next: next.data as Preview,
      };
    },
    30,
  );
  return (
    <section class="card" aria-label="Planned and fired">
      <Shown of={found}>
        {({ account, events, next }) => (
          <>
            <Scrolled>
              <Line account={account} events={events} next={next} hours={hours} />
            </Scrolled>
            <p>
              <Balance account={account} />{" "}
              <span class="switch" role="group" aria-label="How far back">
                {(["24", "48"] as const).map((one) => (
                  <button
                    key={one}
                    type="button"
                    class="plain"
                    aria-pressed={(one === "48") === hours > 24}
                    onClick={() => url.set({ hours: one === "24" ? "" : one })}
                  >
                    {one} h
                  </button>
                ))}
              </span>
            </p>
            <ul class="gaps">
              {account.ranges.slice(0, 20).map((range) => (
                <li key={`${range.first}${range.reason}`}>
                  <State mood={REASONS[range.reason]?.mood ?? "bad"}>
                    {count(range.count)} {range.reason}
                  </State>{" "}
                  {inZone(new Date(range.first))}
                  {range.count > 1 && ` – ${inZone(new Date(range.last))}`}: {REASONS[range.reason]?.words}
                </li>
              ))}
            </ul>
          </>
        )}
      </Shown>
    </section>
  );
}

/** On a narrow screen the line is wider than the page: it begins at its end, where now is. */
function Scrolled({ children }: { children: JSX.Element }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => place.current?.scrollTo({ left: place.current.scrollWidth }), []);
  return (
    <div ref={place} class="line-scroll" tabIndex={0} role="region" aria-label="Time line">
      {children}
    </div>
  );
}

function Balance({ account }: { account: Account }): JSX.Element {
  const unfired = Object.entries(account.unfired).filter(([, number]) => number > 0);
  const parts = [`${count(account.fired)} fired`, ...unfired.map(([reason, number]) => `${count(number)} ${reason}`)];
  if (account.pending > 0) parts.push(`${count(account.pending)} due now`);
  return (
    <State mood={account.balanced ? "good" : "bad"}>
      {count(account.planned)} planned = {parts.join(" + ")}
      {!account.balanced && `: ${account.differences.length} do not add up`}
    </State>
  );
}

function Line(props: { account: Account; events: readonly Event[]; next: Preview; hours: number }): JSX.Element {
  zone.value;
  const { account, events, next, hours } = props;
  const now = serverNow();
  const [from, to] = [now - hours * HOURS, now + (hours / 5) * HOURS];
  const x = (at: Date): number => ((at.getTime() - from) / (to - from)) * 1000;
  const fired: Mark[] = events.map((event) => ({
    at: new Date(event.scheduled_for ?? event.triggered_at),
    mood: "good",
    words: `fired ${inZone(new Date(event.triggered_at))}`,
    href: `${HOME}/events?open=${event.id}`,
  }));
  const gaps: Mark[] = account.ranges.map((range) => ({
    at: new Date(range.first),
    mood: REASONS[range.reason]?.mood ?? "bad",
    words: `${count(range.count)} ${range.reason}: ${REASONS[range.reason]?.words ?? ""}`,
  }));
  const planned: Mark[] = next.instants.map((one) => ({
    at: new Date(one.at),
    mood: "planned",
    words: `planned ${inZone(new Date(one.at))}${one.note === null ? "" : `: ${one.note}`}`,
  }));
  const step = hours > 24 ? 12 : 6;
  const hoursShown = Array.from({ length: Math.ceil((to - from) / HOURS / step) + 1 }, (_, index) => {
    const first = Math.ceil(from / (step * HOURS)) * step * HOURS;
    return new Date(first + index * step * HOURS);
  }).filter((at) => at.getTime() < to);
  return (
    <svg class="line" viewBox="0 0 1000 70" role="group" aria-label={lineWords(account, next)}>
      <line class="axis" x1={0} y1={30} x2={1000} y2={30} />
      {hoursShown.map((at) => (
        <text key={at.getTime()} class="hour" x={x(at)} y={66}>
          {`${minuteInZone(at)} ${dayInZone(at)}`}
        </text>
      ))}
      <line class="now" x1={x(new Date(now))} y1={4} x2={x(new Date(now))} y2={54} />
      {[...planned, ...fired, ...gaps]
        .filter((mark) => mark.at.getTime() >= from && mark.at.getTime() <= to)
        .map((mark, index) => (
          <MarkOn key={index} mark={mark} x={x(mark.at)} />
        ))}
    </svg>
  );
}

function MarkOn({ mark, x }: { mark: Mark; x: number }): JSX.Element {
  const shape =
    mark.mood === "bad" ? (
      <path d={`M${x - 5} 25l10 10m0-10l-10 10`} />
    ) : mark.mood === "merged" ? (
      <path d={`M${x} 23l7 7l-7 7l-7-7z`} />
    ) : (
      <circle cx={x} cy={30} r={5} />
    );
  const drawn = (
    <g class={`mark ${mark.mood}`}>
      <title>{mark.words}</title>
      {shape}
    </g>
  );
  return mark.href === undefined ? drawn : <a href={mark.href}>{drawn}</a>;
}

function lineWords(account: Account, next: Preview): string {
  return `${count(account.planned)} planned, ${count(account.fired)} fired; next ${next.instants[0]?.local ?? "never"}`;
}
