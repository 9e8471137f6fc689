// The guided first start: makes a trigger, fires it, and shows its event arrive.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, holds, type Trigger } from "../api/client";
import { CopyButton, Empty, State } from "../parts/basics";
import { Field, Form, Select, useDraft } from "../parts/forms";
import { curlOf } from "./lists";
import { LiveEvents } from "./live";

const PLACE = "draft/first-steps";

/** Tells whether somebody is in the middle of it, also after a reload. */
export function isGuided(): boolean {
  const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "{}") as { triggerId?: number };
  return (kept.triggerId ?? 0) > 0;
}

const WHEN = {
  minute: { words: "every minute", details: { interval: "PT1M", recurring: true } },
  work: {
    words: "on work days at 9:00",
    details: { cron: "0 9 * * 1-5", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone },
  },
  call: { words: "only when it is called", details: null },
} as const;
type When = keyof typeof WHEN;

export function FirstSteps({ onDone }: { onDone: () => void }): JSX.Element {
  const [fields, change, forget] = useDraft("first-steps", {
    name: "My first trigger",
    when: "minute" as When,
    triggerId: 0,
    eventId: 0,
  });
  const [isFiring, setFiring] = useState(false);
  if (!holds("triggers:write")) {
    return <Empty>There is no trigger in this project yet. Somebody with the scope triggers:write makes the first one.</Empty>;
  }
  const make = async (): Promise<void> => {
    const { details } = WHEN[fields.when];
    const body = {
      name: fields.name,
      payload: { hello: "world" },
      ...(details === null ? { type: "api" } : { type: "scheduled", details }),
    };
    const { data } = await api.POST("/triggers", { body: body as never });
    change({ triggerId: (data as Trigger).id });
  };
  const fire = async (): Promise<void> => {
    setFiring(true);
    const path = { trigger_id: fields.triggerId };
    const { response } = await api.POST("/triggers/{trigger_id}/trigger", { params: { path } });
    change({ eventId: Number(response.headers.get("event-id")) });
    setFiring(false);
  };
  const [isMade, isFired] = [fields.triggerId > 0, fields.eventId > 0];
  return (
    <section class="card guide" aria-label="First steps">
      <h2>See an event arrive</h2>
      <p class="quiet">
        A trigger fires by a schedule or when it is called. Each firing is an event, on record exactly once.
      </p>
      <ol>
        <Step title="Make the first trigger" isDone={isMade} isNow={!isMade}>
          {isMade ? (
            <a href={`${HOME}/triggers/${fields.triggerId}`}>{fields.name}</a>
          ) : (
            <Form verb="Make it" send={make}>
              <Field label="Name" value={fields.name} required maxLength={200} onChange={(name) => change({ name })} />
              <Select
                label="It fires"
                value={fields.when}
                options={Object.entries(WHEN).map(([when, { words }]) => [when, words] as const)}
                onChange={(when) => change({ when: when as When })}
              />
            </Form>
          )}
        </Step>
        <Step title="Fire it now" isDone={isFired} isNow={isMade && !isFired}>
          {isFired ? (
            <>
              by hand; its schedule goes on as planned. <CopyButton text={curlOf("POST", `/triggers/${fields.triggerId}/trigger`)} label="Copy as curl" />
            </>
          ) : (
            isMade && <Form verb={isFiring ? "Firing…" : "Fire it"} send={fire}>{null}</Form>
          )}
        </Step>
        <Step title="Its event arrives" isDone={isFired} isNow={false}>
          {isMade && <LiveEvents rows={5} query={`trigger_id=${fields.triggerId}`} />}
          {isFired && (
            <p>
              <State mood="good">
                <a href={`${HOME}/events?open=${fields.eventId}`}>Event {fields.eventId}</a> is on record, with its payload.
              </State>
            </p>
          )}
        </Step>
      </ol>
      {isFired ? (
        <>
          <p>
            Then: <a href={`${HOME}/destinations`}>send events to a webhook or a mail address</a>,{" "}
            <a href={`${HOME}/members`}>invite your team</a>, or <a href={`${HOME}/keys`}>make a key for a machine</a>.
          </p>
          <p>
            <button
              type="button"
              class="primary"
              onClick={() => {
                forget();
                onDone();
              }}
            >
              To the overview
            </button>
          </p>
        </>
      ) : (
        <p class="quiet">
          Or <a href={`${HOME}/triggers/new`}>choose everything yourself</a>.
        </p>
      )}
    </section>
  );
}

function Step({
  title,
  isDone,
  isNow,
  children,
}: {
  title: string;
  isDone: boolean;
  isNow: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <li class={isDone || isNow ? "" : "quiet"} aria-current={isNow ? "step" : undefined}>
      <h3>
        {isDone ? <State mood="good">{title}</State> : title}
      </h3>
      {children}
    </li>
  );
}
