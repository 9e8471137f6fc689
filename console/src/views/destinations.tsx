import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, Refused, api, holds, nextCursor, type Destination, type Schemas } from "../api/client";
import { Empty, Instant, Problem, Shown, State, count, type Mood } from "../parts/basics";
import { Dialog, ask, run, tell } from "../parts/dialog";
import { Choice, Pages, Table, type Column } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";

const PAGE = 50;

function moodOf(one: Destination): { mood: Mood; words: string } {
  if (one.status === "disabled") return { mood: "paused", words: `disabled: ${one.disabled_reason ?? ""}` };
  if (one.state === "open") return { mood: "bad", words: "fails, only probed" };
  if (one.state === "recovering") return { mood: "late", words: "recovering" };
  return { mood: "good", words: "works" };
}

const COLUMNS: readonly Column<Destination>[] = [
  {
    head: "State",
    cell: (row) => {
      const { mood, words } = moodOf(row);
      return <State mood={mood}>{words}</State>;
    },
  },
  { head: "Name", cell: (row) => <OpenLink row={row} /> },
  { head: "URL", cell: (row) => <span class="url">{row.url}</span> },
  { head: "Format", cell: (row) => row.format },
  { head: "Failures", class: "number", cell: (row) => count(row.failures) },
];

function OpenLink({ row }: { row: Destination }): JSX.Element {
  const url = useUrl();
  return (
    <button type="button" class="plain" onClick={() => url.set({ open: String(row.id) })}>
      {row.key ?? row.description ?? `destination ${row.id}`}
    </button>
  );
}

export function DestinationsView(): JSX.Element {
  const url = useUrl();
  const [isAdding, setAdding] = useState(false);
  const names = ["status", "state", "cursor"];
  const query = Object.fromEntries(names.map((name) => [name, url.get(name)]).filter(([, value]) => value !== ""));
  const page = useQuery(
    `destinations?${new URLSearchParams(query as Record<string, string>)}`,
    async (signal) => {
      const { data, response } = await api.GET("/destinations", {
        params: { query: { limit: PAGE, ...query } as never },
        signal,
      });
      return { rows: data as Destination[], next: nextCursor(response) };
    },
    10,
  );
  const open = Number(url.get("open"));
  return (
    <>
      <header class="view">
        <h1>Destinations</h1>
        {holds("destinations:write") && (
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            New destination
          </button>
        )}
      </header>
      <div class="filters">
        <Choice
          name="state"
          label="Breaker"
          options={[
            ["", "any"],
            ["closed", "works"],
            ["open", "fails"],
            ["recovering", "recovering"],
          ]}
        />
        <Choice
          name="status"
          label="Status"
          options={[
            ["", "any"],
            ["enabled", "enabled"],
            ["disabled", "disabled"],
          ]}
        />
      </div>
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty
              curl={`curl ${location.origin}/destinations -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"url": "https://example.com/hook", "key": "crm"}'`}
            >
              <p>A destination is a URL that events are posted to, signed, and again until it answers.</p>
            </Empty>
          ) : (
            <>
              <Table
                label="Destinations"
                rows={rows}
                id={(row) => row.id}
                columns={COLUMNS}
                onOpen={(row) => url.set({ open: String(row.id) })}
              />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
      {isAdding && (
        <Adding
          onClose={() => setAdding(false)}
          onMade={() => {
            setAdding(false);
            page.reload();
          }}
        />
      )}
      {open > 0 && <Drawer key={open} id={open} onClose={() => url.set({ open: "" })} onChange={page.reload} />}
    </>
  );
}

function Adding({ onClose, onMade }: { onClose: () => void; onMade: () => void }): JSX.Element {
  const [error, setError] = useState<Refused | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const key = String(form.get("key"));
    try {
      const { data } = await api.POST("/destinations", {
        body: { url: String(form.get("url")), ...(key === "" ? {} : { key }), format: String(form.get("format")) } as never,
      });
      setSecret((data as { secret: string | null }).secret);
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    }
  };
  if (secret !== null) {
    return (
      <Dialog title="The secret that signs" onClose={onMade}>
        <p>The receiver verifies with it that a call comes from here (Standard Webhooks).</p>
        <pre tabIndex={0}>{secret}</pre>
        <button type="button" class="primary" onClick={onMade}>
          Done
        </button>
      </Dialog>
    );
  }
  return (
    <Dialog title="New destination" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          URL
          <input name="url" type="url" required placeholder="https://example.com/hook" />
        </label>
        <label>
          Key, a name of your own
          <input name="key" pattern="[a-z0-9][a-z0-9._-]{0,99}" placeholder="crm" />
        </label>
        <label>
          Format
          <select name="format">
            <option value="cloudevents">CloudEvents</option>
            <option value="cloudevents_binary">CloudEvents, binary</option>
            <option value="payload">the payload alone</option>
          </select>
        </label>
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary">
          Save
        </button>
      </form>
    </Dialog>
  );
}

