import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, holds, serverNow, type Event, type Schemas, type Trigger } from "../api/client";
import { useKeys } from "../keys";
import { CopyButton, Empty, Instant, Shown, State, count, type Mood } from "../parts/basics";
import { ask, run, tell } from "../parts/dialog";
import { useQuery } from "../query";
import { dayInZone, inZone, minuteInZone, zone } from "../time";
import { useUrl } from "../url";
import { EventRows } from "./events";
import { moodOf, titleOf } from "./triggers";

type Account = Schemas["AccountRead"];
type Preview = Schemas["PreviewRead"];
const TABS = ["events", "next", "payload", "hook", "history"] as const;
type Tab = (typeof TABS)[number];
const HOURS = 3_600_000;

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
        </span>
      </header>
      <p>
        {trigger.words} · {count(trigger.fire_count)} fired · next <Instant at={trigger.next_fire_at} />
        {trigger.destinations.length > 0 && " · delivers to "}
        {trigger.destinations.map((one) => (
          <a key={one} class="badge" href={`${HOME}/destinations?open=${one}`}>
            destination {one}
          </a>
        ))}
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
            href={`${HOME}/triggers/${trigger.id}?tab=${one}`}
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
    </>
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
};

interface Mark {
  at: Date;
  mood: Mood;
  words: string;
  href?: string;
}

const REASONS: Record<string, { mood: Mood; words: string }> = {
  coalesced: { mood: "merged", words: "one later event stands for them" },
  missed: { mood: "bad", words: "the service was down, or too late" },
  expired: { mood: "bad", words: "longer ago than is caught up on" },
  failed: { mood: "bad", words: "they could not be fired" },
  paused: { mood: "paused", words: "the trigger was paused" },
  replaced: { mood: "planned", words: "the schedule was changed" },
  deleted: { mood: "planned", words: "the trigger was deleted" },
};

/** Planned beside fired: each gap with its reason. */
function TimeLine({ trigger }: { trigger: Trigger }): JSX.Element {
  const url = useUrl();
  const hours = url.get("hours") === "48" ? 47 : 24;
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
            <Line account={account} events={events} next={next} hours={hours} />
            <p>
              <Balance account={account} />{" "}
              <span class="buttons">
                <button type="button" class="plain" onClick={() => url.set({ hours: hours === 24 ? "48" : "" })}>
                  {hours === 24 ? "Show 47 h" : "Show 24 h"}
                </button>
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
  const command = `curl -X POST ${location.origin}${apiPath(trigger.id)}/trigger -H "Authorization: Bearer $TOKEN"`;
  return (
    <div class="grid">
      <section class="card">
        <h2>Predefined payload</h2>
        <pre tabIndex={0}>{JSON.stringify(trigger.payload, null, 2)}</pre>
      </section>
      <section class="card">
        <h2>Details</h2>
        <pre tabIndex={0}>{JSON.stringify(trigger.details, null, 2)}</pre>
        <CopyButton text={command} label="Copy as curl" />
      </section>
    </div>
  );
}

const apiPath = (id: number): string => `${HOME.slice(0, -"/console".length)}/triggers/${id}`;

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

function History({ id }: { id: number }): JSX.Element {
  const history = useQuery(`history-${id}`, async (signal) => {
    const { data } = await api.GET("/triggers/{trigger_id}/versions", { params: { path: { trigger_id: id } }, signal });
    return data as Schemas["TriggerHistory"];
  });
  return (
    <Shown of={history}>
      {(data) => (
        <>
          <h2>Schedules so far</h2>
          <ul>
            {data.schedules.map((one) => (
              <li key={one.version}>
                {one.words ?? JSON.stringify(one.details)} – from <Instant at={one.after} exact />
                {one.until !== null && (
                  <>
                    {" "}
                    until <Instant at={one.until} exact /> ({one.ended_by})
                  </>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
    </Shown>
  );
}
