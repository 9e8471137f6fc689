import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Refused, api, holds, type Destination, type Schemas, type Trigger } from "../api/client";
import { CopyButton, Instant, Problem, Shown, State } from "../parts/basics";
import { CodeField, Faults, type Fault } from "../parts/code";
import { Dialog, ask, tell } from "../parts/dialog";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { KINDS, NEW, NotJson, TYPES, bodyOf, draftOf, limitsOf, patchOf, scheduleOf, type Draft, type Kind } from "./draft";
import { HookFields } from "./hook_fields";
import { LimitFields, ScheduleFields, type Part } from "./schedule_fields";
import { Instants } from "./trigger";
import { titleOf } from "./triggers";

type Preview = Schemas["PreviewRead"];
type Written = Trigger & { hook_secret: string | null };

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

function Form({ trigger, draft: first, etag }: { trigger?: Trigger; draft: Draft; etag: string | null }): JSX.Element {
  const url = useUrl();
  const place = `draft-${trigger?.id ?? "new"}`;
  const [before] = useState(first); // a reload of the trigger would be another one
  const [draft, setDraft] = useState<Draft>(() => stored(place, first));
  const [error, setError] = useState<Refused | null>(null);
  const [made, setMade] = useState<Written | null>(null);
  const type = trigger?.type ?? TYPES[draft.kind] ?? "scheduled";
  const faults = useFaults(draft, type);
  useEffect(() => {
    if (draft !== first) keep(place, draft); // a reload loses nothing
  }, [draft]);
  const change = (changes: Partial<Draft>): void => setDraft((old) => ({ ...old, ...changes }));
  const leave = (to: string): void => {
    sessionStorage.removeItem(place);
    url.go(to);
  };
  const refused = [...(error?.fields ?? [])].map(([pointer, detail]) => ({ pointer: pointer.replace(/^#/, ""), detail }));
  const faultsAt = (pointer: string): Fault[] => below(pointer, [...faults, ...refused]);
  const part: Part = { draft, change, faultsAt };

  const write = async (isTested: boolean): Promise<void> => {
    setError(null);
    try {
      const written = await send(trigger, before, draft, type, etag);
      if (isTested) await api.POST("/triggers/{trigger_id}/test", { params: { path: { trigger_id: written.id } } });
      tell(isTested ? "Saved, and a test event is on record." : "Saved.");
      sessionStorage.removeItem(place);
      if (written.hook_secret !== null) setMade(written);
      else url.go(`/triggers/${written.id}`);
    } catch (problem) {
      if (problem instanceof NotJson) {
        setError(new Refused(422, problem.message, "", new Map([[`#${problem.pointer}`, problem.message]]), null));
      } else if (problem instanceof Refused) {
        setError(problem);
      } else {
        throw problem;
      }
    }
  };
  const save = (isTested: boolean): void => {
    if (trigger?.set_name == null) return void write(isTested);
    ask({
      title: `${titleOf(trigger)} is from set ${trigger.set_name}`,
      detail: `The file of the set says how it should be. The next time that it is applied, this change is undone, unless the file says the same.`,
      verb: "Save anyway",
      act: () => write(isTested),
    });
  };

  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        save(event.submitter?.getAttribute("value") === "test");
      }}
    >
      <header class="view">
        <h1>{trigger === undefined ? "New trigger" : `Edit ${titleOf(trigger)}`}</h1>
      </header>
      {trigger?.set_name != null && (
        <p class="away">
          <State mood="late">From set {trigger.set_name}: a change here is undone when its file is applied again.</State>
        </p>
      )}
      <div class="grid">
        <div>
          <section class="card">
            <label>
              Name
              <input value={draft.name} maxLength={200} onInput={(event) => change({ name: event.currentTarget.value })} />
            </label>
            <label>
              It fires
              <select value={draft.kind} onChange={(event) => change({ kind: event.currentTarget.value as Kind })}>
                {(Object.keys(KINDS) as Kind[])
                  .filter((kind) => trigger === undefined || kind === "other" || TYPES[kind] === trigger.type)
                  .map((kind) => (
                    <option key={kind} value={kind}>
                      {KINDS[kind]}
                    </option>
                  ))}
              </select>
            </label>
            <ScheduleFields {...part} />
            {TYPES[draft.kind] === "scheduled" && <LimitFields {...part} />}
            {(draft.kind === "api" || draft.kind === "heartbeat") && <HookFields {...part} />}
          </section>
          <section class="card">
            <CodeField
              label="Payload of each event, a JSON object"
              value={draft.payload}
              onChange={(payload) => change({ payload })}
              hint='{"report": "daily"}'
              faults={faultsAt("/payload")}
            />
            {draft.kind !== "other" && (
              <details class="more" open={draft.schema !== ""}>
                <summary>Schema that payloads must match</summary>
                <CodeField
                  label="JSON Schema"
                  value={draft.schema}
                  onChange={(schema) => change({ schema })}
                  hint='{"type": "object", "required": ["report"]}'
                  faults={faultsAt("/details/schema")}
                />
              </details>
            )}
          </section>
          <section class="card">
            <Destinations {...part} />
            <label>
              Tags, separated by commas
              <input value={draft.tags} onInput={(event) => change({ tags: event.currentTarget.value })} />
            </label>
            <Faults of={faultsAt("/tags")} />
            <label>
              Key, a name of your own for calls and files
              <input
                value={draft.key}
                pattern="[a-z0-9][a-z0-9._\-]{0,99}"
                placeholder="nightly-report"
                spellcheck={false}
                onInput={(event) => change({ key: event.currentTarget.value })}
              />
            </label>
            <Faults of={faultsAt("/key")} />
          </section>
        </div>
        <div class="beside">
          <section class="card" aria-live="polite">
            <h2>What happens</h2>
            {type === "api" && <p>Each call makes an event. The body of the call is merged into the payload.</p>}
            {type === "heartbeat" && (
              <p>
                It gets a URL to ping. The first ping starts it. One event says that a ping did not come in time, and one
                that the pings are back.
              </p>
            )}
            {type === "scheduled" && <Forecast draft={draft} {...(trigger === undefined ? {} : { trigger })} />}
          </section>
          {trigger !== undefined && <Changes trigger={trigger} before={before} draft={draft} type={type} />}
        </div>
      </div>
      {error !== null && <Problem error={error} />}
      {error?.status === 412 && (
        <p>Somebody else has changed it since you opened it. Reload the page to see how; your text stays.</p>
      )}
      <p class="buttons actions">
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
      {made !== null && <NewHook written={made} onClose={() => url.go(`/triggers/${made.id}`)} />}
    </form>
  );
}

/** Creates a trigger, or sends what has changed of one. */
async function send(
  trigger: Trigger | undefined,
  before: Draft,
  draft: Draft,
  type: string,
  etag: string | null,
): Promise<Written> {
  const body = bodyOf(draft, type);
  if (trigger === undefined) {
    const { data } = await api.POST("/triggers", { body: body as never });
    return data as Written;
  }
  const { data } = await api.PATCH("/triggers/{trigger_id}", {
    params: { path: { trigger_id: trigger.id } },
    body: patchOf(bodyOf(before, type), body) as never,
    headers: etag === null ? {} : { "If-Match": etag },
  });
  return { hook_secret: null, ...(data as Trigger) };
}

function stored(place: string, first: Draft): Draft {
  const text = sessionStorage.getItem(place);
  return text === null ? first : { ...first, ...(JSON.parse(text) as Partial<Draft>) };
}

function keep(place: string, draft: Draft): void {
  sessionStorage.setItem(place, JSON.stringify({ ...draft, hook: { ...draft.hook, secret: "" } }));
}

/** The faults at a pointer or below it, with what is left of their own. */
function below(pointer: string, faults: readonly Fault[]): Fault[] {
  return faults
    .filter((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`))
    .map((one) => ({ ...one, pointer: one.pointer.slice(pointer.length) }));
}

/** Asks while somebody types what the server would refuse; a plan of a set stores nothing. */
function useFaults(draft: Draft, type: string): Fault[] {
  const [faults, setFaults] = useState<Fault[]>([]);
  const isAsked = holds("triggers:write") && holds("destinations:write") && (draft.payload + draft.schema).trim() !== "";
  const text = isAsked ? JSON.stringify(draft) : "";
  useEffect(() => {
    if (!isAsked) return setFaults([]);
    const aborted = new AbortController();
    const timer = setTimeout(() => {
      void faultsOf(draft, type, aborted.signal).then((found) => {
        if (found !== null && !aborted.signal.aborted) setFaults(found);
      });
    }, 400);
    return () => {
      clearTimeout(timer);
      aborted.abort();
    };
  }, [text]);
  return faults;
}

/** What is wrong with payload and schema; null if that cannot be told now. */
async function faultsOf(draft: Draft, type: string, signal: AbortSignal): Promise<Fault[] | null> {
  try {
    const { key: _, name: __, tags: ___, ...body } = bodyOf({ ...draft, destinations: [] }, type);
    const spec = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
    await api.PUT("/sets/{name}", {
      params: { path: { name: DRAFT }, query: { dry_run: true } },
      body: { triggers: { [DRAFT]: spec } } as never,
      signal,
    });
    return [];
  } catch (error) {
    if (error instanceof NotJson) return []; // the editor marks it
    if (!(error instanceof Refused) || error.status !== 422) return null;
    const prefix = `#/triggers/${DRAFT}`;
    return [...error.fields]
      .filter(([pointer]) => pointer.startsWith(`${prefix}/payload`) || pointer.startsWith(`${prefix}/details/schema`))
      .map(([pointer, detail]) => ({ pointer: pointer.slice(prefix.length), detail }));
  }
}

const DRAFT = "draft-of-the-console";

/** Shows what is shown only once: the URL and the secret of a new hook. */
function NewHook({ written, onClose }: { written: Written; onClose: () => void }): JSX.Element {
  return (
    <Dialog title="The secret of the hook" onClose={onClose}>
      <p>Give both to the sender. The secret is not shown again.</p>
      {written.hook_url !== null && (
        <>
          <h3>URL</h3>
          <pre tabIndex={0}>{written.hook_url}</pre>
          <CopyButton text={written.hook_url} label="Copy the URL" />
        </>
      )}
      <h3>Secret</h3>
      <pre tabIndex={0}>{written.hook_secret}</pre>
      <CopyButton text={written.hook_secret ?? ""} label="Copy the secret" />
      <p class="buttons">
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </p>
    </Dialog>
  );
}

function Destinations({ draft, change, faultsAt }: Part): JSX.Element | null {
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
          <span class="url">{one.key ?? one.url}</span>
          {one.key !== null && <span class="quiet url">{one.url}</span>}
        </label>
      ))}
      <Faults of={faultsAt("/destinations")} />
    </fieldset>
  );
}

