// Who works in this project: their roles, those who are invited, and the project itself.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, chooseProject, loadMe, me, nextCursor, type Schemas } from "../api/client";
import { Instant, State } from "../parts/basics";
import { ask, run, tell } from "../parts/dialog";
import { Field, FormDialog, Select, ShownOnce, useDraft } from "../parts/forms";
import { Table } from "../parts/table";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { List, PAGE, curlOf, type Page } from "./lists";

type Member = Schemas["MemberRead"];
type Invitation = Schemas["InvitationRead"];
type Role = Schemas["ProjectRole"];

export const ROLES: readonly (readonly [Role, string])[] = [
  ["viewer", "viewer: reads"],
  ["operator", "operator: also fires, tests, pauses, sends again"],
  ["editor", "editor: also changes triggers and destinations"],
  ["owner", "owner: also members and the project"],
];

export function MembersView(): JSX.Element {
  const here = me.value?.project;
  const projectId = here?.id ?? 0;
  const isOwner = here?.role === "owner" || me.value?.role === "admin";
  const cursor = useUrl().get("cursor");
  const [opened, setOpened] = useState<"invite" | "project" | null>(null);
  const [link, setLink] = useState<string | null>(null);
  const path = { project_id: projectId };
  const page = useQuery(
    `members-${projectId}-${cursor}`,
    async (signal): Promise<Page<Member>> => {
      if (projectId === 0) return { rows: [], next: null };
      const query = { limit: PAGE, ...(cursor === "" ? {} : { cursor }) };
      const { data, response } = await api.GET("/projects/{project_id}/members", { params: { path, query }, signal });
      return { rows: data as Member[], next: nextCursor(response) };
    },
    30,
  );
  const invited = useQuery(`invitations-${projectId}-${isOwner}`, async (signal): Promise<Invitation[]> => {
    if (!isOwner || projectId === 0) return [];
    const { data } = await api.GET("/projects/{project_id}/invitations", { params: { path }, signal });
    return data as Invitation[];
  });

  const change = (member: Member, role: Role): void =>
    void run(async () => {
      try {
        await api.PATCH("/projects/{project_id}/members/{user_id}", {
          params: { path: { ...path, user_id: member.user_id } },
          body: { role },
        });
      } finally {
        page.reload();
      }
      return `${member.email} is ${role} now.`;
    });
  const remove = (member: Member): void => {
    const isMe = member.user_id === me.value?.id;
    ask({
      title: isMe ? `Leave ${here?.name}` : `Remove ${member.email}`,
      detail: "1 member loses the project within a second, and with it all their API keys in it.",
      verb: isMe ? "Leave" : "Remove",
      act: async () => {
        await api.DELETE("/projects/{project_id}/members/{user_id}", {
          params: { path: { ...path, user_id: member.user_id } },
        });
        tell(isMe ? "You have left the project." : `${member.email} is no longer a member.`);
        if (isMe) chooseProject(null);
        else page.reload();
      },
    });
  };
  const withdraw = (one: Invitation): void =>
    void run(async () => {
      await api.DELETE("/projects/{project_id}/invitations/{invitation_id}", {
        params: { path: { ...path, invitation_id: one.id } },
      });
      invited.reload();
      return "The invitation is withdrawn: its link no longer works.";
    });

  return (
    <>
      <List<Member>
        title={`Members of ${here?.name ?? "the project"}`}
        empty="Members read, fire or change what is in this project, as their roles allow."
        curl={curlOf("POST", `/projects/${projectId}/invitations`, { role: "viewer" })}
        page={page}
        id={(row) => row.user_id}
        buttons={
          <>
            {isOwner && (
              <button type="button" class="primary" onClick={() => setOpened("invite")}>
                Invite
              </button>
            )}
            <button type="button" onClick={() => setOpened("project")}>
              New project
            </button>
          </>
        }
        columns={[
          {
            head: "E-mail",
            class: "wrap",
            cell: (row) => (
              <>
                {row.email} {row.user_id === me.value?.id && <span class="badge">you</span>}
              </>
            ),
          },
          {
            head: "Role",
            cell: (row) =>
              isOwner ? (
                <select
                  aria-label={`Role of ${row.email}`}
                  value={row.role}
                  onChange={(event) => change(row, event.currentTarget.value as Role)}
                >
                  {ROLES.map(([role]) => (
                    <option key={role}>{role}</option>
                  ))}
                </select>
              ) : (
                row.role
              ),
          },
          { head: "Since", class: "time", cell: (row) => <Instant at={row.since} /> },
          {
            head: "",
            class: "narrow",
            cell: (row) =>
              (isOwner || row.user_id === me.value?.id) && (
                <button type="button" class="danger" onClick={() => remove(row)}>
                  {row.user_id === me.value?.id ? "Leave" : "Remove"}
                </button>
              ),
          },
        ]}
      />
      {(invited.data ?? []).length > 0 && (
        <>
          <h2 class="below">Invited</h2>
          <Table<Invitation>
            label="Open invitations"
            rows={invited.data ?? []}
            id={(row) => row.id}
            columns={[
              { head: "For", cell: (row) => row.email ?? <span class="quiet">whoever has the link</span> },
              { head: "Role", cell: (row) => row.role },
              { head: "Until", class: "time", cell: (row) => <Instant at={row.expires_at} /> },
              {
                head: "",
                class: "narrow",
                cell: (row) => (
                  <button type="button" class="danger" onClick={() => withdraw(row)}>
                    Withdraw
                  </button>
                ),
              },
            ]}
          />
        </>
      )}
      {opened === "invite" && (
        <Invite
          projectId={projectId}
          onClose={() => setOpened(null)}
          onDone={(url) => {
            setOpened(null);
            setLink(url);
            page.reload();
            invited.reload();
          }}
        />
      )}
      {opened === "project" && <NewProject onClose={() => setOpened(null)} />}
      {link !== null && (
        <ShownOnce title="The invitation, shown once" secret={link} onClose={() => setLink(null)}>
          <p>Give this link to the person. It works once, within 7 days, also without an account.</p>
        </ShownOnce>
      )}
    </>
  );
}

