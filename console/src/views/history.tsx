// The schedules that a trigger had, and who changed what.
import type { JSX } from "preact";
import { api, type Schemas } from "../api/client";
import { Instant, Shown } from "../parts/basics";
import { useQuery } from "../query";
import { usePeople } from "./lists";

type Change = Schemas["TriggerChange"];
const MOST_ROWS = 40; // of each kind; the page shows at most a hundred

export function History({ id }: { id: number }): JSX.Element {
  const history = useQuery(`history-${id}`, async (signal) => {
    const { data } = await api.GET("/triggers/{trigger_id}/versions", { params: { path: { trigger_id: id } }, signal });
    return data as Schemas["TriggerHistory"];
  });
  const people = usePeople();
  return (
    <Shown of={history}>
      {({ schedules, changes }) => (
        <div class="grid">
          <section class="card">
            <h2>Who changed what</h2>
            {changes.length === 0 && <p class="quiet">Nothing in the last 90 days.</p>}
            <ol class="instants">
              {changes.slice(0, MOST_ROWS).map((one, index) => (
                <li key={index}>
                  <Instant at={one.at} exact /> <span class="quiet">{byWhom(one, people)}</span> {one.action.replaceAll("_", " ")}
                  <Fields change={one} />
                </li>
              ))}
            </ol>
          </section>
          <section class="card">
            <h2>Schedules so far</h2>
            {schedules.length === 0 && <p class="quiet">It has none: it fires when it is called.</p>}
            <ol class="instants">
              {schedules.slice(0, MOST_ROWS).map((one) => (
                <li key={one.version}>
                  <strong>{one.words ?? JSON.stringify(one.details)}</strong>
                  <br />
                  from <Instant at={one.after} exact />
                  {one.until === null ? (
                    ", in force"
                  ) : (
                    <>
                      {" "}
                      until <Instant at={one.until} exact />, ended by {ENDED_BY[one.ended_by ?? ""] ?? one.ended_by}
                    </>
                  )}
                  {one.zone_rules !== null && <span class="quiet"> · zone rules {one.zone_rules}</span>}
                </li>
              ))}
            </ol>
          </section>
        </div>
      )}
    </Shown>
  );
}

const ENDED_BY: Record<string, string> = {
  change: "a change",
  calendar: "another calendar",
  zone_rules: "new time zone rules",
};

function byWhom({ actor, user_id: user, key_id: key }: Change, people: ReadonlyMap<number, string>): string {
  const person = user === null ? null : (people.get(user) ?? `user ${user}`);
  if (key !== null) return `key ${key}${person === null ? "" : ` of ${person}`}`;
  return person ?? actor.replaceAll("_", " ");
}

/** The fields that changed, from what to what; the record says of secrets only that they did. */
function Fields({ change: { before, after } }: { change: Change }): JSX.Element | null {
  if (before === null || after === null) return null;
  const names = Object.keys(after).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return (
    <ul class="fields">
      {names.map((name) => (
        <li key={name}>
          {name.replaceAll("_", " ")}: <code>{JSON.stringify(before[name] ?? null)}</code> → <code>{JSON.stringify(after[name] ?? null)}</code>
        </li>
      ))}
    </ul>
  );
}
