// The lists that need a table and a few commands, and nothing more.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Refused, api, holds, me, nextCursor, type Schemas } from "../api/client";
import { Empty, Instant, Problem, Shown, State, count } from "../parts/basics";
import { Dialog, ask, tell } from "../parts/dialog";
import { Pages, Table, type Column } from "../parts/table";
import { useQuery, type Loaded } from "../query";
import { useUrl } from "../url";

const PAGE = 50;

interface Page<T> {
  rows: T[];
  next: string | null;
}

interface Listing<T> {
  title: string;
  empty: string;
  page: Loaded<Page<T>>;
  id: (row: T) => number | string;
  columns: readonly Column<T>[];
  children?: ComponentChildren;
}

function List<T>({ title, empty, page, id, columns, children }: Listing<T>): JSX.Element {
  return (
    <>
      <header class="view">
        <h1>{title}</h1>
        {children}
      </header>
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty>{empty}</Empty>
          ) : (
            <>
              <Table label={title} rows={rows} id={id} columns={columns} />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
    </>
  );
}

type Lists = "/calendars" | "/sets" | "/auth/keys" | "/auth/sessions" | "/users" | "/audit";

function usePage<T>(path: Lists, everySeconds = 30): Loaded<Page<T>> {
  const cursor = useUrl().get("cursor");
  return useQuery(
    `${path}?${cursor}`,
    async (signal) => {
      const query = { limit: PAGE, ...(cursor === "" ? {} : { cursor }) };
      const { data, response } = await api.GET(path, { params: { query }, signal });
      return { rows: data as T[], next: nextCursor(response) };
    },
    everySeconds,
  );
}

export function CalendarsView(): JSX.Element {
  return (
    <List<Schemas["CalendarListed"]>
      title="Calendars"
      empty="A calendar is a named list of dates on which schedules do not fire: POST /calendars makes one."
      page={usePage("/calendars")}
      id={(row) => row.key}
      columns={[
        { head: "Key", cell: (row) => <code>{row.key}</code> },
        { head: "Dates", class: "number", cell: (row) => count(row.count) },
        { head: "Known until", cell: (row) => row.covers_until ?? "for ever" },
        { head: "Changed", class: "time", cell: (row) => <Instant at={row.updated_at} /> },
      ]}
    />
  );
}

export function SetsView(): JSX.Element {
  return (
    <List<Schemas["SetSummary"]>
      title="Sets"
      empty="A set is what a file owns: PUT /sets/{name} plans it, and makes it so in one step."
      page={usePage("/sets")}
      id={(row) => row.name}
      columns={[
        { head: "Name", cell: (row) => <code>{row.name}</code> },
        { head: "Triggers", class: "number", cell: (row) => count(row.triggers) },
        { head: "Destinations", class: "number", cell: (row) => count(row.destinations) },
        { head: "Calendars", class: "number", cell: (row) => count(row.calendars) },
        { head: "Changed", class: "time", cell: (row) => <Instant at={row.updated_at} /> },
      ]}
    />
  );
}

type Key = Schemas["ApiKeyRead"];

export function KeysView(): JSX.Element {
  const page = usePage<Key>("/auth/keys");
  const [isMaking, setMaking] = useState(false);
  const end = (key: Key): void =>
    ask({
      title: `End ${key.name}`,
      detail: "Whatever uses it gets a 401 within a second.",
      verb: "End the key",
      typed: key.name,
      act: async () => {
        await api.DELETE("/auth/keys/{key_id}", { params: { path: { key_id: key.id } } });
        tell("The key is ended.");
        page.reload();
      },
    });
  return (
    <>
      <List<Key>
        title="API keys"
        empty="A key lets a machine call without a login, in one project and with a few scopes."
        page={page}
        id={(row) => row.id}
        columns={[
          { head: "Name", cell: (row) => row.name },
          { head: "Begins with", cell: (row) => <code>{row.prefix}…</code> },
          { head: "Scopes", cell: (row) => row.scopes.join(", ") },
          { head: "Last used", class: "time", cell: (row) => <Instant at={row.last_used_at} /> },
          { head: "Expires", class: "time", cell: (row) => <Instant at={row.expires_at} /> },
          {
            head: "",
            cell: (row) => (
              <button type="button" class="danger" onClick={() => end(row)}>
                End
              </button>
            ),
          },
        ]}
      >
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          New key
        </button>
      </List>
      {isMaking && (
        <MakeKey
          onClose={() => {
            setMaking(false);
            page.reload();
          }}
        />
      )}
    </>
  );
}

