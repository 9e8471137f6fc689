// One's own logins, to end those that one does not know, and one's password.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, type Schemas } from "../api/client";
import { Instant, State } from "../parts/basics";
import { ask, tell } from "../parts/dialog";
import { FormDialog } from "../parts/forms";
import { List, usePage } from "./lists";

type Session = Schemas["SessionRead"];

export function SessionsView(): JSX.Element {
  const page = usePage<Session>("/auth/sessions");
  const [isChanging, setChanging] = useState(false);
  const end = (session: Session): void =>
    ask({
      title: "End this login",
      detail: session.is_current ? "It is the one that you use now." : "Whoever uses it has to sign in again.",
      verb: "End it",
      act: async () => {
        await api.DELETE("/auth/sessions/{session_id}", { params: { path: { session_id: session.id } } });
        tell("The login is ended.");
        page.reload();
      },
    });
  const others = (page.data?.rows ?? []).filter((one) => !one.is_current).length;
  const endOthers = (): void =>
    ask({
      title: "End all other logins",
      detail: `${others}${page.data?.next == null ? "" : " and more"} logins end within a second. This one stays.`,
      verb: "End all others",
      act: async () => {
        await api.DELETE("/auth/sessions");
        tell("All other logins are ended.");
        page.reload();
      },
    });
  return (
    <>
      <List<Session>
        title="Your logins"
        empty="There is no login."
        page={page}
        id={(row) => row.id}
        buttons={
          <>
            <button type="button" onClick={() => setChanging(true)}>
              Change password
            </button>
            <button type="button" class="danger" disabled={others === 0} onClick={endOthers}>
              End all others
            </button>
          </>
        }
        columns={[
          {
            head: "With",
            class: "wrap",
            cell: (row) => (
              <span title={row.user_agent ?? ""}>
                {agentOf(row.user_agent)} {row.is_current && <State mood="good">this one</State>}
              </span>
            ),
          },
          { head: "From", cell: (row) => row.address },
          { head: "Rights", cell: (row) => row.scopes?.join(", ") ?? "all of yours" },
          { head: "Since", class: "time", cell: (row) => <Instant at={row.created_at} /> },
          { head: "Last used", class: "time", cell: (row) => <Instant at={row.last_used_at} /> },
          {
            head: "",
            class: "narrow",
            cell: (row) => (
              <button type="button" class="danger" onClick={() => end(row)}>
                End
              </button>
            ),
          },
        ]}
      />
      {isChanging && <ChangePassword onClose={() => setChanging(false)} />}
    </>
  );
}

/** The browser and the system of a User-Agent, or its first word. */
function agentOf(text: string | null): string {
  if (text === null) return "unknown";
  const browser = /(Firefox|Edg|OPR|Chrome|Safari)\//.exec(text.replace("HeadlessChrome", "Chrome"))?.[1];
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux/.exec(text)?.[0];
  if (browser === undefined) return text.split(" ")[0] ?? text;
  return `${{ Edg: "Edge", OPR: "Opera" }[browser] ?? browser}${system === undefined ? "" : ` on ${system}`}`;
}

/** Passwords are no drafts: they stay in the fields only. */
function ChangePassword({ onClose }: { onClose: () => void }): JSX.Element {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [endKeys, setEndKeys] = useState(false);
  const send = async (): Promise<void> => {
    await api.POST("/auth/password", { body: { current, new: next, end_keys: endKeys } });
    onClose();
    tell("The password is changed, and all other logins are ended.");
  };
  return (
    <FormDialog title="Change password" verb="Change it" onClose={onClose} send={send}>
      <label>
        Present password
        <input
          type="password"
          autocomplete="current-password"
          required
          value={current}
          onInput={(event) => setCurrent(event.currentTarget.value)}
        />
      </label>
      <label>
        New password, 12 characters or more
        <input
          type="password"
          autocomplete="new-password"
          minLength={12}
          maxLength={128}
          required
          value={next}
          onInput={(event) => setNext(event.currentTarget.value)}
        />
      </label>
      <label class="check">
        <input type="checkbox" checked={endKeys} onChange={(event) => setEndKeys(event.currentTarget.checked)} />
        Also end all my API keys, in every project
      </label>
    </FormDialog>
  );
}
