// Shows a view whose code is loaded when it is opened, so that the first page is light.
import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { State } from "./basics";

type Opened = typeof import("../views/opened");
let loaded: Opened | null = null;

/** Makes a component that stands for one of them. */
export function opened<P extends object>(choose: (all: Opened) => ComponentType<P>): (props: P) => JSX.Element | null {
  return function Opening(props: P): JSX.Element | null {
    const [all, setAll] = useState(loaded);
    const [isMissing, setMissing] = useState(false);
    useEffect(() => {
      if (all !== null) return;
      import("../views/opened").then(
        (module) => {
          loaded = module;
          setAll(module);
        },
        () => setMissing(true), // the server is away, or has another version by now
      );
    }, []);
    if (isMissing) {
      return (
        <p class="problem" role="alert">
          <State mood="bad">This part of the page could not be loaded.</State>{" "}
          <button type="button" onClick={() => location.reload()}>
            Load the page again
          </button>
        </p>
      );
    }
    if (all === null) return null;
    const View = choose(all);
    return <View {...props} />;
  };
}
