// Filters with a name of one's own, kept in this browser for each project.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { project } from "../api/client";
import { useUrl } from "../url";

type Saved = Record<string, string>; // a name, and the filters as a query

export function SavedFilters({ view, names }: { view: string; names: readonly string[] }): JSX.Element | null {
  const url = useUrl();
  const place = `filters-${view}-${project.value ?? "own"}`;
  const saved = read(place);
  const [name, setName] = useState<string | null>(null);
  const [, setTurn] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [name === null]);
  const now = new URLSearchParams(url.filters(...names)).toString();
  const keep = (changed: Saved): void => {
    localStorage.setItem(place, JSON.stringify(changed));
    setTurn((turn) => turn + 1);
  };
  const current = Object.entries(saved).find(([, query]) => query === now)?.[0];
  const use = (query: string): void =>
    url.set({ ...Object.fromEntries(names.map((one) => [one, ""])), ...Object.fromEntries(new URLSearchParams(query)) });
  if (Object.keys(saved).length === 0 && now === "") return null;
  return (
    <div class="saved" role="group" aria-label="Saved filters">
      {Object.entries(saved).map(([one, query]) => (
        <span key={one} class="pill">
          <button type="button" class="plain" aria-pressed={one === current} onClick={() => use(one === current ? "" : query)}>
            {one}
          </button>
          <button
            type="button"
            class="plain"
            aria-label={`Forget the filters ${one}`}
            onClick={() => keep(Object.fromEntries(Object.entries(saved).filter(([other]) => other !== one)))}
          >
            ✕
          </button>
        </span>
      ))}
      {now !== "" && name === null && (
        <button type="button" class="plain" onClick={() => use("")}>
          Clear
        </button>
      )}
      {current === undefined && now !== "" && name === null && (
        <button type="button" class="plain" onClick={() => setName("")}>
          Save these filters
        </button>
      )}
      {name !== null && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (name.trim() !== "") keep({ ...saved, [name.trim()]: now });
            setName(null);
          }}
        >
          <input
            aria-label="Name of these filters"
            placeholder="such as: failing ones"
            maxLength={40}
            ref={field}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit">Save</button>
          <button type="button" class="plain" onClick={() => setName(null)}>
            Cancel
          </button>
        </form>
      )}
    </div>
  );
}

function read(place: string): Saved {
  return JSON.parse(localStorage.getItem(place) ?? "{}") as Saved;
}
