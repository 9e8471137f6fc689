// The log of who changed what: filtered by person, thing and time, with each field before and after.
import type { JSX } from "preact";
import { holds, me, type Schemas } from "../api/client";
import { Empty, Instant, State } from "../parts/basics";
import { Dialog } from "../parts/dialog";
import { Choice, Search } from "../parts/table";
import { useUrl } from "../url";
import { List, usePage, usePeople } from "./lists";
import { SinceUntil } from "./spans";

type Entry = Schemas["AuditRead"];
const TARGETS = ["trigger", "destination", "calendar", "set", "key", "user", "project", "member", "invitation"];
const FILTERS = ["user_id", "action", "target", "target_id", "refused", "since", "until"];

export function AuditView(): JSX.Element {
  const url = useUrl();
  const filter = Object.fromEntries(FILTERS.map((name) => [name, url.get(name)]).filter(([, value]) => value !== ""));
  const page = usePage<Entry>("/audit", filter as Record<string, string>);
  const people = usePeople();
  const who = (entry: Entry): string => {
    if (entry.user_id === null) return entry.actor;
    const name = people.get(entry.user_id) ?? `user ${entry.user_id}`;
    return entry.key_id === null ? name : `key ${entry.key_id} of ${name}`;
  };
  const isFiltered = Object.keys(filter).length > 0;
  const open = page.data?.rows.find((one) => String(one.id) === url.get("open"));
  return (
    <>
      <List<Entry>
        title="Audit"
        empty={isFiltered ? "Nothing matches these filters." : "Nothing has been changed yet. Each change is on record here, with who made it and from where."}
        page={page}
        id={(row) => row.id}
        onOpen={(row) => url.set({ open: String(row.id) })}
        columns={[
          { head: "At", class: "time", cell: (row) => <Instant at={row.at} /> },
          { head: "Who", class: "wrap", cell: who },
          {
            head: "What",
            class: "wrap",
            cell: (row) => (
              <>
                {row.refused && <State mood="bad">refused</State>}{" "}
                <button type="button" class="plain" onClick={() => url.set({ open: String(row.id) })}>
                  {row.action.replaceAll("_", " ")}
                </button>{" "}
                {row.target !== null && `${row.target} ${row.target_id ?? ""}`}
              </>
            ),
          },
          { head: "Changed", class: "wrap", cell: (row) => <Summary of={row} /> },
          { head: "From", cell: (row) => row.address },
        ]}
      >
        <div class="filters">
          <Choice
            name="user_id"
            label="Who"
            options={[["", "anybody"], ...[...people].map(([id, email]) => [String(id), email] as const)]}
          />
          <Search name="action" label="Action, such as update_trigger" />
          <Choice name="target" label="Thing" options={[["", "any"], ...TARGETS.map((one) => [one, one] as const)]} />
          <Search name="target_id" label="Its id" />
          <Choice
            name="refused"
            label="Outcome"
            options={[
              ["", "any"],
              ["false", "done"],
              ["true", "refused"],
            ]}
          />
          <SinceUntil />
        </div>
      </List>
      {open !== undefined && (
        <Dialog title={open.action.replaceAll("_", " ")} onClose={() => url.set({ open: "" })} side>
          <dl>
            <dt>At</dt>
            <dd>
              <Instant at={open.at} exact />
            </dd>
            <dt>Who</dt>
            <dd>{who(open)}</dd>
            {open.address !== null && (
              <>
                <dt>From</dt>
                <dd>{open.address}</dd>
              </>
            )}
            {open.target !== null && (
              <>
                <dt>Thing</dt>
                <dd>
                  {open.target} {open.target_id}
                </dd>
              </>
            )}
            {open.request_id !== null && (
              <>
                <dt>Request</dt>
                <dd>
                  <code>{open.request_id}</code>
                </dd>
              </>
            )}
          </dl>
          <h3>Before → after</h3>
          <Difference of={open} />
        </Dialog>
      )}
      {me.value?.project?.role !== "owner" && !holds("admin") && (
        <Empty>Owners see what all members do; others see what they did themselves.</Empty>
      )}
    </>
  );
}

const fieldsOf = (entry: Entry): string[] => [
  ...new Set([...Object.keys(entry.before ?? {}), ...Object.keys(entry.after ?? {})]),
];

function Summary({ of }: { of: Entry }): JSX.Element {
  const fields = fieldsOf(of);
  if (fields.length === 0) return <span class="quiet">–</span>;
  const [first] = fields;
  if (fields.length > 1 || first === undefined) return <>{fields.slice(0, 4).join(", ")}{fields.length > 4 && " …"}</>;
  return (
    <>
      {first}: {shortOf(of.before?.[first])} → {shortOf(of.after?.[first])}
    </>
  );
}

const shortOf = (value: unknown): string => {
  const text = shown(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
};
const shown = (value: unknown): string =>
  value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value, null, 1);

function Difference({ of }: { of: Entry }): JSX.Element {
  const fields = fieldsOf(of);
  if (fields.length === 0) return <p class="quiet">It changed no field.</p>;
  return (
    <div class="scroll" role="region" aria-label="Changed fields" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {fields.map((field) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td class="wrap">{shown(of.before?.[field])}</td>
              <td class="wrap">{shown(of.after?.[field])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
