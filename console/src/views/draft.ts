// What the editor of a trigger holds: fields of text, made from a trigger and back into a body.
import type { Schemas, Trigger } from "../api/client";
import { browserZone } from "../time";

export const KINDS = {
  cron: "On a cron schedule",
  interval: "Every so often",
  rrule: "By a calendar rule (RFC 5545)",
  once: "Once, at a time",
  api: "When it is called",
  heartbeat: "When an expected ping does not come",
  other: "Something else, as JSON",
} as const;
export type Kind = keyof typeof KINDS;
export const TYPES: Record<Kind, Trigger["type"] | null> = {
  cron: "scheduled",
  interval: "scheduled",
  rrule: "scheduled",
  once: "scheduled",
  api: "api",
  heartbeat: "heartbeat",
  other: null,
};

export type Verify = Schemas["Verify"];
export const HOOK_TEXTS = [
  ...["header", "algorithm", "encoding", "prefix", "signs", "timestamp_header", "id_header", "username"],
  ...["verify_token", "secret"],
] as const;
const LIMIT_TEXTS = ["from", "until", "spread", "catch_up"] as const;

export interface Draft {
  kind: Kind;
  name: string;
  key: string;
  cron: string;
  timezone: string;
  interval: string;
  time: string;
  rrule: string;
  grace: string;
  isByCron: boolean; // a heartbeat's pings
  from: string;
  until: string;
  spread: string;
  catch_up: string;
  maxFires: string;
  except: string; // dates and keys of calendars, separated by spaces
  isDeletedAtEnd: boolean;
  hook: { verify: Verify | ""; methods: string[]; headers: string } & Record<(typeof HOOK_TEXTS)[number], string>;
  schema: string;
  details: string;
  /** Details that no field shows: they stay as they are. */
  rest: Record<string, unknown>;
  payload: string;
  tags: string;
  destinations: number[];
}

const NO_HOOK: Draft["hook"] = {
  ...{ verify: "", methods: [], headers: "" },
  ...{ header: "", algorithm: "", encoding: "", prefix: "", signs: "", timestamp_header: "", id_header: "" },
  ...{ username: "", verify_token: "", secret: "" },
};

export const NEW: Draft = {
  kind: "cron",
  name: "",
  key: "",
  cron: "0 9 * * 1-5",
  timezone: browserZone,
  interval: "PT5M",
  time: "",
  rrule: "FREQ=MONTHLY;BYDAY=-1FR",
  grace: "PT5M",
  isByCron: false,
  from: "",
  until: "",
  spread: "",
  catch_up: "",
  maxFires: "",
  except: "",
  isDeletedAtEnd: false,
  hook: NO_HOOK,
  schema: "",
  details: "{}",
  rest: {},
  payload: "",
  tags: "",
  destinations: [],
};

type Json = Record<string, unknown>;
const pretty = (value: unknown): string => (value == null ? "" : JSON.stringify(value, null, 2));

export function draftOf(trigger: Trigger): Draft {
  const details = trigger.details as Json;
  const kind = kindOf(trigger.type, details);
  const text = (name: string): string => (details[name] === undefined ? "" : String(details[name]));
  const shared = {
    kind,
    name: trigger.name ?? "",
    key: trigger.key ?? "",
    details: pretty(details),
    payload: pretty(trigger.payload),
    tags: trigger.tags.join(", "),
    destinations: trigger.destinations,
    isDeletedAtEnd: trigger.on_completion === "delete",
  };
  if (kind === "other") return { ...NEW, ...shared };
  const shown = new Set<string>([...FIELDS[kind], ...(TYPES[kind] === "scheduled" ? LIMITS : []), "schema", "hook", "recurring"]);
  return {
    ...NEW,
    ...shared,
    ...Object.fromEntries([...LIMIT_TEXTS, "cron", "interval", "time", "rrule"].map((name) => [name, text(name)])),
    timezone: text("timezone") || (kind === "interval" ? NEW.timezone : "UTC"),
    grace: text("grace") || NEW.grace,
    isByCron: kind === "heartbeat" && "cron" in details,
    maxFires: text("max_fires"),
    except: ((details["except"] as (string | { calendar: string })[] | undefined) ?? [])
      .map((one) => (typeof one === "string" ? one : one.calendar))
      .join(" "),
    hook: hookDraft(details["hook"] as Json | undefined),
    schema: pretty(details["schema"]),
    rest: Object.fromEntries(Object.entries(details).filter(([name]) => !shown.has(name))),
  };
}

const FIELDS: Record<Exclude<Kind, "other">, readonly string[]> = {
  cron: ["cron", "timezone"],
  interval: ["interval", "time", "timezone"],
  rrule: ["rrule", "time", "timezone"],
  once: ["time", "timezone"],
  api: [],
  heartbeat: ["interval", "cron", "timezone", "grace"],
};
const LIMITS = [...LIMIT_TEXTS, "max_fires", "except"];

