// Uses the types that openapi-typescript generates with openapi-fetch, as a client of the API would.
// Run as `node journey.ts URL EMAIL PASSWORD RECEIVER`; it prints each step that it has taken.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
type Trigger = Schemas["TriggerRead"];

declare const process: { argv: string[] };
const [url = "", email = "", password = "", receiver = ""] = process.argv.slice(2);
const LARGEST_SAFE_ID = Number.MAX_SAFE_INTEGER;

function must(condition: boolean, what: unknown): asserts condition {
  if (!condition) throw new Error(JSON.stringify(what) ?? "undefined");
}

function found<T>(answer: { data?: T; error?: Schemas["ProblemRead"] }): T {
  if (answer.data === undefined) throw new Error(answer.error?.detail ?? "no answer");
  return answer.data;
}

function step(name: string): void {
  console.log(name);
}

// sign in
const stranger = createClient<paths>({ baseUrl: url });
const tokens = found(
  await stranger.POST("/auth/token", {
    body: { username: email, password },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
);
const api = createClient<paths>({
  baseUrl: url,
  headers: { Authorization: `Bearer ${tokens.access_token}` },
});
const me = found(await api.GET("/auth/me"));
must(me.email === email, me);
step("sign in");

// create triggers: `type` tells which details a trigger has
function cronOf(trigger: Trigger): string | string[] | undefined {
  return trigger.type === "scheduled" ? trigger.details.cron : trigger.details.hook?.verify;
}
const daily = found(
  await api.POST("/triggers", {
    body: { type: "scheduled", details: { cron: "0 9 * * mon-fri", timezone: "Europe/Berlin" } },
  }),
);
must(cronOf(daily) === "0 9 * * mon-fri", daily);
const trigger = found(await api.POST("/triggers", { body: { type: "api", name: "Deploy" } }));
must(cronOf(trigger) === undefined, trigger);
step("create triggers");

// create once
const creations = [];
for (const _ of [1, 2]) {
  creations.push(
    await api.POST("/triggers", {
      params: { header: { "Idempotency-Key": "create once" } },
      body: { type: "api", tags: ["once"] },
    }),
  );
}
const [first, second] = creations.map(found);
must(first !== undefined && first.id === second?.id, creations);
must(creations[1]?.response.headers.get("Idempotent-Replayed") === "true", second);
const once = found(
  await api.GET("/triggers", { params: { query: { tag: ["once"], view: "summary" } } }),
);
must(once.length === 1 && once[0]?.type === "api" && !("payload" in once[0]), once);
step("create once");

// put by key
const nightly = { type: "scheduled", details: { cron: "0 2 * * *" } } as const;
const byKey = { path: { key: "nightly-report" } };
const made = await api.PUT("/triggers/by-key/{key}", { params: byKey, body: nightly });
const replaced = await api.PUT("/triggers/by-key/{key}", { params: byKey, body: nightly });
must(made.response.status === 201 && replaced.response.status === 200, replaced.error);
must(found(made).id === found(replaced).id && replaced.data?.key === "nightly-report", replaced);
must(made.response.headers.get("ETag") === replaced.response.headers.get("ETag"), made.data);
const stale = await api.PUT("/triggers/by-key/{key}", {
  params: { ...byKey, header: { "If-Match": '"no"' } },
  body: nightly,
});
must(stale.error?.status === 412, stale.data);
step("put by key");

// fire
const ids: number[] = [];
const path = { trigger_id: trigger.id };
for (const number of [0, 1, 2]) {
  const header = { "Idempotency-Key": `call ${number}` };
  const answer = await api.POST("/triggers/{trigger_id}/trigger", {
    params: { path, header },
    body: { number, nothing: null },
  });
  must(found(answer).message === "Event triggered", answer.data);
  ids.push(Number(answer.response.headers.get("Event-Id")));
}
const again = await api.POST("/triggers/{trigger_id}/trigger", {
  params: { path, header: { "Idempotency-Key": "call 2" } },
  body: { number: 2, nothing: null },
});
must(again.response.headers.get("Idempotent-Replayed") === "true", again.data);
const without = await api.POST("/triggers/{trigger_id}/trigger", { params: { path } });
ids.push(Number(without.response.headers.get("Event-Id")));
step("fire");

// page through events
type Row = Schemas["EventListed"] | Schemas["TriggerCount"];
function isEvent(row: Row): row is Schemas["EventListed"] {
  return "triggered_at" in row;
}
const seen: Schemas["EventListed"][] = [];
let cursor: string | undefined;
do {
  const query = { trigger_id: [trigger.id], limit: 2, ...(cursor === undefined ? {} : { cursor }) };
  const page = await api.GET("/events", { params: { query } });
  seen.push(...found(page).filter(isEvent));
  const [, target] = /<(.+)>/.exec(page.response.headers.get("Link") ?? "") ?? [];
  cursor = target && (new URL(target, url).searchParams.get("cursor") ?? undefined);
} while (cursor);
const newestFirst = [...ids].reverse();
must(seen.map((event) => event.id).join() === newestFirst.join(), seen);
must(seen.at(-1)?.payload?.["nothing"] === null && seen[0]?.payload === null, seen);
step("page through events");

// aggregate
const counts = found(await api.GET("/events", { params: { query: { aggregate: true } } }));
const [count, ...others] = counts.filter((row) => !isEvent(row));
must(count !== undefined && "count" in count && count.count === 4 && !others.length, counts);
step("aggregate");

// stream
const leaving = new AbortController();
const following = await api.GET("/events/stream", {
  params: { header: { "Last-Event-ID": ids[0]! } },
  parseAs: "stream",
  signal: leaving.signal,
});
const streamed: Schemas["EventRead"][] = [];
let text = "";
for await (const bytes of found(following)!.pipeThrough(new TextDecoderStream())) {
  text += bytes;
  const lines = text.split("\n");
  text = lines.pop()!;
  for (const line of lines) {
    if (line.startsWith("data: ")) streamed.push(JSON.parse(line.slice("data: ".length)));
  }
  if (streamed.length >= 3) break;
}
leaving.abort();
must(streamed.map((event) => event.id).join() === ids.slice(1).join(), streamed);
step("stream");

// export
const exported = found(
  await api.GET("/events/export", { params: { query: { format: "ndjson" } }, parseAs: "text" }),
);
const rows = exported.trim().split("\n").map((line): Schemas["EventRead"] => JSON.parse(line));
must(rows.map((row) => row.id).join() === newestFirst.join(), rows);
step("export");

// destinations
const destination = found(await api.POST("/destinations", { body: { url: receiver } }));
must(destination.secret?.startsWith("whsec_") === true, destination.id);
const at = { params: { path: { destination_id: destination.id } } };
const changed = found(
  await api.PATCH("/destinations/{destination_id}", { ...at, body: { description: "Billing" } }),
);
must(changed.description === "Billing" && changed.timeout === destination.timeout, changed);
const attempt = found(await api.POST("/destinations/{destination_id}/test", at));
must(attempt.status_code === 204, attempt);
const named = found(
  await api.PATCH("/triggers/{trigger_id}", {
    params: { path },
    body: { destinations: [destination.id] },
  }),
);
must(named.destinations[0] === destination.id && named.name === "Deploy", named);
const listed = found(await api.GET("/destinations"));
must(listed.length === 1 && listed[0]?.id === destination.id, listed);
found(await api.GET("/deliveries", { params: { query: { destination_id: destination.id } } }));
const gone = await api.DELETE("/destinations/{destination_id}", at);
must(gone.response.status === 204, gone.error);
step("destinations");

// keys
const key = found(
  await api.POST("/auth/keys", { body: { name: "Deploy script", scopes: ["triggers:fire"] } }),
);
const machine = createClient<paths>({ baseUrl: url, headers: { "X-API-Key": key.key } });
found(await machine.POST("/triggers/{trigger_id}/trigger", { params: { path } }));
const refused = await machine.GET("/events");
must(refused.error?.status === 403, refused.data);
const ended = await api.DELETE("/auth/keys/{key_id}", { params: { path: { key_id: key.id } } });
must(ended.response.status === 204, ended.error);
step("keys");

// overview
const overview = found(await api.GET("/overview"));
must(["ok", "attention", "unknown"].includes(overview.verdict), overview);
must(overview.due.late === 0, overview);
step("overview");

// errors
const missing = await api.GET("/triggers/{trigger_id}", {
  params: { path: { trigger_id: LARGEST_SAFE_ID } },
});
must(missing.error?.type === "urn:event-trigger:problem:not-found", missing.data);
const invalid = await api.POST("/triggers", {
  body: { type: "scheduled", details: { cron: "0 0 30 2 *" } },
});
must(invalid.error?.errors?.[0]?.pointer === "#/details/cron", invalid.data);
step("errors");
