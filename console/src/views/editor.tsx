import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, Refused, type Destination, type Schemas, type Trigger } from "../api/client";
import { Problem, Shown, State } from "../parts/basics";
import { tell } from "../parts/dialog";
import { useQuery } from "../query";
import { browserZone } from "../time";
import { useUrl } from "../url";
import { Instants } from "./trigger";
import { titleOf } from "./triggers";

const KINDS = {
  cron: "On a cron schedule",
  interval: "Every so often",
  once: "Once, at a time",
  api: "When it is called",
  heartbeat: "When an expected ping does not come",
  other: "Something else, as JSON",
} as const;
type Kind = keyof typeof KINDS;
const TYPES: Record<Kind, Trigger["type"] | null> = {
  cron: "scheduled",
  interval: "scheduled",
  once: "scheduled",
  api: "api",
  heartbeat: "heartbeat",
  other: null,
};
const PRESETS: readonly (readonly [string, string])[] = [
  ["", "Presets…"],
  ["*/5 * * * *", "every 5 minutes"],
  ["0 * * * *", "every hour"],
  ["0 9 * * 1-5", "on work days at 9:00"],
  ["30 2 * * *", "each night at 2:30"],
  ["0 6 1 * *", "on the first of the month"],
];

interface Draft {
  kind: Kind;
  name: string;
  key: string;
  cron: string;
  timezone: string;
  interval: string;
  time: string;
  details: string;
  payload: string;
  tags: string;
  destinations: number[];
  hook: string;
  grace: string;
}

const NEW: Draft = {
  kind: "cron",
  name: "",
  key: "",
  cron: "0 9 * * 1-5",
  timezone: browserZone,
  interval: "PT5M",
  time: "",
  details: "{}",
  payload: "",
  tags: "",
  destinations: [],
  hook: "",
  grace: "PT5M",
};

export function EditorView({ id }: { id?: number }): JSX.Element {
  const found = useQuery(`edit-${id ?? "new"}`, async (signal) => {
    if (id === undefined) return null;
    const { data, response } = await api.GET("/triggers/{trigger_id}", {
      params: { path: { trigger_id: id } },
      signal,
    });
    return { trigger: data as Trigger, etag: response.headers.get("etag") };
  });
  if (id === undefined) return <Form draft={NEW} etag={null} />;
  return (
    <Shown of={found}>
      {(data) => (data === null ? null : <Form trigger={data.trigger} draft={draftOf(data.trigger)} etag={data.etag} />)}
    </Shown>
  );
}

function draftOf(trigger: Trigger): Draft {
  const details = trigger.details as Record<string, unknown>;
  const known = new Set(Object.keys(details));
  const areOnly = (...names: string[]): boolean => [...known].every((one) => names.includes(one));
  const text = (name: string): string => (details[name] === undefined ? "" : String(details[name]));
  let kind: Kind = "other";
  if (trigger.type === "api" && known.size === 0) kind = "api";
  else if (trigger.type === "heartbeat" && "interval" in details) kind = "heartbeat";
  else if (trigger.type === "heartbeat") kind = "other";
  else if (typeof details["cron"] === "string" && areOnly("cron", "timezone")) kind = "cron";
  else if (areOnly("interval", "recurring") && details["recurring"] === true) kind = "interval";
  else if (areOnly("time")) kind = "once";
  return {
    ...NEW,
    kind,
    name: trigger.name ?? "",
    key: trigger.key ?? "",
    cron: text("cron"),
    timezone: text("timezone") || "UTC",
    interval: text("interval"),
    time: text("time"),
    details: JSON.stringify(details, null, 2),
    payload: trigger.payload === null ? "" : JSON.stringify(trigger.payload, null, 2),
    tags: trigger.tags.join(", "),
    destinations: trigger.destinations,
    grace: text("grace") || NEW.grace,
  };
}