const later = (draft: Draft): string => {
  try {
    return JSON.stringify({ ...scheduleOf(draft), ...(TYPES[draft.kind] === "scheduled" ? limitsOf(draft) : {}) });
  } catch {
    return "{}";
  }
};

function usePreview(draft: Draft): ReturnType<typeof useQuery<{ preview: Preview; together: number }>> {
  const [asked, setAsked] = useState(() => later(draft));
  const wanted = later(draft);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(wanted), 250);
    return () => clearTimeout(timer);
  }, [wanted]);
  return useQuery(`forecast-${asked}`, async (signal) => {
    const { data } = await api.POST("/schedules/preview", { body: { details: JSON.parse(asked), count: 5 }, signal });
    const preview = data as Preview;
    const first = preview.instants[0];
    return { preview, together: first === undefined ? 0 : await plannedAt(first.at, signal) };
  });
}

/** The words, the next five instants and what daylight saving and other triggers do to them. */
function Forecast({ draft, trigger }: { draft: Draft; trigger?: Trigger }): JSX.Element {
  const found = usePreview(draft);
  return (
    <Shown of={found}>
      {({ preview, together }) => (
        <>
          <p>
            <strong>{preview.words}</strong>
          </p>
          {trigger !== undefined && (
            <NextInstant was={trigger.next_fire_at} becomes={trigger.status === "active" ? (preview.instants[0]?.at ?? null) : null} />
          )}
          {preview.warnings.map((warning) => (
            <p key={warning}>
              <State mood="late">{warning}</State>
            </p>
          ))}
          <Instants preview={preview} />
          {together >= 10 && (
            <p>
              <State mood="late">{together} triggers fire in the same minute; a spread parts them.</State>
            </p>
          )}
        </>
      )}
    </Shown>
  );
}

