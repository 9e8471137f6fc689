import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { HOME, api, holds, type Destination, type Schemas, type Trigger } from "../api/client";
import { useKeys } from "../keys";
import { CopyButton, Empty, Instant, Shown, State, count } from "../parts/basics";
import { ask, run, tell } from "../parts/dialog";
import { Rates } from "../parts/stats";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { COPIED, copyOf, type Copied } from "./copies";
import { destinationMood } from "./destinations";
import { EventRows } from "./events";
import { History } from "./history";
import { TimeLine } from "./time_line";
import { moodOf, titleOf } from "./triggers";

type Preview = Schemas["PreviewRead"];
const TABS = ["events", "next", "payload", "hook", "history", "rates"] as const;
type Tab = (typeof TABS)[number];

export function TriggerView({ id }: { id: number }): JSX.Element {
  const trigger = useQuery(
    `trigger-${id}`,
    async (signal) => {
      const { data } = await api.GET("/triggers/{trigger_id}", { params: { path: { trigger_id: id } }, signal });
      return data as Trigger;
    },
    5,
  );
  return <Shown of={trigger}>{(data) => <Loaded trigger={data} reload={trigger.reload} />}</Shown>;
}

function Loaded({ trigger, reload }: { trigger: Trigger; reload: () => void }): JSX.Element {
  const url = useUrl();
  const tab = (TABS.find((one) => one === url.get("tab")) ?? "events") satisfies Tab;
  const { mood, words } = moodOf(trigger);
  const path = { trigger_id: trigger.id };
  const fire = (how: "trigger" | "test"): void =>
    void run(async () => {
      const { response } =
        how === "trigger"
          ? await api.POST("/triggers/{trigger_id}/trigger", { params: { path } })
          : await api.POST("/triggers/{trigger_id}/test", { params: { path } });
      reload();
      return `Event ${response.headers.get("event-id") ?? ""} is on record.`;
    });
  const turn = (): void =>
    void run(async () => {
      const isPaused = trigger.status === "paused";
      const { data } = isPaused
        ? await api.POST("/triggers/{trigger_id}/resume", { params: { path } })
        : await api.POST("/triggers/{trigger_id}/pause", { params: { path } });
      reload();
      return [isPaused ? "Resumed." : "Paused.", ...(data?.warnings ?? [])].join(" ");
    });
  const remove = (): void =>
    ask({
      title: `Delete ${titleOf(trigger)}`,
      detail: "It fires no more. Its past events stay until they are purged.",
      verb: "Delete",
      typed: trigger.key ?? String(trigger.id),
      act: async () => {
        await api.DELETE("/triggers/{trigger_id}", { params: { path } });
        tell(`${titleOf(trigger)} is deleted.`);
        url.go("/triggers");
      },
    });
  const [mayFire, mayWrite] = [holds("triggers:fire"), holds("triggers:write")];
  useKeys({
    ...(mayFire ? { f: () => fire("trigger"), T: () => fire("test"), p: turn } : {}),
    ...(mayWrite ? { e: () => url.go(`/triggers/${trigger.id}/edit`) } : {}),
  });
  return (
    <>
      <header class="view">
        <h1>{titleOf(trigger)}</h1>
        <State mood={mood}>{words}</State>
        {trigger.key !== null && <code>{trigger.key}</code>}
        {trigger.set_name !== null && (
          <a class="badge" href={`${HOME}/sets`} title="The set's file says how it should be.">
            from set {trigger.set_name}
          </a>
        )}
        <span class="buttons">
          {mayFire && (
            <>
              <button type="button" class="primary" onClick={() => fire("trigger")}>
                Fire <kbd>f</kbd>
              </button>
              <button type="button" onClick={() => fire("test")}>
                Test <kbd>T</kbd>
              </button>
              {trigger.status !== "completed" && (
                <button type="button" onClick={turn}>
                  {trigger.status === "paused" ? "Resume" : "Pause"} <kbd>p</kbd>
                </button>
              )}
            </>
          )}
          {mayWrite && (
            <>
              <a class="button" href={`${HOME}/triggers/${trigger.id}/edit`}>
                Edit <kbd>e</kbd>
              </a>
              <button type="button" class="danger" onClick={remove}>
                Delete
              </button>
            </>
          )}
          <CopyAs trigger={trigger} />
        </span>
      </header>
      <p>
        {trigger.words} · {count(trigger.fire_count)} fired · next <Instant at={trigger.next_fire_at} />
        <Targets ids={trigger.destinations} />
        {trigger.tags.map((tag) => (
          <a key={tag} class="badge" href={`${HOME}/triggers?tag=${encodeURIComponent(tag)}`}>
            {tag}
          </a>
        ))}
      </p>
      {trigger.warnings.map((warning) => (
        <p key={warning}>
          <State mood="late">{warning}</State>
        </p>
      ))}
      {trigger.type === "scheduled" && <TimeLine trigger={trigger} />}
      {trigger.type === "heartbeat" && <Heartbeat heartbeat={trigger.heartbeat} />}
      <nav class="tabs" aria-label="Parts of the trigger">
        {TABS.map((one) => (
          <a
            key={one}
            href={tabHref(trigger.id, one, url.get("hours"))}
            aria-current={one === tab ? "page" : undefined}
          >
            {TAB_WORDS[one]}
          </a>
        ))}
      </nav>
      {tab === "events" && <EventRows query={{ trigger_id: String(trigger.id) }} />}
      {tab === "next" && <Next trigger={trigger} />}
      {tab === "payload" && <Payload trigger={trigger} />}
      {tab === "hook" && <Hook trigger={trigger} />}
      {tab === "history" && <History id={trigger.id} />}
      {tab === "rates" && <Rates about={{ trigger_id: trigger.id }} />}
    </>
  );
}

