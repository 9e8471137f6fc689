// Filters by time: since and until, kept in the URL as instants in UTC.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { serverNow } from "../api/client";
import { zone, wallTime, instantOf } from "../time";
import { useUrl } from "../url";

const AGO: readonly (readonly [string, string])[] = [
  ["3600", "the last hour"],
  ["86400", "the last day"],
  ["604800", "the last week"],
];

/** Shortcuts that set the beginning, or two local times in the zone of the page. */
export function SinceUntil(): JSX.Element {
  const url = useUrl();
  const isSet = url.get("since") !== "" || url.get("until") !== "";
  const [isChosen, setChosen] = useState(false);
  return (
    <>
      <label class="filter">
        Within
        <select
          value={isSet || isChosen ? "chosen" : ""}
          onChange={(event) => {
            const value = event.currentTarget.value;
            setChosen(value === "chosen");
            if (value === "chosen") return;
            const since = value === "" ? "" : new Date(serverNow() - Number(value) * 1000).toISOString();
            url.set({ since, until: "" });
          }}
        >
          <option value="">any time</option>
          <option value="chosen">chosen times…</option>
          {AGO.map(([seconds, words]) => (
            <option key={seconds} value={seconds}>
              {words}
            </option>
          ))}
        </select>
      </label>
      {(isSet || isChosen) && (
        <>
          <Local name="since" label="Since" />
          <Local name="until" label="Until" />
        </>
      )}
    </>
  );
}

function Local({ name, label }: { name: "since" | "until"; label: string }): JSX.Element {
  const url = useUrl();
  const at = url.get(name);
  return (
    <label class="filter">
      {label}
      <input
        type="datetime-local"
        title={`In ${zone.value}`}
        value={at === "" ? "" : wallTime(new Date(at))}
        onChange={(event) => {
          const text = event.currentTarget.value;
          url.set({ [name]: text === "" ? "" : instantOf(text).toISOString() });
        }}
      />
    </label>
  );
}
