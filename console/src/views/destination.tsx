// One destination at the side: how it does, what waits for it, and what can be done about it.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, holds, type Destination, type Schemas } from "../api/client";
import { CopyButton, Instant, Shown, State, count } from "../parts/basics";
import { Dialog, ask, run, tell } from "../parts/dialog";
import { Rates, readStats } from "../parts/stats";
import { useQuery } from "../query";
import { DestinationForm } from "./destination_form";
import { destinationMood } from "./destinations";
import { Verification } from "./verification";

type Stats = Schemas["StatsRead"];
const MOST_COUNTED = 100; // of what waits

export function DestinationDrawer({ id, onClose, onChange }: { id: number; onClose: () => void; onChange: () => void }): JSX.Element {
  const path = { destination_id: id };
  const [attempt, setAttempt] = useState<Schemas["AttemptRead"] | null>(null);
  const [isEditing, setEditing] = useState(false);
  const [isVerifying, setVerifying] = useState(false);
  const [secret, setSecret] = useState<{ text: string; until: string | null } | null>(null);
  const found = useQuery(
    `destination-${id}`,
    async (signal) => {
      const { data, response } = await api.GET("/destinations/{destination_id}", { params: { path }, signal });
      return { one: data as Destination, etag: response.headers.get("etag") };
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
  const rotate = (): void =>
    ask({
      title: "Replace the secret",
      detail: "The receiver needs the new one within 24 hours: until then, both sign each delivery.",
      verb: "Replace",
      act: async () => {
        const { data } = await api.POST("/destinations/{destination_id}/rotate-secret", { params: { path } });
        setSecret({ text: data?.secret ?? "", until: data?.previous_secret_until ?? null });
        setVerifying(true);
      },
    });
  const show = (): void =>
    void run(async () => {
      const { data } = await api.GET("/destinations/{destination_id}/secret", { params: { path } });
      setSecret({ text: data?.secret ?? "", until: data?.previous_secret_until ?? null });
      return "The secret is shown; the audit log has it that you have read it.";
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
  if (isEditing && found.data !== null) {
    return (
      <DestinationForm
        destination={found.data.one}
        etag={found.data.etag}
        onClose={() => setEditing(false)}
        onSaved={() => {
          setEditing(false);
          found.reload();
          onChange();
        }}
      />
    );
  }
  return (
    <Dialog title={found.data?.one.key ?? `Destination ${id}`} onClose={onClose} side>
      <Shown of={found}>
        {({ one }) => (
          <>
            <p>
              <State mood={destinationMood(one).mood}>{destinationMood(one).words}</State> <span class="url">{one.url}</span>
            </p>
            {one.description !== null && <p>{one.description}</p>}
            {holds("destinations:write") && (
              <p class="buttons">
                <button type="button" class="primary" onClick={test}>
                  Send a sample
                </button>
                <button type="button" onClick={() => setEditing(true)}>
                  Edit
                </button>
                <button type="button" onClick={() => turn(one)}>
                  {one.status === "disabled" ? "Enable" : "Disable"}
                </button>
                <button type="button" class="danger" onClick={() => remove(one)}>
                  Delete
                </button>
              </p>
            )}
            {attempt !== null && <Answer attempt={attempt} />}
            <Health id={one.id} />
            <dl>
              <dt>Format</dt>
              <dd>
                {one.method} {one.format.replaceAll("_", " ")}
              </dd>
              {one.template !== null && (
                <>
                  <dt>Template</dt>
                  <dd>
                    <pre tabIndex={0}>{one.template}</pre>
                  </dd>
                </>
              )}
              {Object.keys(one.headers).length > 0 && (
                <>
                  <dt>Headers</dt>
                  <dd>{Object.keys(one.headers).join(", ")} (values are not shown)</dd>
                </>
              )}
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
              {one.notices.length > 0 && (
                <>
                  <dt>Hears of</dt>
                  <dd>{one.notices.join(", ")}</dd>
                </>
              )}
              <dt>Changed</dt>
              <dd>
                <Instant at={one.updated_at} exact />
              </dd>
            </dl>
            {!one.url.startsWith("mailto:") && (
              <section class="card" aria-label="Secret">
                <h3>Secret</h3>
                <p class="buttons">
                  {holds("destinations:write") && (
                    <>
                      <button type="button" onClick={show}>
                        Show
                      </button>
                      <button type="button" onClick={rotate}>
                        Replace
                      </button>
                    </>
                  )}
                  <button type="button" aria-expanded={isVerifying} onClick={() => setVerifying(!isVerifying)}>
                    How to verify
                  </button>
                </p>
                {secret !== null && (
                  <>
                    <pre tabIndex={0}>{secret.text}</pre>
                    <CopyButton text={secret.text} label="Copy the secret" />
                    {secret.until !== null && (
                      <p>
                        The one before signs as well until <Instant at={secret.until} exact />.
                      </p>
                    )}
                  </>
                )}
                {isVerifying && <Verification />}
              </section>
            )}
            {holds("events:read") && <Rates about={{ destination_id: one.id }} />}
          </>
        )}
      </Shown>
    </Dialog>
  );
}

function Answer({ attempt }: { attempt: Schemas["AttemptRead"] }): JSX.Element {
  return (
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
  );
}

/** The last day in numbers: how many attempts were right, how long they took, how others ended, what waits. */
function Health({ id }: { id: number }): JSX.Element {
  const about = { destination_id: id };
  const found = useQuery(
    `health-${id}`,
    async (signal) => {
      const query = { ...about, status: ["pending", "retrying"] as const, limit: MOST_COUNTED };
      const waiting = await api.GET("/deliveries", { params: { query: query as never }, signal });
      const known = { waiting: (waiting.data ?? []).length, outcomes: null, times: null };
      if (!holds("events:read")) return known;
      const outcomes = await readStats({ ...about, measure: "attempts", by: "outcome" }, signal);
      const times = await readStats({ ...about, measure: "duration_ms" }, signal);
      return { ...known, outcomes: sumsOf(outcomes), times: newestOf(times, "p95") };
    },
    15,
  );
  return (
    <Shown of={found}>
      {({ waiting, outcomes, times }) => (
        <dl class="numbers">
          {outcomes !== null && (
            <div>
              <dt>Success, 24 h</dt>
              <dd>{shareOf(outcomes)}</dd>
            </div>
          )}
          {times !== null && (
            <div>
              <dt>p95</dt>
              <dd>{count(Math.round(times))} ms</dd>
            </div>
          )}
          <div>
            <dt>Waiting</dt>
            <dd>
              <a href={`${HOME}/deliveries?destination_id=${id}`}>{waiting === MOST_COUNTED ? `${waiting} or more` : waiting}</a>
            </dd>
          </div>
          {(outcomes ?? []).map(([outcome, number]) => (
            <div key={outcome}>
              <dt>
                <State mood={outcome === "delivered" ? "good" : "bad"}>{outcome.replaceAll("_", " ")}</State>
              </dt>
              <dd>
                <a href={`${HOME}/deliveries?destination_id=${id}&${outcome === "delivered" ? "status" : "error"}=${outcome}`}>{count(number)}</a>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Shown>
  );
}

const sumsOf = ({ series }: Stats): [string, number][] =>
  series.map(({ key, values }) => [key, values.reduce<number>((total, value) => total + (value ?? 0), 0)]);

const newestOf = ({ series }: Stats, key: string): number | null =>
  series.find((one) => one.key === key)?.values.findLast((value) => value !== null) ?? null;

function shareOf(outcomes: readonly [string, number][]): string {
  const all = outcomes.reduce((total, [, number]) => total + number, 0);
  const right = outcomes.find(([outcome]) => outcome === "delivered")?.[1] ?? 0;
  if (all === 0) return "no attempts";
  return `${(Math.floor((right / all) * 1000) / 10).toLocaleString("en")} % of ${count(all)}`; // 100 only if all
}