const tabHref = (id: number, tab: Tab, hours: string): string =>
  `${HOME}/triggers/${id}?tab=${tab}${hours === "" ? "" : `&hours=${hours}`}`;

/** Where events go, with the state of each destination. */
function Targets({ ids }: { ids: readonly number[] }): JSX.Element | null {
  const found = useQuery(
    `targets-${ids.join()}`,
    async (signal) => {
      if (ids.length === 0 || !holds("destinations:read")) return [];
      const reading = ids.slice(0, MOST_TARGETS).map(async (id) => {
        const { data } = await api.GET("/destinations/{destination_id}", { params: { path: { destination_id: id } }, signal });
        return data as Destination;
      });
      return Promise.all(reading);
    },
    30,
  );
  if (ids.length === 0) return null;
  const known = new Map(found.data?.map((one) => [one.id, one]));
  return (
    <>
      {" · → "}
      {ids.map((id) => {
        const one = known.get(id);
        return (
          <a key={id} class="badge" href={`${HOME}/destinations?open=${id}`}>
            {one === undefined ? `destination ${id}` : <Named destination={one} />}
          </a>
        );
      })}
    </>
  );
}

const MOST_TARGETS = 10;

function Named({ destination }: { destination: Destination }): JSX.Element {
  const { mood, words } = destinationMood(destination);
  return (
    <span title={words}>
      {destination.key ?? `destination ${destination.id}`} <State mood={mood}>{mood === "good" ? "" : words}</State>
    </span>
  );
}

function CopyAs({ trigger }: { trigger: Trigger }): JSX.Element {
  const menu = useRef<HTMLDetailsElement>(null);
  const copy = (kind: Copied): void =>
    void run(async () => {
      if (menu.current !== null) menu.current.open = false;
      await navigator.clipboard.writeText(await copyOf(kind, trigger));
      return `Copied as ${COPIED[kind]}.`;
    });
  return (
    <details ref={menu} class="menu-of">
      <summary class="button">Copy as…</summary>
      <div>
        {(Object.keys(COPIED) as Copied[]).map((kind) => (
          <button key={kind} type="button" class="plain" onClick={() => copy(kind)}>
            {COPIED[kind]}
          </button>
        ))}
      </div>
    </details>
  );
}