/** The details of a draft; throws a SyntaxError for JSON that is none. */
function detailsOf(draft: Draft): Record<string, unknown> {
  switch (draft.kind) {
    case "cron":
      return { cron: draft.cron, timezone: draft.timezone };
    case "interval":
      return { interval: intervalOf(draft), recurring: true };
    case "once":
      return draft.time.endsWith("Z") ? { time: draft.time } : { time: draft.time, timezone: draft.timezone };
    case "api":
      return draft.hook === "" ? {} : { hook: { verify: draft.hook } };
    case "heartbeat":
      return { interval: intervalOf(draft), grace: draft.grace };
    case "other":
      return JSON.parse(draft.details) as Record<string, unknown>;
  }
}

const intervalOf = ({ interval }: Draft): string | number =>
  /^[0-9.]+$/.test(interval) ? Number(interval) : interval;

function bodyOf(draft: Draft, type: string): Record<string, unknown> {
  return {
    type,
    details: detailsOf(draft),
    name: draft.name === "" ? null : draft.name,
    key: draft.key === "" ? null : draft.key,
    payload: draft.payload.trim() === "" ? null : JSON.parse(draft.payload),
    tags: draft.tags.split(",").map((tag) => tag.trim()).filter((tag) => tag !== ""),
    destinations: draft.destinations,
  };
}

function Form({ trigger, draft: first, etag }: { trigger?: Trigger; draft: Draft; etag: string | null }): JSX.Element {
  const url = useUrl();
  const place = `draft-${trigger?.id ?? "new"}`;
  const [draft, setDraft] = useState<Draft>(() => stored(place) ?? first);
  const [error, setError] = useState<Refused | null>(null);
  const type = trigger?.type ?? (draft.kind === "api" || draft.kind === "heartbeat" ? draft.kind : "scheduled");
  useEffect(() => {
    if (draft !== first) sessionStorage.setItem(place, JSON.stringify(draft)); // a reload loses nothing
  }, [draft]);
  const change = (changes: Partial<Draft>): void => setDraft((before) => ({ ...before, ...changes }));
  const leave = (to: string): void => {
    sessionStorage.removeItem(place);
    url.go(to);
  };

  const save = async (isTested: boolean): Promise<void> => {
    setError(null);
    try {
      const body = bodyOf(draft, type);
      let id = trigger?.id;
      if (id === undefined) {
        const { data } = await api.POST("/triggers", { body: body as never });
        id = (data as Trigger).id;
      } else {
        const { type: _, ...patch } = body;
        const cleared = Object.keys(trigger?.details ?? {}).map((name) => [name, null] as const);
        patch["details"] = { ...Object.fromEntries(cleared), ...detailsOf(draft) };
        const headers = etag === null ? {} : { "If-Match": etag };
        await api.PATCH("/triggers/{trigger_id}", { params: { path: { trigger_id: id } }, body: patch as never, headers });
      }
      if (isTested) await api.POST("/triggers/{trigger_id}/test", { params: { path: { trigger_id: id } } });
      tell(isTested ? "Saved, and a test event is on record." : "Saved.");
      leave(`/triggers/${id}`);
    } catch (problem) {
      if (problem instanceof SyntaxError) {
        setError(new Refused(422, `This is not JSON: ${problem.message}`, "", new Map(), null));
      } else if (problem instanceof Refused) {
        setError(problem);
      } else {
        throw problem;
      }
    }
  };

  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        void save(event.submitter?.getAttribute("value") === "test");
      }}
    >
      <header class="view">
        <h1>{trigger === undefined ? "New trigger" : `Edit ${titleOf(trigger)}`}</h1>
      </header>
      <div class="grid">
        <section class="card">
          <label>
            Name
            <input value={draft.name} maxLength={200} onInput={(event) => change({ name: event.currentTarget.value })} />
          </label>
          <label>
            Key, a name of your own for calls and files
            <input
              value={draft.key}
              pattern="[a-z0-9][a-z0-9._-]{0,99}"
              placeholder="nightly-report"
              onInput={(event) => change({ key: event.currentTarget.value })}
            />
          </label>
          <label>
            It fires
            <select
              value={draft.kind}
              onChange={(event) => change({ kind: event.currentTarget.value as Kind })}
            >
              {(Object.keys(KINDS) as Kind[])
                .filter((kind) => trigger === undefined || kind === "other" || TYPES[kind] === trigger.type)
                .map((kind) => (
                  <option key={kind} value={kind}>
                    {KINDS[kind]}
                  </option>
                ))}
            </select>
          </label>
          <Schedule draft={draft} change={change} />
          <label>
            Tags, separated by commas
            <input value={draft.tags} onInput={(event) => change({ tags: event.currentTarget.value })} />
          </label>
          <Destinations draft={draft} change={change} />
          <label>
            Payload of each event, a JSON object
            <textarea
              rows={5}
              spellcheck={false}
              value={draft.payload}
              placeholder='{"report": "daily"}'
              onInput={(event) => change({ payload: event.currentTarget.value })}
            />
          </label>
        </section>
        <section class="card" aria-live="polite">
          <h2>What happens</h2>
          {type === "api" && <p>Each call makes an event. The body of the call is merged into the payload.</p>}
          {type === "heartbeat" && (
            <p>
              It gets a URL to ping. The first ping starts it. One event says that a ping did not come in time, and one
              that the pings are back.
            </p>
          )}
          {type === "scheduled" && (
            <Forecast draft={draft} {...(trigger === undefined ? {} : { trigger })} />
          )}
        </section>
      </div>
      {error !== null && <Problem error={error} />}
      {error?.status === 412 && (
        <p>Somebody else has changed it since you opened it. Reload the page to see how; your text stays.</p>
      )}
      <p class="buttons">
        <button type="submit" class="primary" value="save">
          Save
        </button>
        <button type="submit" value="test">
          Save & test
        </button>
        <button type="button" onClick={() => leave(trigger === undefined ? "/triggers" : `/triggers/${trigger.id}`)}>
          Cancel
        </button>
      </p>
    </form>
  );
}

