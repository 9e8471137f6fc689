// A field for code: a text area, and an editor with colours in its place once that is loaded. The
// editor keeps its own text: writing a value back would undo what was typed since.
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { State } from "./basics";
import type { Fault, Language, Mounted } from "./code_mirror";

export type { Fault } from "./code_mirror";

interface Code {
  label: string;
  value: string;
  onChange: (text: string) => void;
  language?: Language;
  hint?: string;
  faults?: readonly Fault[];
}

const NONE: readonly Fault[] = [];

export function CodeField({ label, value, onChange, language = "json", hint = "", faults = NONE }: Code): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const mounted = useRef<Mounted | null>(null);
  const latest = useRef({ value, onChange });
  latest.current = { value, onChange };
  const [isPlain, setPlain] = useState(true); // until the editor is there, and if it never is
  const id = useId();
  useEffect(() => {
    let isGone = false;
    import("./code_mirror").then(
      ({ mount }) => {
        if (isGone || place.current === null) return;
        const isTyping = document.activeElement?.id === id;
        mounted.current = mount(place.current, {
          text: latest.current.value,
          label,
          language,
          hint,
          onChange: (text) => latest.current.onChange(text),
        });
        mounted.current.setFaults(faults);
        setPlain(false);
        if (isTyping) mounted.current.focus();
      },
      () => undefined, // the text area stays
    );
    return () => {
      isGone = true;
      mounted.current?.remove();
      mounted.current = null;
    };
  }, []);
  useEffect(() => mounted.current?.setFaults(faults), [JSON.stringify(faults)]);
  return (
    <div class="code-field">
      {isPlain ? <label for={id}>{label}</label> : <span aria-hidden="true">{label}</span>}
      {isPlain && (
        <textarea
          id={id}
          rows={5}
          spellcheck={false}
          value={value}
          placeholder={hint}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      )}
      <div ref={place} />
      <Faults of={faults} />
    </div>
  );
}

/** The faults of a field, beside it. */
export function Faults({ of }: { of: readonly Fault[] }): JSX.Element | null {
  if (of.length === 0) return null;
  return (
    <ul class="faults">
      {of.map(({ pointer, detail }) => (
        <li key={pointer + detail}>
          <State mood="bad">
            {pointer !== "" && <code>{pointer}</code>} {detail}
          </State>
        </li>
      ))}
    </ul>
  );
}