function Heartbeat({ heartbeat }: { heartbeat: Schemas["HeartbeatRead"] }): JSX.Element {
  return (
    <section class="card" aria-label="Heartbeat">
      <dl>
        <dt>Last ping</dt>
        <dd>
          <Instant at={heartbeat.last_ping_at} />
        </dd>
        <dt>Expected</dt>
        <dd>
          <Instant at={heartbeat.expected_at} />
        </dd>
        {heartbeat.silent_since !== null && (
          <>
            <dt>Silent since</dt>
            <dd>
              <Instant at={heartbeat.silent_since} />
            </dd>
          </>
        )}
        {heartbeat.started_at !== null && (
          <>
            <dt>A run began</dt>
            <dd>
              <Instant at={heartbeat.started_at} />
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

const TAB_WORDS: Record<Tab, string> = {
  events: "Events",
  next: "Next",
  payload: "Payload & schema",
  hook: "Hook & refusals",
  history: "History",
  rates: "Rates",
};

function Next({ trigger }: { trigger: Trigger }): JSX.Element {
  const next = useQuery(`next-${trigger.id}`, async (signal) => {
    if (trigger.type !== "scheduled") return null;
    const { data } = await api.GET("/triggers/{trigger_id}/schedule", {
      params: { path: { trigger_id: trigger.id }, query: { count: 20 } },
      signal,
    });
    return data as Preview;
  });
  if (trigger.type === "heartbeat") return <Empty>It fires only if a ping does not come.</Empty>;
  if (trigger.type !== "scheduled") return <Empty>It fires when it is called, and has no schedule.</Empty>;
  return <Shown of={next}>{(data) => (data === null ? null : <Instants preview={data} />)}</Shown>;
}

export function Instants({ preview }: { preview: Preview }): JSX.Element {
  if (preview.instants.length === 0) return <Empty>Nothing more is planned.</Empty>;
  return (
    <ol class="instants">
      {preview.instants.map((one) => (
        <li key={one.at}>
          <Instant at={one.at} exact /> <span class="quiet"><Instant at={one.at} bare /></span>
          {one.note !== null && <State mood="late">{one.note}</State>}
        </li>
      ))}
    </ol>
  );
}

function Payload({ trigger }: { trigger: Trigger }): JSX.Element {
  const { schema, ...details } = trigger.details as Record<string, unknown>;
  return (
    <div class="grid">
      <section class="card">
        <h2>Predefined payload</h2>
        {trigger.payload === null ? (
          <p class="quiet">None: an event has the body of its call, or null.</p>
        ) : (
          <Json value={trigger.payload} label="Copy the payload" />
        )}
      </section>
      <section class="card">
        <h2>Schema of payloads</h2>
        {schema === undefined ? <p class="quiet">None: any JSON object will do.</p> : <Json value={schema} label="Copy the schema" />}
      </section>
      <section class="card">
        <h2>Details</h2>
        <Json value={details} label="Copy the details" />
      </section>
    </div>
  );
}

function Json({ value, label }: { value: unknown; label: string }): JSX.Element {
  const text = JSON.stringify(value, null, 2);
  return (
    <>
      <pre tabIndex={0}>{text}</pre>
      <CopyButton text={text} label={label} />
    </>
  );
}

function Hook({ trigger }: { trigger: Trigger }): JSX.Element {
  const refusals = useQuery(`refusals-${trigger.id}`, async (signal) => {
    const { data } = await api.GET("/triggers/{trigger_id}/refusals", {
      params: { path: { trigger_id: trigger.id } },
      signal,
    });
    return data as Schemas["HookRefusalRead"][];
  });
  const hookUrl = trigger.hook_url;
  if (hookUrl === null) return <Empty>It has no hook: a call needs a token or a key.</Empty>;
  return (
    <>
      <p>
        <HiddenUrl url={hookUrl} />
      </p>
      <h2>Refused calls</h2>
      <Shown of={refusals}>
        {(rows) =>
          rows.length === 0 ? (
            <p class="quiet">None.</p>
          ) : (
            <ul>
              {rows.map((row) => (
                <li key={`${row.at}${row.reason}`}>
                  <Instant at={row.at} /> {count(row.count)} × {row.status} {row.method} from {row.address}: {row.reason}
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </>
  );
}

function HiddenUrl({ url }: { url: string }): JSX.Element {
  const [isShown, setShown] = useState(false);
  return (
    <>
      <code>{isShown ? url : url.replace(/[^/]+$/, "…")}</code>{" "}
      <button type="button" class="plain" onClick={() => setShown(!isShown)}>
        {isShown ? "Hide" : "Show"}
      </button>
      <CopyButton text={url} label="Copy the URL" />
    </>
  );
}
