// Filters that somebody has given a name, kept in this browser for each view.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useUrl } from "../url";
import { Field, FormDialog } from "./forms";

type Saved = Record<string, Record<string, string>>;

/** A choice of saved filters, and a button that saves those of the URL. */
export function SavedFilters({ view, names }: { view: string; names: readonly string[] }): JSX.Element | null {
  const url = useUrl();
  const place = `filters/${view}`;
  const [saved, setSaved] = useState<Saved>(() => JSON.parse(localStorage.getItem(place) ?? "{}") as Saved);
  const [isNaming, setNaming] = useState(false);
  const [name, setName] = useState("");
  const keep = (changed: Saved): void => {
    setSaved(changed);
    localStorage.setItem(place, JSON.stringify(changed));
  };
  const filter = Object.fromEntries(names.map((one) => [one, url.get(one)] as const).filter(([, value]) => value !== ""));
  const nothing = Object.fromEntries(names.map((one) => [one, ""]));
  const isFiltered = Object.keys(filter).length > 0;
  const current = Object.keys(saved).find((one) => JSON.stringify(saved[one]) === JSON.stringify(filter)) ?? "";
  if (!isFiltered && Object.keys(saved).length === 0) return null;
  return (
    <>
      {Object.keys(saved).length > 0 && (
        <label class="filter">
          Saved
          <select
            value={current}
            onChange={(event) => url.set({ ...nothing, ...(saved[event.currentTarget.value] ?? {}) })}
          >
            <option value="">none</option>
            {Object.keys(saved).map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      )}
      {isFiltered && (
        <span class="filter">
          <button type="button" class="plain" onClick={() => url.set(nothing)}>
            Clear
          </button>
          {current === "" ? (
            <button type="button" class="plain" onClick={() => setNaming(true)}>
              Save these filters
            </button>
          ) : (
            <button
              type="button"
              class="plain"
              onClick={() => keep(Object.fromEntries(Object.entries(saved).filter(([one]) => one !== current)))}
            >
              Forget “{current}”
            </button>
          )}
        </span>
      )}
      {isNaming && (
        <FormDialog
          title="Save these filters"
          verb="Save"
          onClose={() => setNaming(false)}
          send={async () => {
            keep({ ...saved, [name]: filter });
            setNaming(false);
            setName("");
          }}
        >
          <Field label="Name" value={name} required maxLength={60} onChange={setName} />
        </FormDialog>
      )}
    </>
  );
}
