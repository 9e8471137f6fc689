// The form of a destination: where events go and as what, with the request that a sample becomes.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Refused, api, type Destination, type Schemas } from "../api/client";
import { CopyButton, Problem, State } from "../parts/basics";
import { CodeField, Faults, type Fault } from "../parts/code";
import { Dialog } from "../parts/dialog";
import { patchOf } from "./draft";
import { Verification } from "./verification";

type Format = Schemas["DestinationFormat"];
type Method = Schemas["DestinationMethod"];
type Notice = Schemas["NoticeKind"];
type Written = Destination & { secret: string | null; warnings?: string[] }; // a new one has none

const FORMATS: Record<Format, string> = {
  cloudevents: "CloudEvents",
  cloudevents_binary: "CloudEvents, its attributes as headers",
  payload: "the payload alone",
  template: "what a template makes of it",
};
const METHODS: readonly Method[] = ["POST", "PUT", "PATCH", "GET", "DELETE"];
const NOTICES: Record<Notice, string> = {
  "destination.opened": "a destination fails",
  "destination.closed": "it works again",
  "destination.disabled": "it was disabled",
  "delivery.exhausted": "a delivery has failed for good",
  "trigger.set_aside": "a trigger was set aside",
  "instants.missed": "instants were missed",
  "trigger.silent": "a heartbeat is silent",
  "key.expiring": "an API key expires soon",
  "backlog.full": "too much waits to be delivered",
};

interface HeaderRow {
  name: string;
  value: string; // empty: the one that is stored
  isStored: boolean;
}

interface Draft {
  url: string;
  key: string;
  description: string;
  format: Format;
  method: Method;
  template: string;
  content_type: string;
  subject: string;
  headers: HeaderRow[];
  timeout: string;
  rate_limit: string;
  max_concurrency: string;
  notices: Notice[];
}

function draftOf(one: Destination | undefined): Draft {
  return {
    url: one?.url ?? "",
    key: one?.key ?? "",
    description: one?.description ?? "",
    format: one?.format ?? "cloudevents",
    method: one?.method ?? "POST",
    template: one?.template ?? "",
    content_type: one?.content_type ?? "",
    subject: one?.subject ?? "",
    headers: Object.keys(one?.headers ?? {}).map((name) => ({ name, value: "", isStored: true })),
    timeout: String(one?.timeout ?? 15),
    rate_limit: one?.rate_limit == null ? "" : String(one.rate_limit),
    max_concurrency: String(one?.max_concurrency ?? 10),
    notices: one?.notices ?? [],
  };
}

const orNull = (text: string): string | null => (text === "" ? null : text);

/** What the API takes, but for headers. */
function fieldsOf(draft: Draft): Record<string, unknown> {
  const isMail = draft.url.startsWith("mailto:");
  const isTemplate = draft.format === "template";
  return {
    url: draft.url,
    key: orNull(draft.key),
    description: orNull(draft.description),
    format: draft.format,
    ...(isMail ? { subject: orNull(draft.subject) } : { method: draft.method }),
    template: isTemplate ? orNull(draft.template) : null,
    ...(isMail ? {} : { content_type: isTemplate ? orNull(draft.content_type) : null }),
    timeout: Number(draft.timeout),
    rate_limit: draft.rate_limit === "" ? null : Number(draft.rate_limit),
    max_concurrency: Number(draft.max_concurrency),
    notices: draft.notices,
  };
}

/** The headers that were written, and null for those that were taken away. */
function headersOf(before: Draft, draft: Draft): Record<string, string | null> {
  const names = new Set(draft.headers.map(({ name }) => name));
  const gone = before.headers.filter(({ name }) => !names.has(name)).map(({ name }) => [name, null] as const);
  const given = draft.headers.filter(({ name, value }) => name !== "" && value !== "").map(({ name, value }) => [name, value] as const);
  return Object.fromEntries([...gone, ...given]);
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : "");

