// A list of rows with a title and pages, as most views of settings have.
import type { ComponentChildren, JSX } from "preact";
import { api, me, nextCursor, type Schemas } from "../api/client";
import { Empty, Shown } from "../parts/basics";
import { Pages, Table, type Column } from "../parts/table";
import { useQuery, type Loaded } from "../query";
import { useUrl } from "../url";

export const PAGE = 50;

export interface Page<T> {
  rows: T[];
  next: string | null;
}

interface Listing<T> {
  title: string;
  empty: ComponentChildren;
  curl?: string;
  page: Loaded<Page<T>>;
  id: (row: T) => number | string;
  columns: readonly Column<T>[];
  onOpen?: (row: T) => void;
  buttons?: ComponentChildren;
  children?: ComponentChildren; // between the title and the rows
}

export function List<T>({ title, empty, curl, page, id, columns, onOpen, buttons, children }: Listing<T>): JSX.Element {
  return (
    <>
      <header class="view">
        <h1>{title}</h1>
        {buttons !== undefined && <span class="buttons">{buttons}</span>}
      </header>
      {children}
      <Shown of={page}>
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty {...(curl === undefined ? {} : { curl })}>{empty}</Empty>
          ) : (
            <>
              <Table label={title} rows={rows} id={id} columns={columns} {...(onOpen === undefined ? {} : { onOpen })} />
              <Pages next={next} />
            </>
          )
        }
      </Shown>
    </>
  );
}

type Lists = "/calendars" | "/sets" | "/auth/keys" | "/auth/sessions" | "/users" | "/audit";

export function usePage<T>(path: Lists, filter: Record<string, string> = {}, everySeconds = 30): Loaded<Page<T>> {
  const cursor = useUrl().get("cursor");
  const query = { limit: PAGE, ...filter, ...(cursor === "" ? {} : { cursor }) };
  return useQuery(
    `${path}?${new URLSearchParams(query as never)}`,
    async (signal) => {
      const { data, response } = await api.GET(path, { params: { query: query as never }, signal });
      return { rows: data as T[], next: nextCursor(response) };
    },
    everySeconds,
  );
}

/** The e-mail addresses of the project's members by the ids of users. */
export function usePeople(): ReadonlyMap<number, string> {
  const projectId = me.value?.project?.id;
  const people = useQuery(`people-${projectId}`, async (signal) => {
    if (projectId === undefined) return new Map<number, string>();
    const { data } = await api.GET("/projects/{project_id}/members", {
      params: { path: { project_id: projectId }, query: { limit: 1000 } },
      signal,
    });
    return new Map((data as Schemas["MemberRead"][]).map((one) => [one.user_id, one.email]));
  });
  return people.data ?? new Map();
}

/** The host of the API as a terminal reaches it, and the header that names the project. */
export function curlOf(method: string, path: string, body?: object): string {
  const project = sessionStorage.getItem("project");
  return [
    `curl -X ${method} ${location.origin}${path}`,
    `-H "Authorization: Bearer $TOKEN"`,
    ...(project === null ? [] : [`-H 'X-Project-ID: ${project}'`]),
    ...(body === undefined ? [] : [`-H 'Content-Type: application/json'`, `-d '${JSON.stringify(body)}'`]),
  ].join(" \\\n  ");
}
