// Small parts that all views share: instants, states, errors, empty places.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { clockAhead, type Refused } from "../api/client";
import type { Loaded } from "../query";
import { ago, inZone, tick, timeInZone, zone } from "../time";

/** An instant, relative to now; the tooltip has it in the zone and in UTC. */
export function Instant({
  at,
  exact = false,
  bare = false,
}: {
  at: string | null;
  exact?: boolean;
  bare?: boolean; // without the time of day
}): JSX.Element {
  if (at === null) return <span class="quiet">–</span>;
  tick.value;
  clockAhead.value;
  zone.value;
  const date = new Date(at);
  return (
    <time dateTime={at} title={`${inZone(date)}\n${date.toISOString()}`}>
      {exact ? inZone(date) : ago(date)}
      {!exact && !bare && <span class="clock"> {timeInZone(date)}</span>}
    </time>
  );
}

export type Mood = "good" | "late" | "merged" | "bad" | "paused" | "planned";
export const GLYPHS: Record<Mood, string> = {
  good: "●",
  late: "▲",
  merged: "◆",
  bad: "✕",
  paused: "‖",
  planned: "○",
};

/** A sign and a word: colour alone never tells. */
export function State({ mood, children }: { mood: Mood; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`state ${mood}`}>
      <span aria-hidden="true">{GLYPHS[mood]}</span> {children}
    </span>
  );
}

export function Glyph({ mood, title }: { mood: Mood; title: string }): JSX.Element {
  return (
    <span class={`state ${mood}`} role="img" aria-label={title} title={title}>
      {GLYPHS[mood]}
    </span>
  );
}

/** Shows a refusal with its fields, and the request's id to give to whoever runs the service. */
export function Problem({ error, retry }: { error: Refused; retry?: () => void }): JSX.Element {
  const isForbidden = error.status === 403;
  return (
    <div class="problem" role="alert">
      <p>
        <State mood="bad">{isForbidden ? `Not allowed: ${error.message}` : error.message}</State>
      </p>
      {[...error.fields].map(([pointer, detail]) => (
        <p key={pointer}>
          <code>{pointer}</code> {detail}
        </p>
      ))}
      <p>
        {retry !== undefined && (
          <button type="button" onClick={retry}>
            Try again
          </button>
        )}
        {error.requestId !== null && <CopyButton text={error.requestId} label="Copy the request's id" />}
      </p>
    </div>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => setCopied(true));
  };
  return (
    <button type="button" class="plain" onClick={copy}>
      {isCopied ? "Copied" : label}
    </button>
  );
}

/** Shows a view's data; and before, after or instead of it, why there is none. */
export function Shown<T>({
  of,
  children,
}: {
  of: Loaded<T>;
  children: (data: T) => ComponentChildren;
}): JSX.Element | null {
  const { data, error, loadedAt, reload } = of;
  tick.value;
  if (data === null) return error === null ? <Skeleton /> : <Problem error={error} retry={reload} />;
  const isAway = error !== null && loadedAt !== null;
  // the data stays where it is in the tree: its own parts keep what they have, too
  return (
    <>
      {isAway && (
        <p key="away" class="away" role="status">
          <State mood="late">The server cannot be reached. This is {Math.round((Date.now() - loadedAt) / 1000)} s old.</State>{" "}
          <button type="button" onClick={reload}>
            Try again
          </button>
        </p>
      )}
      <div key="data" class={isAway ? "shown dimmed" : "shown"}>
        {children(data)}
      </div>
    </>
  );
}

/** Appears after 150 ms: what is quick should not flash. */
function Skeleton(): JSX.Element | null {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return isShown ? (
    <div class="skeleton" role="status" aria-label="Loading">
      <span />
      <span />
      <span />
    </div>
  ) : null;
}

/** What a list is for while it has nothing, and how to begin. */
export function Empty({ children, curl }: { children: ComponentChildren; curl?: string }): JSX.Element {
  return (
    <div class="empty">
      {children}
      {curl !== undefined && (
        <>
          <pre tabIndex={0}>{curl}</pre>
          <CopyButton text={curl} label="Copy" />
        </>
      )}
    </div>
  );
}

export const count = (value: number): string => value.toLocaleString("en");
