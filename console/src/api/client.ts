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

  /** The password was given too long ago for this. */
  get wantsPassword(): boolean {
    return this.type.endsWith(":reauthenticate");
  }

  get isUnreachable(): boolean {
    return this.status === 0 || this.status === 503;
  }
}

const MOST_TRIES = 6;
const LONGEST_WAIT = 2; // seconds

/** Asks again when the service is too busy for this user and says that it will not take long. */
async function patientFetch(request: Request): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await fetch(request.clone());
    const wait = Number(response.headers.get("retry-after") ?? Infinity);
    if (response.status !== 429 || wait > LONGEST_WAIT || tries === MOST_TRIES) return response;
    await new Promise((wake) => setTimeout(wake, (0.3 + Math.random()) * wait * 1000));
  }
}

export const api = createClient<paths>({ baseUrl: PREFIX || location.origin, fetch: patientFetch });

api.use({
  onRequest({ request }) {
    if (project.value !== null) request.headers.set("X-Project-ID", String(project.value));
  },
  async onResponse({ response, schemaPath }) {
    noteClock(response);
    if (response.ok || response.status === 304) return;
    const refused = await refusal(response);
    if (response.status === 401 && schemaPath !== "/console/session") sessionIsOver(refused);
    throw refused;
  },
  onError({ error }) {
    if (error instanceof DOMException && error.name === "AbortError") return error;
    return new Refused(0, "The server cannot be reached.", "unreachable", new Map(), null);
  },
});

const CLOCKS_DIFFER = 2_000; // ms; less may be the rounding of the header and the way here

/** Learns the server's clock from an answer. */
function noteClock(response: Response): void {
  const ahead = Date.parse(response.headers.get("date") ?? "") + 500 - Date.now();
  if (Number.isNaN(ahead)) return;
  const known = Math.abs(ahead) < CLOCKS_DIFFER ? 0 : ahead;
  if (Math.abs(known - clockAhead.value) >= CLOCKS_DIFFER / 2) clockAhead.value = known;
}

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

/** Why the password is asked for above the page, so that nothing typed below is lost. */
export type Wanted = { why: "expired" | "fresh"; done: (isGiven: boolean) => void };
export const passwordWanted = signal<Wanted | null>(null);

/** Counts sign-ins: whatever the page shows is loaded again after one. */
export const signedIn = signal(0);

function sessionIsOver(refused: Refused): void {
  if (refused.wantsPassword) return; // `withPassword` asks
  if (me.value === undefined || me.value === null) me.value = null;
  else passwordWanted.value ??= { why: "expired", done: () => undefined };
}

/** Runs a command; if it needs a password that was given lately, asks for it, and runs it again. */
export async function withPassword<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Refused && error.wantsPassword)) throw error;
    const isGiven = await new Promise<boolean>((done) => {
      passwordWanted.value = { why: "fresh", done };
    });
    if (!isGiven) throw error;
    return act();
  }
}

/** Loads who is signed in. A project that this user is no member of is left. */
export async function loadMe(): Promise<void> {
  try {
    const { data } = await api.GET("/auth/me");
    me.value = data ?? null;
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404 && project.value !== null)) throw error;
    chooseProject(null);
    await loadMe();
  }
}

export async function signIn(email: string, password: string): Promise<void> {
  await api.POST("/console/session", { body: { email, password } });
  await loadMe();
  signedIn.value++;
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

/** The project that a link names, or the last one chosen in this tab. */
function storedProject(): number | null {
  const linked = new URLSearchParams(location.search).get("project");
  if (linked !== null && /^\d+$/.test(linked)) sessionStorage.setItem("project", linked);
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
