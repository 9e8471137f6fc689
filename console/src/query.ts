// Loads what a view shows, keeps the last good answer while the server is away, and says how old it is.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Refused, project, signedIn } from "./api/client";

export interface Loaded<T> {
  data: T | null;
  error: Refused | null;
  loadedAt: number | null; // ms, by the browser's clock
  reload: () => void;
}

/** Runs `load` now, when `key` changes, and then every `everySeconds` while the page is visible. */
export function useQuery<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  everySeconds?: number,
): Loaded<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: Refused | null; loadedAt: number | null }>(
    { key: "", data: null, error: null, loadedAt: null },
  );
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const fullKey = `${project.value ?? ""}/${key}`;

  useEffect(() => {
    const aborted = new AbortController();
    latest
      .current(aborted.signal)
      .then((data) => setState({ key: fullKey, data, error: null, loadedAt: Date.now() }))
      .catch((error: unknown) => {
        if (aborted.signal.aborted) return;
        const refused = error instanceof Refused ? error : new Refused(0, String(error), "", new Map(), null);
        setState((before) => {
          const isKept = refused.isUnreachable && before.key === fullKey;
          return { key: fullKey, data: isKept ? before.data : null, error: refused, loadedAt: isKept ? before.loadedAt : null };
        });
      });
    return () => aborted.abort();
  }, [fullKey, turn, signedIn.value]);

  const reload = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    if (everySeconds === undefined) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") reload();
    }, everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, reload]);

  const isCurrent = state.key === fullKey;
  return {
    data: isCurrent ? state.data : null,
    error: isCurrent ? state.error : null,
    loadedAt: isCurrent ? state.loadedAt : null,
    reload,
  };
}
