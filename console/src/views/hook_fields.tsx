// The fields of the editor for a hook: who may call it, and how calls are verified.
import type { JSX } from "preact";
import { Faults } from "../parts/code";
import type { Draft, HOOK_TEXTS, Verify } from "./draft";
import type { Part } from "./schedule_fields";

const SENDERS: Record<Verify, string> = {
  none: "knowing the URL is enough",
  standard_webhooks: "Standard Webhooks, Svix",
  github: "GitHub, Gitea, Forgejo, Bitbucket, Jira",
  gitlab: "GitLab",
  stripe: "Stripe",
  slack: "Slack",
  shopify: "Shopify",
  linear: "Linear",
  twilio: "Twilio",
  discord: "Discord",
  sendgrid: "SendGrid",
  hmac: "another signature (HMAC)",
  token: "a secret in a header",
  basic: "a user's name and a password (basic)",
};
const PUBLIC_KEYS: readonly string[] = ["discord", "sendgrid"];

type Name = (typeof HOOK_TEXTS)[number];
type Option = readonly [Name, string, string] | readonly [Name, string, readonly string[]];

const OPTIONS: Partial<Record<Verify, readonly Option[]>> = {
  hmac: [
    ["header", "Header with the signature", "X-Signature"],
    ["algorithm", "Algorithm", ["sha256", "sha1", "sha512"]],
    ["encoding", "Written in", ["hex", "base64"]],
    ["signs", "What is signed", "{timestamp}.{body}"],
    ["prefix", "Text before the signature", "sha256="],
    ["timestamp_header", "Header with the signed time", "X-Timestamp"],
    ["id_header", "Header with the id of a call", "X-Id"],
  ],
  token: [["header", "Header with the secret (Authorization: Bearer, if empty)", "X-Token"]],
  basic: [["username", "User's name", "sender"]],
};
const METHODS = ["POST", "PUT", "GET"] as const;

export function HookFields({ draft, change, faultsAt }: Part): JSX.Element {
  const { hook } = draft;
  const set = (changes: Partial<Draft["hook"]>): void => change({ hook: { ...hook, ...changes } });
  const choose = (verify: Verify | ""): void =>
    set({
      verify,
      ...Object.fromEntries(OPTIONAL.map((name) => [name, ""])),
      ...(verify === "hmac" ? { header: "X-Signature", algorithm: "sha256", encoding: "hex", signs: "{body}" } : {}),
    });
  const isHeartbeat = draft.kind === "heartbeat";
  return (
    <>
      <label>
        {isHeartbeat ? "Pings come" : "Webhook"}
        <select value={hook.verify} onChange={(event) => choose(event.currentTarget.value as Verify | "")}>
          <option value="">{isHeartbeat ? "to a secret URL" : "none: callers need a token or a key"}</option>
          {(Object.keys(SENDERS) as Verify[]).map((verify) => (
            <option key={verify} value={verify}>
              a URL: {SENDERS[verify]}
            </option>
          ))}
        </select>
      </label>
      <Faults of={faultsAt("/details/hook")} />
      {hook.verify !== "" && (
        <>
          <div class="repeats">
            {(OPTIONS[hook.verify] ?? []).map(([name, words, values]) => (
              <label key={name}>
                {words}
                {typeof values === "string" ? (
                  <input
                    class="code"
                    value={hook[name]}
                    placeholder={values}
                    spellcheck={false}
                    onInput={(event) => set({ [name]: event.currentTarget.value })}
                  />
                ) : (
                  <select value={hook[name]} onChange={(event) => set({ [name]: event.currentTarget.value })}>
                    {values.map((value) => (
                      <option key={value} value={value}>
                        {value}
                      </option>
                    ))}
                  </select>
                )}
              </label>
            ))}
          </div>
          {hook.verify !== "none" && (
            <label>
              {PUBLIC_KEYS.includes(hook.verify)
                ? "The sender's public key"
                : "The secret that the sender has issued; empty, one is made or stays"}
              <input
                type="password"
                autocomplete="off"
                value={hook.secret}
                onInput={(event) => set({ secret: event.currentTarget.value })}
              />
            </label>
          )}
          {!isHeartbeat && (
          <fieldset class="days">
            <legend>Methods</legend>
            {METHODS.map((method) => (
              <label key={method} class="check">
                <input
                  type="checkbox"
                  checked={hook.methods.includes(method) || (hook.methods.length === 0 && method === "POST")}
                  onChange={(event) => {
                    const before = hook.methods.length === 0 ? ["POST"] : hook.methods;
                    set({
                      methods: event.currentTarget.checked ? [...before, method] : before.filter((one) => one !== method),
                    });
                  }}
                />
                {method}
              </label>
            ))}
          </fieldset>
          )}
          <label>
            Headers of a call that its event shows, beside the known ones
            <input class="code" value={hook.headers} placeholder="X-Topic" onInput={(event) => set({ headers: event.currentTarget.value })} />
          </label>
          <label>
            Token of a sender that asks first (hub.verify_token)
            <input class="code" value={hook.verify_token} onInput={(event) => set({ verify_token: event.currentTarget.value })} />
          </label>
        </>
      )}
    </>
  );
}

const OPTIONAL: readonly Name[] = ["header", "algorithm", "encoding", "prefix", "signs", "timestamp_header", "id_header", "username"];
