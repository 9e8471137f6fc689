// Forms that lose nothing: what is typed survives a refusal, a server that is away, and a reload.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Refused, withPassword } from "../api/client";
import { CopyButton, Problem } from "./basics";
import { Dialog } from "./dialog";

/** Keeps the fields of a form in this tab under a name, until they are forgotten. */
export function useDraft<T extends object>(name: string, first: T): [T, (changes: Partial<T>) => void, () => void] {
  const place = `draft/${name}`;
  const [fields, setFields] = useState<T>(() => ({ ...first, ...stored<T>(place) }));
  const change = (changes: Partial<T>): void => {
    setFields((before) => {
      const after = { ...before, ...changes };
      sessionStorage.setItem(place, JSON.stringify(after));
      return after;
    });
  };
  return [fields, change, () => sessionStorage.removeItem(place)];
}

function stored<T>(place: string): Partial<T> {
  const text = sessionStorage.getItem(place);
  return text === null ? {} : (JSON.parse(text) as Partial<T>);
}

interface Asked {
  title: string;
  verb: string;
  onClose: () => void;
  /** Sends the form; a refusal is shown, and the form stays as it is. */
  send: () => Promise<void>;
  children: ComponentChildren;
  side?: boolean;
}

export function FormDialog({ title, verb, onClose, send, children, side = false }: Asked): JSX.Element {
  return (
    <Dialog title={title} onClose={onClose} side={side}>
      <Form verb={verb} send={send} onCancel={onClose}>
        {children}
      </Form>
    </Dialog>
  );
}

export function Form({
  verb,
  send,
  onCancel,
  children,
}: {
  verb: string;
  send: () => Promise<void>;
  onCancel?: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const [error, setError] = useState<Refused | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      setError(null);
      await withPassword(send);
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      {children}
      {error !== null && <Problem error={error} />}
      <p class="buttons">
        <button type="submit" class="primary" disabled={isBusy}>
          {verb}
        </button>
        {onCancel !== undefined && (
          <button type="button" onClick={onCancel}>
            Cancel
          </button>
        )}
      </p>
    </form>
  );
}

/** Shows a secret that cannot be read again. */
export function ShownOnce({
  title,
  secret,
  onClose,
  children,
}: {
  title: string;
  secret: string;
  onClose: () => void;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <pre tabIndex={0} class="secret">
        {secret}
      </pre>
      <p class="buttons">
        <CopyButton text={secret} label="Copy" />
        <button type="button" class="primary" onClick={onClose}>
          I have it
        </button>
      </p>
    </Dialog>
  );
}

/** A field whose label stands above it. */
export function Field({
  label,
  hint,
  value,
  onChange,
  ...input
}: {
  label: string;
  hint?: string;
  value: string;
  onChange: (text: string) => void;
  type?: "text" | "email" | "number";
  required?: boolean;
  maxLength?: number;
  pattern?: string;
  placeholder?: string;
  min?: number;
  max?: number;
  inputMode?: "text" | "numeric";
}): JSX.Element {
  const onInput = (event: { currentTarget: HTMLInputElement }): void => onChange(event.currentTarget.value);
  return (
    <label>
      {label}
      <input {...({ ...input, value, onInput } as JSX.IntrinsicElements["input"])} />
      {hint !== undefined && <span class="quiet">{hint}</span>}
    </label>
  );
}

export function Select({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}): JSX.Element {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([one, words]) => (
          <option key={one} value={one}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