/** Adds somebody who has an account at once, or makes a link for anybody else. */
function Invite({
  projectId,
  onClose,
  onDone,
}: {
  projectId: number;
  onClose: () => void;
  onDone: (url: string | null) => void;
}): JSX.Element {
  const [fields, change, forget] = useDraft("invite", { email: "", role: "editor" as Role, hasAccount: false });
  const path = { project_id: projectId };
  const send = async (): Promise<void> => {
    const { role } = fields;
    const email = fields.email.trim();
    if (fields.hasAccount) {
      await api.POST("/projects/{project_id}/members", { params: { path }, body: { email, role } });
      tell(`${email} is a member now.`);
      forget();
      onDone(null);
      return;
    }
    const body = email === "" ? { role } : { role, email };
    const { data } = await api.POST("/projects/{project_id}/invitations", { params: { path }, body });
    const made = data as Schemas["InvitationCreated"];
    if (made.mailed) tell(`The link is also on its way to ${email}.`);
    forget();
    onDone(made.url);
  };
  return (
    <FormDialog title="Invite somebody" verb={fields.hasAccount ? "Add" : "Make the link"} onClose={onClose} send={send}>
      <Field
        label="E-mail"
        type="email"
        value={fields.email}
        required={fields.hasAccount}
        onChange={(email) => change({ email })}
        hint={fields.hasAccount ? "The address of the account." : "Only this account can use the link; empty: any can."}
      />
      <Select label="Role" value={fields.role} options={ROLES} onChange={(role) => change({ role: role as Role })} />
      <label class="check">
        <input
          type="checkbox"
          checked={fields.hasAccount}
          onChange={(event) => change({ hasAccount: event.currentTarget.checked })}
        />
        They have an account here: add them at once, without a link
      </label>
    </FormDialog>
  );
}

function NewProject({ onClose }: { onClose: () => void }): JSX.Element {
  const [fields, change, forget] = useDraft("project", { name: "" });
  const send = async (): Promise<void> => {
    const { data } = await api.POST("/projects", { body: { name: fields.name } });
    forget();
    onClose();
    chooseProject((data as { id: number }).id);
    await loadMe();
    tell(`You are in ${fields.name} now; its owner is you.`);
  };
  return (
    <FormDialog title="New project" verb="Make it" onClose={onClose} send={send}>
      <Field label="Name" value={fields.name} required maxLength={100} onChange={(name) => change({ name })} />
      <p>
        <State mood="planned">Triggers, events, destinations, keys and members of each project are apart.</State>
      </p>
    </FormDialog>
  );
}
