// The newest events as they are committed: flushed four times a second, and sampled above 200 a second.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { HOME, project, type Event } from "../api/client";
import { follow } from "../api/stream";
import { useKeys } from "../keys";
import { State, count } from "../parts/basics";
import { inZone, timeInZone } from "../time";

const FLUSH_EVERY = 250; // ms
const SAMPLED_ABOVE = 200; // events a second
const WINDOW = 8; // flushes over which the rate is taken

interface Live {
  events: Event[];
  waiting: number; // they came while it was held
  perSecond: number;
  sum: number; // since it was opened
  isOpen: boolean;
}

const NOTHING: Live = { events: [], waiting: 0, perSecond: 0, sum: 0, isOpen: false };

/** Follows the events that a query selects; while `isHeld`, it counts them only. */
function useLive(query: string, rows: number, isHeld: { current: boolean }): [Live, () => void] {
  const [live, setLive] = useState(NOTHING);
  const buffer = useRef<string[]>([]); // JSON: what is never shown is never parsed
  useEffect(() => {
    const ended = new AbortController();
    const rates: number[] = [];
    let came = 0;
    buffer.current = [];
    setLive(NOTHING);
    void follow(
      new URLSearchParams(query),
      (json) => {
        came++;
        buffer.current.push(json);
        if (buffer.current.length > rows) buffer.current.shift();
      },
      (isOpen) => setLive((before) => ({ ...before, isOpen })),
      ended.signal,
    );
    const timer = setInterval(() => {
      rates.push(came);
      if (rates.length > WINDOW) rates.shift();
      const perSecond = Math.round((rates.reduce((sum, one) => sum + one, 0) * 1000) / (rates.length * FLUSH_EVERY));
      const number = came;
      came = 0;
      setLive((before) => {
        if (number === 0 && before.perSecond === perSecond) return before;
        const after = { ...before, perSecond, sum: before.sum + number };
        return isHeld.current ? { ...after, waiting: before.waiting + number } : shown(after, buffer.current, rows);
      });
    }, FLUSH_EVERY);
    return () => {
      ended.abort();
      clearInterval(timer);
    };
  }, [query, rows, project.value]);
  return [live, () => setLive((before) => shown(before, buffer.current, rows))];
}

/** Puts what has arrived above what is there, and empties the buffer. */
function shown(before: Live, buffer: string[], rows: number): Live {
  const fresh = buffer.splice(0).reverse().map((json) => JSON.parse(json) as Event);
  const known = new Set(fresh.map((one) => one.id));
  const events = [...fresh, ...before.events.filter((one) => !known.has(one.id))].slice(0, rows);
  return { ...before, waiting: 0, events };
}

export function LiveEvents({ rows, query = "" }: { rows: number; query?: string }): JSX.Element {
  const [isPaused, setPaused] = useState(false);
  const [isRead, setRead] = useState(false); // somebody points at it: nothing may move
  const held = useRef(false);
  held.current = isPaused || isRead;
  const [live, show] = useLive(query, rows, held);
  const toggle = (): void => {
    if (isPaused) show();
    setPaused(!isPaused);
  };
  useKeys({ ".": toggle });
  const mood = live.isOpen ? (isPaused ? "paused" : "good") : "late";
  return (
    <div class="live" data-sum={live.sum}>
      <p class="quiet">
        <State mood={mood}>{live.isOpen ? (isPaused ? "Held" : "Live") : "Not connected"}</State>{" "}
        <button type="button" class="plain" onClick={toggle} title="The key . does the same">
          {isPaused ? "Go on" : "Hold"}
        </button>
        {live.waiting > 0 && (
          <button type="button" class="new-rows" onClick={show}>
            {count(live.waiting)} new ↑
          </button>
        )}
        {live.perSecond > SAMPLED_ABOVE && (
          <State mood="merged">{count(live.perSecond)} a second: the newest of them are shown</State>
        )}
      </p>
      <ul
        onPointerEnter={() => setRead(true)}
        onPointerLeave={() => {
          setRead(false);
          if (!isPaused) show();
        }}
      >
        {live.events.map((event) => (
          <LiveEvent key={event.id} event={event} />
        ))}
      </ul>
      {live.events.length === 0 && <p class="quiet">Events appear here as they are committed.</p>}
    </div>
  );
}

/** One row; its time is exact, so that it is drawn once and not each second. */
function LiveEvent({ event }: { event: Event }): JSX.Element {
  const at = new Date(event.triggered_at);
  const name = event.trigger_name ?? event.trigger_key ?? `trigger ${event.trigger_id}`;
  return (
    <li>
      <time dateTime={event.triggered_at} title={`${inZone(at)}\n${at.toISOString()}`}>
        {timeInZone(at)}
      </time>{" "}
      <a href={`${HOME}/events?open=${event.id}`}>{name}</a> <span class="quiet">{event.id}</span>
      {event.is_test && <span class="badge">test</span>}
    </li>
  );
}
