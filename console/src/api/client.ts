// Calls the API as a typed client, in the chosen project, and turns refusals into errors.
import { signal } from "@preact/signals";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Trigger = Schemas["TriggerRead"];
export type Event = Schemas["EventRead"];
export type Delivery = Schemas["DeliveryRead"];
export type Destination = Schemas["DestinationRead"];
export type Me = Schemas["MeRead"];

export const PREFIX = document.documentElement.dataset["prefix"] ?? "";
export const HOME = `${PREFIX}/console`;

/** The user of the session; undefined until it is known, null without a session. */
export const me = signal<Me | null | undefined>(undefined);

/** The project of all calls; null is the user's default one. */
export const project = signal<number | null>(storedProject());

/** How far the server's clock is ahead of the browser's, in milliseconds. */
export const clockAhead = signal(0);

export const serverNow = (): number => Date.now() + clockAhead.value;

/** A refusal, as the server describes it (RFC 9457), or the lack of any answer. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly type: string,
    readonly fields: ReadonlyMap<string, string>,
    readonly requestId: string | null,
  ) {
    super(detail);
  }

  get isUnreachable(): boolean {
    return this.status === 0 || this.status === 503;
  }
}

export const api = createClient<paths>({ baseUrl: PREFIX || location.origin });

api.use({
  onRequest({ request }) {
    if (project.value !== null) request.headers.set("X-Project-ID", String(project.value));
  },
  async onResponse({ response, schemaPath }) {
    if (response.ok || response.status === 304) return;
    const isSigningIn = schemaPath === "/console/session";
    if (response.status === 401 && !isSigningIn) me.value = null;
    throw await refusal(response);
  },
  onError({ error }) {
    if (error instanceof DOMException && error.name === "AbortError") return error;
    return new Refused(0, "The server cannot be reached.", "unreachable", new Map(), null);
  },
});

export async function refusal(response: Response): Promise<Refused> {
  const body: { detail?: string; title?: string; type?: string; errors?: FieldProblem[] } =
    await response.json().catch(() => ({}));
  const fields = new Map(
    (body.errors ?? []).map((one) => [one.pointer ?? one.parameter ?? "", one.detail]),
  );
  const detail = body.detail ?? body.title ?? `The server answered ${response.status}.`;
  const requestId = response.headers.get("x-request-id");
  return new Refused(response.status, detail, body.type ?? "", fields, requestId);
}

interface FieldProblem {
  pointer?: string;
  parameter?: string;
  detail: string;
}

export async function loadMe(): Promise<void> {
  const { data } = await api.GET("/auth/me");
  me.value = data ?? null;
}

export async function signIn(email: string, password: string): Promise<void> {
  await api.POST("/console/session", { body: { email, password } });
  await loadMe();
}

export async function signOut(): Promise<void> {
  await api.DELETE("/console/session");
  me.value = null;
}

export function chooseProject(id: number | null): void {
  project.value = id;
  if (id === null) sessionStorage.removeItem("project");
  else sessionStorage.setItem("project", String(id));
}

function storedProject(): number | null {
  const stored = sessionStorage.getItem("project");
  return stored === null ? null : Number(stored);
}

/** The cursor of the next page, from a response's `Link` header. */
export function nextCursor(response: Response): string | null {
  const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
  return next === undefined ? null : new URL(next, location.href).searchParams.get("cursor");
}

export function holds(scope: string): boolean {
  return me.value?.scopes.some((one) => one === scope) ?? false;
}