export function DestinationForm(props: {
  destination?: Destination;
  etag?: string | null;
  onClose: () => void;
  onSaved: () => void;
}): JSX.Element {
  const { destination, etag, onClose, onSaved } = props;
  const [before] = useState(() => draftOf(destination));
  const [draft, setDraft] = useState(before);
  const [error, setError] = useState<Refused | null>(null);
  const [written, setWritten] = useState<Written | null>(null);
  const change = (changes: Partial<Draft>): void => setDraft((old) => ({ ...old, ...changes }));
  const rendered = useRendered(destination, draft);
  const faultsAt = (name: string): Fault[] =>
    [...(error?.fields ?? []), ...rendered.faults]
      .filter(([pointer]) => pointer === `#/${name}` || pointer.startsWith(`#/${name}/`))
      .map(([pointer, detail]) => ({ pointer: pointer.slice(name.length + 2), detail }));
  const save = async (): Promise<void> => {
    setError(null);
    try {
      const saved = await send(destination, etag ?? null, before, draft);
      if (saved.secret === null && (saved.warnings ?? []).length === 0) onSaved();
      else setWritten(saved);
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    }
  };
  if (written !== null) return <Saved written={written} onClose={onSaved} />;
  const isMail = draft.url.startsWith("mailto:");
  const moves = destination !== undefined && originOf(draft.url) !== originOf(destination.url);
  const text = (name: "url" | "key" | "description" | "content_type" | "subject", words: string, hint = ""): JSX.Element => (
    <>
      <label>
        {words}
        <input
          value={draft[name]}
          placeholder={hint}
          required={name === "url"}
          spellcheck={false}
          onInput={(event) => change({ [name]: event.currentTarget.value })}
        />
      </label>
      <Faults of={faultsAt(name)} />
    </>
  );
  const number = (name: "timeout" | "rate_limit" | "max_concurrency", words: string, least: number, most: number): JSX.Element => (
    <label>
      {words}
      <input
        type="number"
        min={least}
        max={most}
        step="any"
        value={draft[name]}
        onInput={(event) => change({ [name]: event.currentTarget.value })}
      />
      <Faults of={faultsAt(name)} />
    </label>
  );
  return (
    <Dialog title={destination === undefined ? "New destination" : `Edit ${destination.key ?? "destination"}`} onClose={onClose} side>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        {text("url", "URL", "https://example.com/hook")}
        {moves && (
          <p>
            <State mood="late">At another origin it gets a new secret, and header values have to be written again.</State>
          </p>
        )}
        {text("key", "Key, a name of your own", "crm")}
        {text("description", "Description")}
        <div class="repeats">
          <label>
            Format
            <select value={draft.format} onChange={(event) => change({ format: event.currentTarget.value as Format })}>
              {(Object.keys(FORMATS) as Format[]).map((one) => (
                <option key={one} value={one}>
                  {FORMATS[one]}
                </option>
              ))}
            </select>
          </label>
          {!isMail && (
            <label>
              Method
              <select value={draft.method} onChange={(event) => change({ method: event.currentTarget.value as Method })}>
                {METHODS.map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            </label>
          )}
        </div>
        <Faults of={faultsAt("format")} />
        <Faults of={faultsAt("method")} />
        {isMail && text("subject", "Subject, a template", "{{ event.trigger.name }}")}
        {draft.format === "template" && (
          <>
            <CodeField
              label="Template (Liquid), over event and data"
              language="liquid"
              value={draft.template}
              onChange={(template) => change({ template })}
              hint={'{"text": {{ data.message | json }}}'}
              faults={faultsAt("template")}
            />
            {!isMail && text("content_type", "Content type (application/json, if empty)", "text/plain")}
          </>
        )}
        <Sample rendered={rendered} />
        {!isMail && <Headers rows={draft.headers} onChange={(headers) => change({ headers })} faults={faultsAt("headers")} />}
        <details class="more">
          <summary>Limits and notices</summary>
          <div class="repeats">
            {number("timeout", "Seconds for an attempt", 1, 30)}
            {number("rate_limit", "At most so many a second", 0.01, 10_000)}
            {number("max_concurrency", "At most at once", 1, 100)}
          </div>
          <fieldset>
            <legend>It also hears when</legend>
            {(Object.keys(NOTICES) as Notice[]).map((one) => (
              <label key={one} class="check">
                <input
                  type="checkbox"
                  checked={draft.notices.includes(one)}
                  onChange={(event) =>
                    change({
                      notices: event.currentTarget.checked ? [...draft.notices, one] : draft.notices.filter((other) => other !== one),
                    })
                  }
                />
                {NOTICES[one]}
              </label>
            ))}
          </fieldset>
        </details>
        {error !== null && <Problem error={error} />}
        <p class="buttons actions">
          <button type="submit" class="primary">
            Save
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}

async function send(destination: Destination | undefined, etag: string | null, before: Draft, draft: Draft): Promise<Written> {
  const headers = headersOf(before, draft);
  const withHeaders = Object.keys(headers).length === 0 ? {} : { headers };
  if (destination === undefined) {
    const given = Object.entries(fieldsOf(draft)).filter(([, value]) => value !== null);
    const { data } = await api.POST("/destinations", { body: { ...Object.fromEntries(given), ...withHeaders } as never });
    return data as Written;
  }
  const { data } = await api.PATCH("/destinations/{destination_id}", {
    params: { path: { destination_id: destination.id } },
    body: { ...patchOf(fieldsOf(before), fieldsOf(draft)), ...withHeaders } as never,
    headers: etag === null ? {} : { "If-Match": etag },
  });
  return data as Written;
}

/** Names are shown, values are not: an empty value leaves the stored one as it is. */
function Headers(props: { rows: HeaderRow[]; onChange: (rows: HeaderRow[]) => void; faults: readonly Fault[] }): JSX.Element {
  const { rows, onChange, faults } = props;
  const set = (index: number, changes: Partial<HeaderRow>): void =>
    onChange(rows.map((row, place) => (place === index ? { ...row, ...changes } : row)));
  return (
    <fieldset class="headers">
      <legend>Headers</legend>
      {rows.map((row, index) => (
        <div key={index} class="header-row">
          <input
            class="code"
            aria-label={`Name of header ${index + 1}`}
            value={row.name}
            placeholder="Authorization"
            readOnly={row.isStored}
            onInput={(event) => set(index, { name: event.currentTarget.value })}
          />
          <input
            class="code"
            type="password"
            autocomplete="off"
            aria-label={`Value of header ${index + 1}`}
            value={row.value}
            placeholder={row.isStored ? "stored, and not shown" : "value"}
            onInput={(event) => set(index, { value: event.currentTarget.value })}
          />
          <button
            type="button"
            class="plain"
            aria-label={`Remove header ${row.name}`}
            onClick={() => onChange(rows.filter((_, place) => place !== index))}
          >
            ✕
          </button>
        </div>
      ))}
      <button type="button" class="plain" onClick={() => onChange([...rows, { name: "", value: "", isStored: false }])}>
        Add a header
      </button>
      <Faults of={faults} />
    </fieldset>
  );
}

interface RenderedSample {
  data: string;
  setData: (text: string) => void;
  request: Schemas["RenderedRequest"] | null;
  faults: [string, string][];
}

/** Asks what would be sent for a sample, while somebody types. */
function useRendered(destination: Destination | undefined, draft: Draft): RenderedSample {
  const [data, setData] = useState('{"message": "Backup done"}');
  const [request, setRequest] = useState<Schemas["RenderedRequest"] | null>(null);
  const [faults, setFaults] = useState<[string, string][]>([]);
  const { url, format, method, template } = fieldsOf(draft);
  const isReady = url !== "" && (format !== "template" || template !== null);
  const asked = JSON.stringify({
    ...(destination === undefined ? {} : { destination: destination.id }),
    ...{ url, format },
    ...(method === undefined ? {} : { method }),
    ...(format === "template" ? { template, ...(draft.content_type === "" || method === undefined ? {} : { content_type: draft.content_type }) } : {}),
    ...(method === undefined && draft.subject !== "" ? { subject: draft.subject } : {}),
  });
  useEffect(() => {
    if (!isReady) return setRequest(null);
    const aborted = new AbortController();
    const timer = setTimeout(() => {
      let sample: unknown;
      try {
        sample = JSON.parse(data);
      } catch {
        return; // the editor marks it
      }
      api
        .POST("/destinations/render", { body: { ...JSON.parse(asked), data: sample } as never, signal: aborted.signal })
        .then(({ data: found }) => {
          setRequest(found as Schemas["RenderedRequest"]);
          setFaults([]);
        })
        .catch((error: unknown) => {
          if (aborted.signal.aborted || !(error instanceof Refused)) return;
          setRequest(null);
          setFaults([...error.fields]);
        });
    }, 400);
    return () => {
      clearTimeout(timer);
      aborted.abort();
    };
  }, [asked, data, isReady]);
  return { data, setData, request, faults };
}

function Sample({ rendered: { data, setData, request } }: { rendered: RenderedSample }): JSX.Element {
  return (
    <details class="more" open>
      <summary>A sample, as it would be sent</summary>
      <CodeField label="Payload of the sample" value={data} onChange={setData} />
      {request === null ? (
        <p class="quiet">Nothing to show yet.</p>
      ) : (
        <pre tabIndex={0} aria-label="The request">
          {[
            `${request.method ?? "mail to"} ${request.url}`,
            ...Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`),
            ...(request.body === null ? [] : ["", request.body]),
          ].join("\n")}
        </pre>
      )}
    </details>
  );
}

function Saved({ written, onClose }: { written: Written; onClose: () => void }): JSX.Element {
  return (
    <Dialog title={written.secret === null ? "Saved" : "The secret that signs"} onClose={onClose} side>
      {(written.warnings ?? []).map((warning) => (
        <p key={warning}>
          <State mood="late">{warning}</State>
        </p>
      ))}
      {written.secret !== null && (
        <>
          <p>The receiver verifies with it that a call comes from here (Standard Webhooks).</p>
          <pre tabIndex={0}>{written.secret}</pre>
          <CopyButton text={written.secret} label="Copy the secret" />
          <Verification />
        </>
      )}
      <p class="buttons actions">
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </p>
    </Dialog>
  );
}
