// Keeps the state of a view in the URL, so that a link or a reload shows the same.
import { useLocation } from "preact-iso/router";
import { HOME } from "./api/client";

export interface Url {
  get: (name: string) => string;
  /** Replaces parameters; an empty value drops one. A changed filter begins at the first page. */
  set: (changes: Record<string, string>) => void;
  go: (path: string) => void;
  /** Goes there without a step for the button that leads back. */
  replace: (path: string) => void;
  /** The parameters among these that have a value: what a list is asked for. */
  filters: (...names: string[]) => Record<string, string>;
}

export function useUrl(): Url {
  const { path, query, route } = useLocation();
  return {
    get: (name) => query[name] ?? "",
    set: (changes) => {
      const wanted = { ...query, ...("cursor" in changes || "open" in changes ? {} : { cursor: "" }), ...changes };
      const given = Object.entries(wanted).filter(([, value]) => value !== "");
      const search = new URLSearchParams(given).toString();
      route(search === "" ? path : `${path}?${search}`, !("cursor" in changes));
    },
    filters: (...names) => Object.fromEntries(names.map((name) => [name, query[name] ?? ""]).filter(([, value]) => value !== "")),
    go: (to) => route(`${HOME}${to}`),
    replace: (to) => route(`${HOME}${to}`, true),
  };
}
