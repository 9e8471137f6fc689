// A list: rows that keys walk through, a selection, and pages.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../keys";
import { useUrl } from "../url";

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  class?: string;
}

interface Rows<T> {
  label: string;
  rows: readonly T[];
  id: (row: T) => number | string;
  columns: readonly Column<T>[];
  onOpen?: (row: T) => void;
  selected?: ReadonlySet<number | string>;
  onSelect?: (selected: Set<number | string>) => void;
}

export function Table<T>(props: Rows<T>): JSX.Element {
  const { label, rows, id, columns, onOpen, selected, onSelect } = props;
  const [current, setCurrent] = useState(-1);
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (by: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, current + by));
    setCurrent(next);
    body.current?.rows[next]?.scrollIntoView({ block: "nearest" });
  };
  const row = rows[current];
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ...(row !== undefined && onOpen !== undefined ? { Enter: () => onOpen(row) } : {}),
    ...(row !== undefined && onSelect !== undefined ? { x: () => toggle(row) } : {}),
  });
  useEffect(() => setCurrent(-1), [rows.length === 0]);
  const toggle = (one: T): void => {
    const changed = new Set(selected);
    if (!changed.delete(id(one))) changed.add(id(one));
    onSelect?.(changed);
  };
  const areAll = rows.length > 0 && rows.every((one) => selected?.has(id(one)));
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {onSelect !== undefined && (
              <th class="tick">
                <input
                  type="checkbox"
                  aria-label="Select all rows of this page"
                  checked={areAll}
                  onChange={() => onSelect(areAll ? new Set() : new Set(rows.map(id)))}
                />
              </th>
            )}
            {columns.map((column) => (
              <th key={column.head} class={column.class ?? ""} scope="col">
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((one, index) => (
            <tr
              key={id(one)}
              class={index === current ? "current" : ""}
              onClick={(event) => {
                const isControl = (event.target as HTMLElement).closest("a, button, input, label") !== null;
                if (!isControl && onOpen !== undefined) onOpen(one);
              }}
            >
              {onSelect !== undefined && (
                <td class="tick">
                  <input
                    type="checkbox"
                    aria-label={`Select ${id(one)}`}
                    checked={selected?.has(id(one)) ?? false}
                    onChange={() => toggle(one)}
                  />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.head} class={column.class ?? ""}>
                  {column.cell(one)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Leads to the first and to the next page; the browser's own button leads back. */
export function Pages({ next }: { next: string | null }): JSX.Element | null {
  const url = useUrl();
  const isFirst = url.get("cursor") === "";
  if (isFirst && next === null) return null;
  return (
    <nav class="pages" aria-label="Pages">
      {!isFirst && (
        <button type="button" onClick={() => url.set({ cursor: "" })}>
          First page
        </button>
      )}
      {next !== null && (
        <button type="button" onClick={() => url.set({ cursor: next })}>
          Next page
        </button>
      )}
    </nav>
  );
}

/** A filter that is kept in the URL. */
export function Choice({
  name,
  label,
  options,
}: {
  name: string;
  label: string;
  options: readonly (readonly [string, string])[];
}): JSX.Element {
  const url = useUrl();
  return (
    <label class="filter">
      {label}
      <select value={url.get(name)} onChange={(event) => url.set({ [name]: event.currentTarget.value })}>
        {options.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A text filter; it waits until nobody has typed for a moment. `/` leads to it. */
export function Search({ name = "q", label }: { name?: string; label: string }): JSX.Element {
  const url = useUrl();
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useKeys({ "/": () => field.current?.focus() });
  const wanted = url.get(name);
  useEffect(() => {
    const input = field.current;
    if (input !== null && document.activeElement !== input) input.value = wanted; // a link may set it
  }, [wanted]);
  return (
    <label class="filter">
      {label}
      <input
        ref={field}
        type="search"
        defaultValue={wanted}
        onInput={(event) => {
          const text = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => url.set({ [name]: text }), 200);
        }}
      />
    </label>
  );
}
