// One event at the side: its payload, where it came from, its deliveries, a replay, and another firing.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, Refused, api, holds, me, type Delivery, type Destination, type Event } from "../api/client";
import { useKeys } from "../keys";
import { CopyButton, Instant, Shown, State, count } from "../parts/basics";
import { Dialog, run, tell } from "../parts/dialog";
import { FormDialog, useDraft } from "../parts/forms";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { deliveryMood } from "./deliveries";
import { usePeople } from "./lists";

export function EventLink({ id }: { id: number }): JSX.Element {
  const url = useUrl();
  return (
    <button type="button" class="plain" onClick={() => url.set({ open: String(id) })}>
      {id}
    </button>
  );
}

export function EventDrawer({ id, onClose }: { id: number; onClose: () => void }): JSX.Element {
  const url = useUrl();
  const [isEditing, setEditing] = useState(false);
  const found = useQuery(
    `event-${id}`,
    async (signal) => {
      const path = { event_id: id };
      const [event, deliveries] = await Promise.all([
        api.GET("/events/{event_id}", { params: { path }, signal }),
        holds("destinations:read")
          ? api.GET("/deliveries", { params: { query: { event_id: id } }, signal })
          : { data: [] as Delivery[] },
      ]);
      return { event: event.data as Event, deliveries: deliveries.data as Delivery[] };
    },
    5,
  );
  const names = useDestinationNames();
  const openMade = (response: Response): string => {
    const made = response.headers.get("location")?.split("/").pop() ?? "";
    if (made !== "") url.set({ open: made });
    return made;
  };
  const replay = (): void =>
    void run(async () => {
      const { response } = await api.POST("/events/{event_id}/replay", { params: { path: { event_id: id } } });
      return `Event ${openMade(response)} has the same payload.`;
    });
  useKeys(holds("triggers:fire") ? { r: replay } : {}, true);
  return (
    <Dialog title={`Event ${id}`} onClose={onClose} side>
      <Shown of={found}>
        {({ event, deliveries }) => (
          <>
            <p>
              <a href={`${HOME}/triggers/${event.trigger_id}`}>
                {event.trigger_name ?? event.trigger_key ?? `Trigger ${event.trigger_id}`}
              </a>{" "}
              {event.is_test && <span class="badge">test</span>} <span class="badge">{event.state}</span>
            </p>
            <Facts of={event} />
            <p class="buttons">
              {holds("triggers:fire") && (
                <>
                  <button type="button" onClick={replay}>
                    Replay <kbd>r</kbd>
                  </button>
                  <button type="button" onClick={() => setEditing(true)}>
                    Edit &amp; fire
                  </button>
                </>
              )}
              <CopyButton text={JSON.stringify(event, null, 2)} label="Copy as JSON" />
            </p>
            <h3>Payload</h3>
            <pre tabIndex={0}>{JSON.stringify(event.payload, null, 2)}</pre>
            <h3>Deliveries</h3>
            {deliveries.length === 0 && <p class="quiet">None: its trigger named no destination when it fired.</p>}
            <ul class="attention">
              {deliveries.map((one) => (
                <li key={one.id}>
                  <State mood={deliveryMood(one.status)}>{one.status}</State> to{" "}
                  <a href={`${HOME}/destinations?open=${one.destination_id}`}>
                    {names.get(one.destination_id) ?? `destination ${one.destination_id}`}
                  </a>
                  ,{" "}
                  <a href={`${HOME}/deliveries?open=${one.id}`}>
                    {count(one.attempt_count)} {one.attempt_count === 1 ? "attempt" : "attempts"}
                  </a>
                </li>
              ))}
            </ul>
            {isEditing && (
              <EditAndFire
                event={event}
                onClose={() => setEditing(false)}
                onDone={(response) => {
                  setEditing(false);
                  tell(`Event ${openMade(response)} is on record.`);
                }}
              />
            )}
          </>
        )}
      </Shown>
    </Dialog>
  );
}

