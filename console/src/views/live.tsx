// The newest events as they are committed: flushed four times a second, and sampled above 200 a second.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { HOME, project, type Event } from "../api/client";
import { Instant, State, count } from "../parts/basics";
import { useKeys } from "../keys";
import { follow } from "../api/stream";

const FLUSH_EVERY = 250; // ms
const SAMPLED_ABOVE = 200; // events a second

interface Live {
  events: Event[];
  waiting: number; // they came while it was paused
  perSecond: number;
  isOpen: boolean;
}

export function LiveEvents({ rows, query = "" }: { rows: number; query?: string }): JSX.Element {
  const [live, setLive] = useState<Live>({ events: [], waiting: 0, perSecond: 0, isOpen: false });
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(false);
  paused.current = isPaused;
  useKeys({ ".": () => toggle() });
  const toggle = (): void => {
    setPaused(!paused.current);
    setLive((before) => ({ ...before, waiting: 0 }));
  };

  useEffect(() => {
    const ended = new AbortController();
    let arrived: Event[] = [];
    let came = 0;
    void follow(
      new URLSearchParams(query),
      (event) => {
        came++;
        arrived.push(event);
        if (arrived.length > rows) arrived.shift();
      },
      (isOpen) => setLive((before) => ({ ...before, isOpen })),
      ended.signal,
    );
    const timer = setInterval(() => {
      if (came === 0) {
        setLive((before) => (before.perSecond === 0 ? before : { ...before, perSecond: 0 }));
        return;
      }
      const [fresh, number] = [arrived.reverse(), came];
      [arrived, came] = [[], 0];
      setLive((before) => ({
        ...before,
        perSecond: Math.round((number * 1000) / FLUSH_EVERY),
        waiting: paused.current ? before.waiting + number : 0,
        events: paused.current ? before.events : [...fresh, ...before.events].slice(0, rows),
      }));
    }, FLUSH_EVERY);
    return () => {
      ended.abort();
      clearInterval(timer);
    };
  }, [query, rows, project.value]);

  return (
    <div class="live">
      <p class="quiet">
        <State mood={live.isOpen ? (isPaused ? "paused" : "good") : "late"}>
          {live.isOpen ? (isPaused ? "Paused" : "Live") : "Not connected"}
        </State>{" "}
        <button type="button" class="plain" onClick={toggle}>
          {isPaused ? `Go on${live.waiting > 0 ? ` (${count(live.waiting)} new)` : ""}` : "Pause"}
        </button>
        {live.perSecond > SAMPLED_ABOVE && ` ${count(live.perSecond)} a second: a sample is shown`}
      </p>
      <ul>
        {live.events.map((event) => (
          <li key={event.id}>
            <Instant at={event.triggered_at} />{" "}
            <a href={`${HOME}/events?open=${event.id}`}>{event.trigger_name ?? event.trigger_key ?? `trigger ${event.trigger_id}`}</a>
            {event.is_test && <span class="badge">test</span>}
          </li>
        ))}
      </ul>
      {live.events.length === 0 && <p class="quiet">Events appear here as they are committed.</p>}
    </div>
  );
}
