// All accounts of the installation, for admins: added, disabled, and helped to a new password.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, me, withPassword, type Schemas } from "../api/client";
import { Instant, State } from "../parts/basics";
import { ask, run, tell } from "../parts/dialog";
import { Field, FormDialog, Select, ShownOnce, useDraft } from "../parts/forms";
import { List, curlOf, usePage } from "./lists";

type User = Schemas["UserRead"];
type Role = Schemas["Role"];
type Link = Schemas["UserWithLink"];

export function UsersView(): JSX.Element {
  const page = usePage<User>("/users");
  const [isAdding, setAdding] = useState(false);
  const [link, setLink] = useState<Link | null>(null);
  const change = (user: User, body: Schemas["UserUpdate"], done: string): Promise<void> =>
    run(async () => {
      await api.PATCH("/users/{user_id}", { params: { path: { user_id: user.id } }, body });
      page.reload();
      return done;
    });
  const disable = (user: User): void =>
    ask({
      title: `Disable ${user.email}`,
      detail: "1 user is signed out within a second, and all their API keys end for good. Their triggers go on firing.",
      verb: "Disable",
      act: () => change(user, { disabled: true }, `${user.email} is disabled.`),
    });
  const erase = (user: User): void =>
    ask({
      title: `Erase ${user.email}`,
      detail: "The account, its logins and keys, and the projects that are only theirs are deleted for good.",
      verb: "Erase",
      typed: user.email,
      act: async () => {
        await api.DELETE("/users/{user_id}", { params: { path: { user_id: user.id } } });
        tell(`${user.email} is erased.`);
        page.reload();
      },
    });
  const makeLink = (user: User): void =>
    void run(async () => {
      const { data } = await withPassword(() =>
        api.POST("/users/{user_id}/password-link", { params: { path: { user_id: user.id } } }),
      );
      setLink(data as Link);
      return "";
    });
  return (
    <>
      <List<User>
        title="Users"
        empty="There is no account yet."
        curl={curlOf("POST", "/users", { email: "ada@example.com" })}
        page={page}
        id={(row) => row.id}
        buttons={
          <button type="button" class="primary" onClick={() => setAdding(true)}>
            Add a user
          </button>
        }
        columns={[
          {
            head: "E-mail",
            class: "wrap",
            cell: (row) => (
              <>
                {row.email} {row.id === me.value?.id && <span class="badge">you</span>}
              </>
            ),
          },
          {
            head: "Role",
            cell: (row) => (
              <select
                aria-label={`Role of ${row.email}`}
                value={row.role}
                onChange={(event) => {
                  const role = event.currentTarget.value as Role;
                  void change(row, { role }, `${row.email} is ${role} now.`).finally(page.reload);
                }}
              >
                <option>user</option>
                <option>admin</option>
              </select>
            ),
          },
          {
            head: "State",
            cell: (row) =>
              row.disabled_at === null ? <State mood="good">enabled</State> : <State mood="paused">disabled</State>,
          },
          { head: "Since", class: "time", cell: (row) => <Instant at={row.created_at} /> },
          {
            head: "",
            class: "narrow",
            cell: (row) => (
              <span class="buttons">
                {row.disabled_at === null ? (
                  <>
                    <button type="button" onClick={() => makeLink(row)}>
                      Password link
                    </button>
                    <button type="button" class="danger" onClick={() => disable(row)}>
                      Disable
                    </button>
                  </>
                ) : (
                  <button
                    type="button"
                    onClick={() => void change(row, { disabled: false }, `${row.email} can sign in again.`)}
                  >
                    Enable
                  </button>
                )}
                <button type="button" class="danger" onClick={() => erase(row)}>
                  Erase
                </button>
              </span>
            ),
          },
        ]}
      />
      {isAdding && (
        <AddUser
          onClose={() => setAdding(false)}
          onDone={(made) => {
            setAdding(false);
            setLink(made);
            page.reload();
          }}
        />
      )}
      {link !== null && (
        <ShownOnce title="The link, shown once" secret={link.url ?? ""} onClose={() => setLink(null)}>
          <p>
            Give this link to {link.email}, who sets a password with it. It works once,{" "}
            <Instant at={link.expires_at} bare /> at the latest.
          </p>
        </ShownOnce>
      )}
    </>
  );
}

function AddUser({ onClose, onDone }: { onClose: () => void; onDone: (made: Link) => void }): JSX.Element {
  const [fields, change, forget] = useDraft("user", { email: "", role: "user" as Role });
  const send = async (): Promise<void> => {
    const { data } = await api.POST("/users", { body: { email: fields.email.trim(), role: fields.role } });
    forget();
    onDone(data as Link);
  };
  return (
    <FormDialog title="Add a user" verb="Add" onClose={onClose} send={send}>
      <Field label="E-mail" type="email" value={fields.email} required onChange={(email) => change({ email })} />
      <Select
        label="Role"
        value={fields.role}
        options={[
          ["user", "user: a project of their own, and those that they are invited to"],
          ["admin", "admin: also all users, all projects and the audit log"],
        ]}
        onChange={(role) => change({ role: role as Role })}
      />
      <p class="quiet">You get a link with which they set their password; nobody else learns it.</p>
    </FormDialog>
  );
}
