// API keys: what machines call with, made with few rights and an end.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, api, me, type Schemas } from "../api/client";
import { Instant, State } from "../parts/basics";
import { ask, tell } from "../parts/dialog";
import { Field, FormDialog, Select, ShownOnce, useDraft } from "../parts/forms";
import { serverNow } from "../api/client";
import { List, curlOf, usePage, usePeople } from "./lists";

type Key = Schemas["ApiKeyRead"];
type Scope = Schemas["Scope"];
const DAY = 86_400_000; // ms
const SOON = 7 * DAY;
const ENDS: readonly (readonly [string, string])[] = [
  ["30", "in 30 days"],
  ["90", "in 90 days"],
  ["365", "in a year"],
  ["never", "never"],
];

export function KeysView(): JSX.Element {
  const page = usePage<Key>("/auth/keys");
  const people = usePeople();
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const end = (key: Key): void =>
    ask({
      title: `Revoke ${key.name}`,
      detail: "Whatever calls with this 1 key gets a 401 within a second, and for good.",
      verb: "Revoke",
      typed: key.name,
      act: async () => {
        await api.DELETE("/auth/keys/{key_id}", { params: { path: { key_id: key.id } } });
        tell(`${key.name} is revoked.`);
        page.reload();
      },
    });
  return (
    <>
      <List<Key>
        title="API keys"
        empty="A key lets a machine call without a login, in this project only, with a few scopes, until it expires."
        curl={curlOf("POST", "/auth/keys", { name: "Deploy script", scopes: ["triggers:fire"] })}
        page={page}
        id={(row) => row.id}
        buttons={
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            New key
          </button>
        }
        columns={[
          {
            head: "Name",
            class: "wrap",
            cell: (row) => (
              <>
                {row.name} <code>{row.prefix}…</code>
              </>
            ),
          },
          { head: "Of", class: "wrap", cell: (row) => people.get(row.user_id) ?? `user ${row.user_id}` },
          { head: "Scopes", cell: (row) => <Rights of={row} /> },
          { head: "Last used", class: "time", cell: (row) => <Instant at={row.last_used_at} /> },
          { head: "Expires", class: "time", cell: (row) => <Expiry at={row.expires_at} /> },
          {
            head: "",
            class: "narrow",
            cell: (row) => (
              <button type="button" class="danger" onClick={() => end(row)}>
                Revoke
              </button>
            ),
          },
        ]}
      />
      {isMaking && (
        <MakeKey
          onClose={() => setMaking(false)}
          onDone={(key) => {
            setMaking(false);
            setMade(key);
            page.reload();
          }}
        />
      )}
      {made !== null && (
        <ShownOnce title="The key, shown once" secret={made} onClose={() => setMade(null)}>
          <p>Only its digest is kept here. A machine sends it as a bearer token, or in X-API-Key.</p>
        </ShownOnce>
      )}
    </>
  );
}

function Rights({ of }: { of: Key }): JSX.Element {
  return (
    <>
      {of.scopes.join(", ")}
      {of.trigger_ids !== null && (
        <>
          {" "}
          for{" "}
          {of.trigger_ids.slice(0, 5).map((id) => (
            <a key={id} class="listed" href={`${HOME}/triggers/${id}`}>
              trigger {id}
            </a>
          ))}
          {of.trigger_ids.length > 5 && `and ${of.trigger_ids.length - 5} more`}
        </>
      )}
    </>
  );
}

function Expiry({ at }: { at: string | null }): JSX.Element {
  if (at === null) return <span class="quiet">never</span>;
  const left = new Date(at).getTime() - serverNow();
  if (left > SOON) return <Instant at={at} />;
  return (
    <State mood={left > 0 ? "late" : "bad"}>
      <Instant at={at} />
    </State>
  );
}

function MakeKey({ onClose, onDone }: { onClose: () => void; onDone: (key: string) => void }): JSX.Element {
  const [fields, change, forget] = useDraft("key", {
    name: "",
    scopes: ["triggers:fire"] as Scope[],
    triggers: "",
    ends: "365",
  });
  const held = (me.value?.scopes ?? []) as Scope[];
  const send = async (): Promise<void> => {
    const ids = fields.triggers.split(/[\s,]+/).filter((one) => one !== "");
    const end = fields.ends === "never" ? null : new Date(serverNow() + Number(fields.ends) * DAY).toISOString();
    const { data } = await api.POST("/auth/keys", {
      body: {
        name: fields.name,
        scopes: fields.scopes,
        expires_at: end,
        ...(ids.length > 0 ? { trigger_ids: ids.map(Number) } : {}),
      },
    });
    forget();
    onDone((data as Schemas["ApiKeyCreated"]).key ?? "");
  };
  const toggle = (scope: Scope): void =>
    change({
      scopes: fields.scopes.includes(scope)
        ? fields.scopes.filter((one) => one !== scope)
        : [...fields.scopes, scope],
    });
  return (
    <FormDialog title="New API key" verb="Make the key" onClose={onClose} send={send}>
      <Field
        label="Name"
        value={fields.name}
        required
        maxLength={100}
        placeholder="Deploy script"
        onChange={(name) => change({ name })}
      />
      <fieldset>
        <legend>Scopes</legend>
        {held.map((scope) => (
          <label key={scope} class="check">
            <input type="checkbox" checked={fields.scopes.includes(scope)} onChange={() => toggle(scope)} /> {scope}
          </label>
        ))}
      </fieldset>
      <Select label="It expires" value={fields.ends} options={ENDS} onChange={(ends) => change({ ends })} />
      <Field
        label="Only for these triggers"
        hint="Their ids, with commas; empty: for all of the project."
        value={fields.triggers}
        inputMode="numeric"
        onChange={(triggers) => change({ triggers })}
      />
    </FormDialog>
  );
}
