// A trigger as other tools write it: a call by curl, the command line, a file of a set.
import { HOME, api, type Trigger } from "../api/client";

export const COPIED = { fire: "curl that fires it", curl: "curl that makes it", cli: "command line", yaml: "YAML of a set" } as const;
export type Copied = keyof typeof COPIED;

type Json = Record<string, unknown>;

const base = (): string => `${location.origin}${HOME.slice(0, -"/console".length)}`;
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const headers = `-H "Authorization: Bearer $TOKEN"`;

export async function copyOf(kind: Copied, trigger: Trigger): Promise<string> {
  if (kind === "fire") return `curl -X POST ${base()}/triggers/${trigger.id}/trigger ${headers}`;
  const names = await destinationNames(trigger.destinations);
  const body = bodyOf(trigger, names);
  if (kind === "yaml") return yamlOf(trigger, body);
  if (kind === "cli") return cliOf(trigger, body);
  const [method, path] = trigger.key === null ? ["POST", "/triggers"] : ["PUT", `/triggers/by-key/${trigger.key}`];
  const json = JSON.stringify(body, null, 2);
  return `curl -X ${method} ${base()}${path} ${headers} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(json)}`;
}

/** The keys of destinations, and the ids of those without one. */
async function destinationNames(ids: readonly number[]): Promise<(string | number)[]> {
  return Promise.all(
    ids.map(async (id) => {
      const { data } = await api.GET("/destinations/{destination_id}", { params: { path: { destination_id: id } } });
      return data?.key ?? id;
    }),
  );
}

/** What makes the same trigger: the fields that are not the default. A hook's secret is never among them. */
function bodyOf(trigger: Trigger, destinations: readonly (string | number)[]): Json {
  return {
    type: trigger.type,
    details: trigger.details,
    ...(trigger.name === null ? {} : { name: trigger.name }),
    ...(trigger.payload === null ? {} : { payload: trigger.payload }),
    ...(trigger.tags.length === 0 ? {} : { tags: trigger.tags }),
    ...(destinations.length === 0 ? {} : { destinations }),
    ...(trigger.on_completion === "keep" ? {} : { on_completion: trigger.on_completion }),
  };
}

function cliOf(trigger: Trigger, body: Json): string {
  const { cron, timezone, ...others } = trigger.details as Json;
  const start = `event-trigger triggers create${trigger.key === null ? "" : ` ${trigger.key}`}`;
  if (typeof cron === "string" && Object.keys(others).length === 0 && body["on_completion"] === undefined) {
    return [
      `${start} --cron ${quoted(cron)}`,
      ...(timezone === undefined ? [] : [`--tz ${String(timezone)}`]),
      ...(trigger.name === null ? [] : [`--name ${quoted(trigger.name)}`]),
      ...(trigger.payload === null ? [] : [`--payload ${quoted(JSON.stringify(trigger.payload))}`]),
      ...trigger.tags.map((tag) => `--tag ${quoted(tag)}`),
      ...((body["destinations"] as (string | number)[] | undefined) ?? []).map((one) => `--destination ${one}`),
    ].join(" \\\n  ");
  }
  return `${start} --file - <<'EOF'\n${JSON.stringify(body, null, 2)}\nEOF`;
}

/** The short form of a set's file; a value in JSON is YAML, too, and a plain `${` is written `$${` there. */
function yamlOf(trigger: Trigger, { type, details, ...others }: Json): string {
  const { interval, recurring, ...rest } = details as Json;
  const schedule = { ...(interval === undefined ? {} : recurring === true ? { every: interval } : { interval }), ...rest };
  const short: Json = {
    ...(type === "heartbeat" ? { heartbeat: schedule } : schedule),
    ...(type === "api" && !("hook" in rest) ? { type } : {}),
    ...others,
    ...(trigger.status === "paused" ? { status: "paused" } : {}),
  };
  const lines = Object.entries(short).map(([name, value]) => `    ${name}: ${JSON.stringify(value).replaceAll("${", () => "$${")}`);
  const key = trigger.key ?? `trigger-${trigger.id}`;
  return ["version: 1", `set: ${trigger.set_name ?? "my-set"}`, "triggers:", `  ${key}:`, ...lines, ""].join("\n");
}
