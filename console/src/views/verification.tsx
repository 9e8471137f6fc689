// Programs that verify deliveries, to copy into a receiver.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "../parts/basics";

export function Verification(): JSX.Element | null {
  const [snippets, setSnippets] = useState<Record<string, string>>({});
  const [chosen, setChosen] = useState("Python");
  useEffect(() => {
    void import("./snippets").then(
      ({ SNIPPETS }) => setSnippets(SNIPPETS),
      () => undefined,
    );
  }, []);
  const text = snippets[chosen];
  if (text === undefined) return null;
  return (
    <section aria-label="How to verify">
      <h3>How to verify it</h3>
      <div class="switch" role="group" aria-label="Language">
        {Object.keys(snippets).map((one) => (
          <button key={one} type="button" class="plain" aria-pressed={one === chosen} onClick={() => setChosen(one)}>
            {one}
          </button>
        ))}
      </div>
      <pre tabIndex={0}>{text}</pre>
      <CopyButton key={chosen} text={text} label="Copy the program" />
    </section>
  );
}