/** The keys of the project's destinations, or what they are described as, by their ids. */
function useDestinationNames(): ReadonlyMap<number, string> {
  const found = useQuery("destination-names", async (signal) => {
    if (!holds("destinations:read")) return new Map<number, string>();
    const { data } = await api.GET("/destinations", { params: { query: { limit: 1000 } }, signal });
    return new Map((data as Destination[]).map((one) => [one.id, one.key ?? one.description ?? one.url]));
  });
  return found.data ?? new Map();
}

function Facts({ of: event }: { of: Event }): JSX.Element {
  const people = usePeople();
  const { source } = event;
  const person = source?.user_id == null ? null : (people.get(source.user_id) ?? `user ${source.user_id}`);
  return (
    <dl>
      <dt>Fired</dt>
      <dd>
        <Instant at={event.triggered_at} exact />
      </dd>
      {event.scheduled_for !== null && (
        <>
          <dt>Planned for</dt>
          <dd>
            <Instant at={event.scheduled_for} exact /> ({count(lag(event))} ms earlier)
          </dd>
        </>
      )}
      {event.replay_of !== null && (
        <>
          <dt>Replay of</dt>
          <dd>
            <EventLink id={event.replay_of} />
          </dd>
        </>
      )}
      {source !== null && (
        <>
          <dt>By</dt>
          <dd>
            {source.kind.replace("_", " ")}
            {source.key_id != null && ` ${source.key_id}`}
            {person !== null && ` of ${source.user_id === me.value?.id ? "you" : person}`}
            {source.address != null && ` from ${source.address}`}
          </dd>
          {source.method != null && (
            <>
              <dt>Call</dt>
              <dd>
                {source.method} {source.query != null && `?${new URLSearchParams(source.query as never)}`}
              </dd>
            </>
          )}
          {Object.entries(source.headers ?? {}).map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd>{String(value)}</dd>
            </>
          ))}
        </>
      )}
    </dl>
  );
}

function lag(event: Event): number {
  return new Date(event.triggered_at).getTime() - new Date(event.scheduled_for ?? event.triggered_at).getTime();
}

/** Fires the event's trigger with a payload that is changed first; the event itself stays as it is. */
function EditAndFire({
  event,
  onClose,
  onDone,
}: {
  event: Event;
  onClose: () => void;
  onDone: (response: Response) => void;
}): JSX.Element {
  const [fields, change, forget] = useDraft(`fire/${event.id}`, {
    text: JSON.stringify(event.payload ?? {}, null, 2),
    isTest: event.is_test,
  });
  const send = async (): Promise<void> => {
    const path = { trigger_id: event.trigger_id };
    const body = payloadOf(fields.text);
    const { response } = fields.isTest
      ? await api.POST("/triggers/{trigger_id}/test", { params: { path }, body: body as never })
      : await api.POST("/triggers/{trigger_id}/trigger", { params: { path }, body: body as never });
    forget();
    onDone(response);
  };
  return (
    <FormDialog title="Edit & fire" verb={fields.isTest ? "Test" : "Fire"} onClose={onClose} send={send}>
      <label>
        Payload
        <textarea rows={14} value={fields.text} onInput={(typed) => change({ text: typed.currentTarget.value })} />
      </label>
      <p class="quiet">It is merged into the payload that the trigger has now, if it has one: null removes a member.</p>
      <label class="check">
        <input
          type="checkbox"
          checked={fields.isTest}
          onChange={(typed) => change({ isTest: typed.currentTarget.checked })}
        />
        Only a test: counts and schedules stay as they are
      </label>
    </FormDialog>
  );
}

/** Raises a refusal that says where the text is no JSON object. */
function payloadOf(text: string): object {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Refused(422, `This is no JSON: ${(error as Error).message}`, "", new Map(), null);
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new Refused(422, 'A payload is a JSON object, such as {"order": 42}.', "", new Map(), null);
  }
  return found;
}