function Drawer({ id, onClose, onChange }: { id: number; onClose: () => void; onChange: () => void }): JSX.Element {
  const path = { destination_id: id };
  const [attempt, setAttempt] = useState<Schemas["AttemptRead"] | null>(null);
  const found = useQuery(
    `destination-${id}`,
    async (signal) => {
      const { data } = await api.GET("/destinations/{destination_id}", { params: { path }, signal });
      return data as Destination;
    },
    5,
  );
  const turn = (one: Destination): void =>
    void run(async () => {
      const isDisabled = one.status === "disabled";
      if (isDisabled) await api.POST("/destinations/{destination_id}/enable", { params: { path } });
      else await api.POST("/destinations/{destination_id}/disable", { params: { path } });
      found.reload();
      onChange();
      return isDisabled ? "Enabled." : "Disabled: its deliveries wait.";
    });
  const test = (): void =>
    void run(async () => {
      const { data } = await api.POST("/destinations/{destination_id}/test", { params: { path } });
      setAttempt(data as Schemas["AttemptRead"]);
      return "A sample was sent.";
    });
  const remove = (one: Destination): void =>
    ask({
      title: `Delete ${one.key ?? one.url}`,
      detail: "What still waits for it is not sent any more.",
      verb: "Delete",
      typed: one.key ?? String(one.id),
      act: async () => {
        await api.DELETE("/destinations/{destination_id}", { params: { path } });
        tell("The destination is deleted.");
        onClose();
        onChange();
      },
    });
  return (
    <Dialog title={`Destination ${id}`} onClose={onClose} side>
      <Shown of={found}>
        {(one) => (
          <>
            <p>
              <State mood={moodOf(one).mood}>{moodOf(one).words}</State> <span class="url">{one.url}</span>
            </p>
            <dl>
              <dt>Format</dt>
              <dd>
                {one.method} {one.format}
              </dd>
              <dt>At most</dt>
              <dd>
                {one.max_concurrency} at once{one.rate_limit !== null && `, ${one.rate_limit} a second`}, {one.timeout} s each
              </dd>
              {one.held_until !== null && (
                <>
                  <dt>Held until</dt>
                  <dd>
                    <Instant at={one.held_until} exact />
                  </dd>
                </>
              )}
              <dt>Changed</dt>
              <dd>
                <Instant at={one.updated_at} exact />
              </dd>
            </dl>
            <p>
              <a href={`${HOME}/deliveries?destination_id=${one.id}`}>Deliveries</a> ·{" "}
              <a href={`${HOME}/deliveries?destination_id=${one.id}&status=exhausted`}>exhausted ones</a>
            </p>
            {holds("destinations:write") && (
              <p class="buttons">
                <button type="button" onClick={test}>
                  Send a sample
                </button>
                <button type="button" onClick={() => turn(one)}>
                  {one.status === "disabled" ? "Enable" : "Disable"}
                </button>
                <button type="button" class="danger" onClick={() => remove(one)}>
                  Delete
                </button>
              </p>
            )}
            {attempt !== null && (
              <section class="card">
                <h3>The sample</h3>
                <p>
                  <State mood={attempt.error === null ? "good" : "bad"}>
                    {attempt.status_code ?? attempt.error?.replaceAll("_", " ")}
                  </State>
                  {attempt.duration_ms !== null && ` in ${Math.round(attempt.duration_ms)} ms`}
                </p>
                {attempt.response !== null && <pre tabIndex={0}>{attempt.response}</pre>}
              </section>
            )}
          </>
        )}
      </Shown>
    </Dialog>
  );
}