function MakeKey({ onClose }: { onClose: () => void }): JSX.Element {
  const [made, setMade] = useState<string | null>(null);
  const [error, setError] = useState<Refused | null>(null);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    try {
      const body = { name: String(form.get("name")), scopes: form.getAll("scope").map(String) };
      const { data } = await api.POST("/auth/keys", { body: body as never });
      setMade((data as { key: string | null }).key);
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    }
  };
  if (made !== null) {
    return (
      <Dialog title="The key, shown once" onClose={onClose}>
        <pre tabIndex={0}>{made}</pre>
        <button type="button" class="primary" onClick={onClose}>
          I have it
        </button>
      </Dialog>
    );
  }
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Name
          <input name="name" required maxLength={100} placeholder="Deploy script" />
        </label>
        <fieldset>
          <legend>Scopes</legend>
          {me.value?.scopes.map((scope) => (
            <label key={scope} class="check">
              <input type="checkbox" name="scope" value={scope} defaultChecked={scope === "triggers:fire"} /> {scope}
            </label>
          ))}
        </fieldset>
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary">
          Make the key
        </button>
      </form>
    </Dialog>
  );
}

type Session = Schemas["SessionRead"];

export function SessionsView(): JSX.Element {
  const page = usePage<Session>("/auth/sessions");
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
  return (
    <List<Session>
      title="Your logins"
      empty="None."
      page={page}
      id={(row) => row.id}
      columns={[
        { head: "Since", class: "time", cell: (row) => <Instant at={row.created_at} /> },
        { head: "Last used", class: "time", cell: (row) => <Instant at={row.last_used_at} /> },
        { head: "From", cell: (row) => row.address },
        { head: "With", cell: (row) => row.user_agent },
        {
          head: "",
          cell: (row) => (
            <>
              {row.is_current && <State mood="good">this one</State>}{" "}
              <button type="button" class="danger" onClick={() => end(row)}>
                End
              </button>
            </>
          ),
        },
      ]}
    />
  );
}

type Member = Schemas["MemberRead"];

export function MembersView(): JSX.Element {
  const projectId = me.value?.project?.id;
  const cursor = useUrl().get("cursor");
  const page = useQuery(`members-${projectId}-${cursor}`, async (signal): Promise<Page<Member>> => {
    if (projectId === undefined) return { rows: [], next: null };
    const { data, response } = await api.GET("/projects/{project_id}/members", {
      params: { path: { project_id: projectId }, query: { limit: PAGE, ...(cursor === "" ? {} : { cursor }) } },
      signal,
    });
    return { rows: data as Member[], next: nextCursor(response) };
  });
  return (
    <List<Member>
      title={`Members of ${me.value?.project?.name ?? "the project"}`}
      empty="None."
      page={page}
      id={(row) => row.user_id}
      columns={[
        { head: "E-mail", cell: (row) => row.email },
        { head: "Role", cell: (row) => row.role },
        { head: "Since", class: "time", cell: (row) => <Instant at={row.since} /> },
      ]}
    />
  );
}

export function UsersView(): JSX.Element {
  const page = usePage<Schemas["UserRead"]>("/users");
  if (!holds("admin")) return <Empty>Only admins see all users.</Empty>;
  return (
    <List<Schemas["UserRead"]>
      title="Users"
      empty="None."
      page={page}
      id={(row) => row.id}
      columns={[
        { head: "E-mail", cell: (row) => row.email },
        { head: "Role", cell: (row) => row.role },
        {
          head: "State",
          cell: (row) =>
            row.disabled_at === null ? <State mood="good">enabled</State> : <State mood="paused">disabled</State>,
        },
        { head: "Since", class: "time", cell: (row) => <Instant at={row.created_at} /> },
      ]}
    />
  );
}

export function AuditView(): JSX.Element {
  return (
    <List<Schemas["AuditRead"]>
      title="Audit"
      empty="Nothing has been changed yet."
      page={usePage("/audit")}
      id={(row) => row.id}
      columns={[
        { head: "At", class: "time", cell: (row) => <Instant at={row.at} /> },
        { head: "Who", cell: (row) => (row.user_id === null ? row.actor : `${row.actor} of user ${row.user_id}`) },
        {
          head: "What",
          cell: (row) => (
            <>
              {row.refused && <State mood="bad">refused</State>} {row.action} {row.target} {row.target_id}
            </>
          ),
        },
        { head: "From", cell: (row) => row.address },
      ]}
    />
  );
}
