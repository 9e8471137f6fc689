// Sets: what files own, when they were last applied, and where each member is.
import type { JSX } from "preact";
import { HOME, api, holds, type Schemas } from "../api/client";
import { CopyButton, Instant, Shown, State, count } from "../parts/basics";
import { Dialog, ask, tell } from "../parts/dialog";
import { useQuery } from "../query";
import { useUrl } from "../url";
import { List, curlOf, usePage } from "./lists";

type Summary = Schemas["SetSummary"];
type Content = Schemas["SetContent"];

export function SetsView(): JSX.Element {
  const url = useUrl();
  const page = usePage<Summary>("/sets");
  const open = url.get("open");
  const found = page.data?.rows.find((one) => one.name === open);
  return (
    <>
      <List<Summary>
        title="Sets"
        empty="A set is what a file in your repository owns: applying it plans the difference, and makes it so in one step."
        curl={curlOf("PUT", "/sets/billing", {
          triggers: { nightly: { type: "scheduled", details: { cron: "30 2 * * *" } } },
        })}
        page={page}
        id={(row) => row.name}
        onOpen={(row) => url.set({ open: row.name })}
        columns={[
          {
            head: "Name",
            cell: (row) => (
              <button type="button" class="plain" onClick={() => url.set({ open: row.name })}>
                {row.name}
              </button>
            ),
          },
          { head: "Triggers", class: "number", cell: (row) => count(row.triggers) },
          { head: "Destinations", class: "number", cell: (row) => count(row.destinations) },
          { head: "Calendars", class: "number", cell: (row) => count(row.calendars) },
          { head: "Last applied", class: "time", cell: (row) => <Instant at={row.updated_at} /> },
        ]}
      />
      {open !== "" && (
        <SetDrawer
          key={open}
          name={open}
          summary={found}
          onClose={() => url.set({ open: "" })}
          onGone={() => {
            url.set({ open: "" });
            page.reload();
          }}
        />
      )}
    </>
  );
}

function SetDrawer({
  name,
  summary,
  onClose,
  onGone,
}: {
  name: string;
  summary: Summary | undefined;
  onClose: () => void;
  onGone: () => void;
}): JSX.Element {
  const found = useQuery(`set-${name}`, async (signal) => {
    const { data } = await api.GET("/sets/{name}", { params: { path: { name } }, signal });
    return data as Content;
  });
  const remove = (content: Content): void => {
    const owned = [content.triggers, content.destinations, content.calendars].map((one) => Object.keys(one ?? {}).length);
    ask({
      title: `Delete ${name}`,
      detail: `${owned[0]} triggers, ${owned[1]} destinations and ${owned[2]} calendars that it owns are deleted with it. Past events stay.`,
      verb: "Delete",
      typed: name,
      act: async () => {
        await api.DELETE("/sets/{name}", { params: { path: { name } } });
        tell(`${name} is deleted, with all that it owned.`);
        onGone();
      },
    });
  };
  return (
    <Dialog title={`Set ${name}`} onClose={onClose} side>
      {summary !== undefined && (
        <p>
          <State mood="good">
            Last applied <Instant at={summary.updated_at} />, first <Instant at={summary.created_at} />
          </State>
        </p>
      )}
      <Shown of={found}>
        {(content) => (
          <>
            <Members title="Triggers" of={content.triggers} link={(key) => `${HOME}/triggers/by-key/${key}`} />
            <Members title="Destinations" of={content.destinations} link={(key) => `${HOME}/destinations?key=${key}`} />
            <Members title="Calendars" of={content.calendars} link={(key) => `${HOME}/calendars?open=${key}`} />
            <h3>As a file</h3>
            <pre tabIndex={0}>{JSON.stringify(content, null, 2)}</pre>
            <p class="buttons">
              <CopyButton text={JSON.stringify(content, null, 2)} label="Copy" />
              <CopyButton text={curlOf("PUT", `/sets/${name}?dry_run=true`, content)} label="Copy as curl (plans only)" />
              {holds("triggers:write") && (
                <button type="button" class="danger" onClick={() => remove(content)}>
                  Delete
                </button>
              )}
            </p>
          </>
        )}
      </Shown>
    </Dialog>
  );
}

function Members({
  title,
  of,
  link,
}: {
  title: string;
  of: object | undefined;
  link: (key: string) => string;
}): JSX.Element | null {
  const keys = Object.keys(of ?? {});
  if (keys.length === 0) return null;
  return (
    <>
      <h3>
        {count(keys.length)} {title.toLowerCase()}
      </h3>
      <ul>
        {keys.slice(0, 90).map((key) => (
          <li key={key}>
            <a href={link(key)}>{key}</a>
          </li>
        ))}
      </ul>
      {keys.length > 90 && <p class="quiet">and {count(keys.length - 90)} more</p>}
    </>
  );
}