function kindOf(type: Trigger["type"], details: Json): Kind {
  if (type === "api" || type === "heartbeat") return Array.isArray(details["cron"]) ? "other" : type;
  if (typeof details["cron"] === "string") return "cron";
  if ("rrule" in details) return "rrule";
  if ("interval" in details) return details["recurring"] === true ? "interval" : "other";
  return "time" in details ? "once" : "other";
}

function hookDraft(hook: Json | undefined): Draft["hook"] {
  if (hook === undefined) return NO_HOOK;
  const texts = Object.fromEntries(HOOK_TEXTS.map((name) => [name, String(hook[name] ?? "")]));
  return {
    ...NO_HOOK,
    ...texts,
    verify: hook["verify"] as Verify,
    methods: (hook["methods"] as string[] | undefined) ?? [],
    headers: ((hook["headers"] as string[] | undefined) ?? []).join(" "),
  };
}

/** The details of a draft; throws a NotJson for JSON that is none. */
export function detailsOf(draft: Draft): Json {
  if (draft.kind === "other") return parsed(draft.details, "/details");
  const details: Json = { ...draft.rest, ...scheduleOf(draft) };
  if (TYPES[draft.kind] === "scheduled") Object.assign(details, limitsOf(draft));
  if (TYPES[draft.kind] !== "scheduled" && draft.hook.verify !== "") details["hook"] = hookOf(draft.hook);
  if (draft.schema.trim() !== "") details["schema"] = parsed(draft.schema, "/details/schema");
  return details;
}

/** What a draft says of times alone, for a preview. */
export function scheduleOf(draft: Draft): Json {
  const { cron, timezone, time, rrule, grace } = draft;
  switch (draft.kind) {
    case "cron":
      return { cron, timezone };
    case "interval":
      return {
        interval: intervalOf(draft),
        recurring: true,
        ...(time === "" ? {} : { time }),
        ...(time !== "" && !time.endsWith("Z") ? { timezone } : {}),
      };
    case "rrule":
      return { rrule, time, timezone };
    case "once":
      return time.endsWith("Z") ? { time } : { time, timezone };
    case "heartbeat":
      return draft.isByCron ? { cron, timezone, grace } : { interval: intervalOf(draft), grace };
    case "api":
      return {};
    case "other":
      return parsed(draft.details, "/details");
  }
}

export function limitsOf(draft: Draft): Json {
  const texts = LIMIT_TEXTS.map((name) => [name, draft[name]] as const).filter(([, text]) => text !== "");
  const except = draft.except.split(/[\s,]+/).filter((one) => one !== "");
  return {
    ...Object.fromEntries(texts),
    ...(draft.maxFires === "" ? {} : { max_fires: Number(draft.maxFires) }),
    ...(except.length === 0 ? {} : { except: except.map((one) => (/^\d{4}-/.test(one) ? one : { calendar: one })) }),
  };
}

function hookOf({ verify, methods, headers, ...texts }: Draft["hook"]): Json {
  const named = headers.split(/[\s,]+/).filter((one) => one !== "");
  return {
    verify,
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== "")),
    ...(methods.length === 0 ? {} : { methods }),
    ...(named.length === 0 ? {} : { headers: named }),
  };
}

const intervalOf = ({ interval }: Draft): string | number =>
  /^[0-9.]+$/.test(interval) ? Number(interval) : interval;

export function bodyOf(draft: Draft, type: string): Json {
  return {
    type,
    details: detailsOf(draft),
    name: draft.name === "" ? null : draft.name,
    key: draft.key === "" ? null : draft.key,
    payload: draft.payload.trim() === "" ? null : parsed(draft.payload, "/payload"),
    tags: draft.tags.split(",").map((tag) => tag.trim()).filter((tag) => tag !== ""),
    destinations: draft.destinations,
    ...(type === "scheduled" ? { on_completion: draft.isDeletedAtEnd ? "delete" : "keep" } : {}),
  };
}

/** The merge patch (RFC 7396) that makes an object into another one: what is to go is null. */
export function patchOf(before: Json, after: Json): Json {
  const patch: Json = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, wanted] = [before[name] ?? null, after[name] ?? null];
    if (JSON.stringify(old) === JSON.stringify(wanted)) continue;
    patch[name] = isObject(old) && isObject(wanted) ? patchOf(old, wanted) : wanted;
  }
  return patch;
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** A text that should be JSON and is not, with the place of its field. */
export class NotJson extends Error {
  constructor(
    readonly pointer: string,
    reason: string,
  ) {
    super(`This is not JSON: ${reason}`);
  }
}

function parsed(text: string, pointer: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new NotJson(pointer, (error as Error).message);
  }
}