function stored(place: string): Draft | null {
  const text = sessionStorage.getItem(place);
  return text === null ? null : (JSON.parse(text) as Draft);
}

interface Part {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
}

function Schedule({ draft, change }: Part): JSX.Element | null {
  const zonePicker = (
    <label>
      Time zone
      <input
        list="zones"
        value={draft.timezone}
        onInput={(event) => change({ timezone: event.currentTarget.value })}
      />
      <datalist id="zones">
        {Intl.supportedValuesOf("timeZone").map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  );
  switch (draft.kind) {
    case "cron":
      return (
        <>
          <label>
            Cron
            <input
              class="code"
              value={draft.cron}
              spellcheck={false}
              onInput={(event) => change({ cron: event.currentTarget.value })}
            />
          </label>
          <label>
            <span class="hidden">Preset</span>
            <select value="" onChange={(event) => event.currentTarget.value !== "" && change({ cron: event.currentTarget.value })}>
              {PRESETS.map(([cron, words]) => (
                <option key={cron} value={cron}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          {zonePicker}
        </>
      );
    case "interval":
      return (
        <label>
          Interval: minutes, or an ISO 8601 duration such as PT90S
          <input class="code" value={draft.interval} onInput={(event) => change({ interval: event.currentTarget.value })} />
        </label>
      );
    case "once":
      return (
        <>
          <label>
            Time
            <input
              class="code"
              value={draft.time}
              placeholder="2026-12-31T23:00:00"
              onInput={(event) => change({ time: event.currentTarget.value })}
            />
          </label>
          {zonePicker}
        </>
      );
    case "api":
      return (
        <label>
          Webhook
          <select value={draft.hook} onChange={(event) => change({ hook: event.currentTarget.value })}>
            <option value="">none: callers need a token or a key</option>
            <option value="none">a secret URL</option>
            <option value="standard_webhooks">a URL, signed by Standard Webhooks</option>
            <option value="github">a URL, signed by GitHub</option>
          </select>
        </label>
      );
    case "heartbeat":
      return (
        <>
          <label>
            A ping each: minutes, or an ISO 8601 duration such as PT1H
            <input
              class="code"
              value={draft.interval}
              onInput={(event) => change({ interval: event.currentTarget.value })}
            />
          </label>
          <label>
            Grace: so much later it is silent
            <input class="code" value={draft.grace} onInput={(event) => change({ grace: event.currentTarget.value })} />
          </label>
        </>
      );
    case "other":
      return (
        <label>
          Details, as the API takes them
          <textarea
            rows={8}
            spellcheck={false}
            value={draft.details}
            onInput={(event) => change({ details: event.currentTarget.value })}
          />
        </label>
      );
  }
}

function Destinations({ draft, change }: Part): JSX.Element | null {
  const found = useQuery("destinations-all", async (signal) => {
    const { data } = await api.GET("/destinations", { params: { query: { limit: 100 } }, signal });
    return data as Destination[];
  });
  if (found.data === null || found.data.length === 0) return null;
  return (
    <fieldset>
      <legend>Deliver each event to</legend>
      {found.data.map((one) => (
        <label key={one.id} class="check">
          <input
            type="checkbox"
            checked={draft.destinations.includes(one.id)}
            onChange={(event) =>
              change({
                destinations: event.currentTarget.checked
                  ? [...draft.destinations, one.id]
                  : draft.destinations.filter((id) => id !== one.id),
              })
            }
          />
          {one.key ?? one.url}
        </label>
      ))}
    </fieldset>
  );
}

/** The words, the next five instants and what daylight saving and other triggers do to them. */
function Forecast({ draft, trigger }: { draft: Draft; trigger?: Trigger }): JSX.Element {
  const [asked, setAsked] = useState(draft);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(draft), 250);
    return () => clearTimeout(timer);
  }, [draft]);
  const found = useQuery(`forecast-${JSON.stringify(scheduleOf(asked))}`, async (signal) => {
    const details = scheduleOf(asked);
    const { data } = await api.POST("/schedules/preview", { body: { details: details as never, count: 5 }, signal });
    const preview = data as Schemas["PreviewRead"];
    const first = preview.instants[0];
    return { preview, together: first === undefined ? 0 : await plannedAt(first.at, signal) };
  });
  return (
    <Shown of={found}>
      {({ preview, together }) => (
        <>
          <p>
            <strong>{preview.words}</strong>
          </p>
          {trigger?.next_fire_at != null && preview.instants[0]?.at !== trigger.next_fire_at && (
            <p>
              <State mood="late">The next instant moves from {trigger.next_fire_at}.</State>
            </p>
          )}
          {preview.warnings.map((warning) => (
            <p key={warning}>
              <State mood="late">{warning}</State>
            </p>
          ))}
          <Instants preview={preview} />
          {together >= 10 && (
            <p>
              <State mood="late">{together} triggers fire in the same minute; “spread” in the details parts them.</State>
            </p>
          )}
        </>
      )}
    </Shown>
  );
}

function scheduleOf(draft: Draft): Record<string, unknown> {
  try {
    return detailsOf(draft);
  } catch {
    return {};
  }
}

async function plannedAt(at: string, signal: AbortSignal): Promise<number> {
  const from = new Date(at);
  from.setSeconds(0, 0);
  const until = new Date(from.getTime() + 60_000).toISOString();
  const query = { from: from.toISOString(), until, step: "PT1M" as const };
  const { data } = await api.GET("/upcoming", { params: { query }, signal });
  return (data as Schemas["UpcomingRead"]).counts[0] ?? 0;
}