function NextInstant({ was, becomes }: { was: string | null; becomes: string | null }): JSX.Element | null {
  if (was === becomes) return null;
  return (
    <p>
      <State mood="late">The next instant changes:</State> <Instant at={was} exact /> → <Instant at={becomes} exact />
    </p>
  );
}

/** What saving would change, from what to what. */
function Changes(props: { trigger: Trigger; before: Draft; draft: Draft; type: string }): JSX.Element {
  const { before, draft, type } = props;
  let patch: Record<string, unknown>;
  try {
    patch = patchOf(bodyOf(before, type), bodyOf(draft, type));
  } catch {
    patch = {}; // a text that is not JSON yet
  }
  const [old, wanted] = [bodyOf(before, type), patch];
  const names = Object.keys(patch);
  return (
    <section class="card" aria-label="What changes">
      <h2>What changes</h2>
      {names.length === 0 ? (
        <p class="quiet">Nothing yet.</p>
      ) : (
        <dl class="changes">
          {names.map((name) => (
            <>
              <dt>{CHANGED[name] ?? name}</dt>
              <dd>
                {name === "details" ? <PartsOf old={old[name]} wanted={wanted[name]} /> : <FromTo old={old[name]} wanted={wanted[name]} />}
              </dd>
            </>
          ))}
        </dl>
      )}
    </section>
  );
}

const CHANGED: Record<string, string> = { details: "when", payload: "payload", on_completion: "at its end" };

function PartsOf({ old, wanted }: { old: unknown; wanted: unknown }): JSX.Element {
  const before = old as Record<string, unknown>;
  return (
    <>
      {Object.entries(wanted as Record<string, unknown>).map(([name, value]) => (
        <div key={name}>
          {name}: <FromTo old={before[name]} wanted={name === "hook" ? "changed" : value} />
        </div>
      ))}
    </>
  );
}

function FromTo({ old, wanted }: { old: unknown; wanted: unknown }): JSX.Element {
  return (
    <>
      <code>{brief(old)}</code> → <code>{brief(wanted)}</code>
    </>
  );
}

function brief(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

async function plannedAt(at: string, signal: AbortSignal): Promise<number> {
  const from = new Date(at);
  from.setSeconds(0, 0);
  const until = new Date(from.getTime() + 60_000).toISOString();
  const query = { from: from.toISOString(), until, step: "PT1M" as const };
  const { data } = await api.GET("/upcoming", { params: { query }, signal });
  return (data as Schemas["UpcomingRead"]).counts[0] ?? 0;
}
