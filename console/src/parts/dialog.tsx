// Asks before something is done that cannot be undone, and tells what was done.
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused } from "../api/client";
import { Problem } from "./basics";

/** A modal dialog; Escape and a click beside it close it. */
export function Dialog({
  title,
  onClose,
  children,
  side = false,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  side?: boolean;
}): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={side ? "side" : ""}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="inside">
        <header>
          <h2>{title}</h2>
          <button type="button" class="plain" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  detail: string;
  verb: string;
  /** To be typed, for what deletes. */
  typed?: string;
  act: () => Promise<void>;
}

const question = signal<Question | null>(null);
const told = signal<string | null>(null);

export function ask(asked: Question): void {
  question.value = asked;
}

let clearing: ReturnType<typeof setTimeout> | undefined;

/** Says for a few seconds what was done. */
export function tell(what: string): void {
  told.value = what === "" ? null : what;
  clearTimeout(clearing);
  clearing = setTimeout(() => (told.value = null), 6_000);
}

/** Runs a command, and tells how it ended. */
export async function run(act: () => Promise<string>): Promise<void> {
  try {
    const done = await act();
    if (done !== "") tell(done);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
  }
}

export function Conversation(): JSX.Element {
  return (
    <>
      {question.value !== null && <Confirm key={question.value.title} {...question.value} />}
      <div class="told" role="status" aria-live="polite">
        {told.value !== null && <p>{told.value}</p>}
      </div>
    </>
  );
}

function Confirm({ title, detail, verb, typed, act }: Question): JSX.Element {
  const [text, setText] = useState("");
  const [error, setError] = useState<Refused | null>(null);
  const close = (): void => {
    question.value = null;
  };
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    try {
      await act();
      close();
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    }
  };
  return (
    <Dialog title={title} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{detail}</p>
        {typed !== undefined && (
          <label>
            Type <code>{typed}</code> to confirm
            <input value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" />
          </label>
        )}
        {error !== null && <Problem error={error} />}
        <p class="buttons">
          <button type="submit" class="danger" disabled={typed !== undefined && text !== typed}>
            {verb}
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}
