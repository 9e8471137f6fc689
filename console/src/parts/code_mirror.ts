// An editor of JSON or of a template. It is loaded when a field for code is shown, and not before.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { HighlightStyle, StreamLanguage, bracketMatching, indentOnInput, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { jinja2 } from "@codemirror/legacy-modes/mode/jinja2";
import { forceLinting, linter, type Diagnostic } from "@codemirror/lint";
import { EditorState, StateEffect, type Extension } from "@codemirror/state";
import { EditorView, drawSelection, keymap, placeholder, type ViewUpdate } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export type Language = "json" | "liquid";

/** What is wrong with the value at a JSON pointer (RFC 6901) below the text, and why. */
export interface Fault {
  pointer: string;
  detail: string;
}

export interface Options {
  text: string;
  label: string;
  language: Language;
  hint: string;
  onChange: (text: string) => void;
}

export interface Mounted {
  setFaults: (faults: readonly Fault[]) => void;
  focus: () => void;
  remove: () => void;
}

// the colours are variables of the page: they reach into the shadow root, and follow its theme
const theme = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--card)", border: "1px solid var(--line)", borderRadius: "6px", fontSize: "0.9em" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-content": { fontFamily: "ui-monospace, monospace", minHeight: "6rem", caretColor: "var(--text)" },
  ".cm-scroller": { maxHeight: "24rem", overflow: "auto" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-placeholder": { color: "var(--quiet)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--chosen)" },
  ".cm-matchingBracket": { background: "var(--chosen)" },
  ".cm-tooltip": { background: "var(--card)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--bad)" },
});
const colors = HighlightStyle.define([
  { tag: [tags.propertyName, tags.attributeName], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--late)" },
  { tag: [tags.keyword, tags.operator, tags.variableName, tags.meta], color: "var(--merged)" },
  { tag: tags.comment, color: "var(--quiet)" },
]);

/** Puts an editor into a shadow root, where the page's policy lets it bring its own styles. */
export function mount(element: HTMLElement, { text, label, language, hint, onChange }: Options): Mounted {
  const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
  let faults: readonly Fault[] = [];
  const languages: Record<Language, Extension> = {
    json: [json(), linter((view) => (view.state.doc.length === 0 ? [] : [...syntaxFaults(view), ...placed(view, faults)]), LINTING)],
    liquid: StreamLanguage.define(jinja2),
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        EditorView.lineWrapping,
        // no key of it takes Tab, so that it leads on to the next field
        keymap.of([...defaultKeymap, ...historyKeymap]),
        languages[language],
        syntaxHighlighting(colors),
        theme,
        placeholder(hint),
        EditorView.domEventHandlers({ beforeinput: replaceSelection }),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setFaults: (found) => {
      faults = found;
      view.dispatch({ effects: refreshed.of(null) });
      forceLinting(view);
    },
    focus: () => {
      view.focus();
      view.dispatch({ selection: { anchor: view.state.doc.length } });
    },
    remove: () => view.destroy(),
  };
}

/** Writes over a selection without the browser: it would put a style on what is typed, and the policy forbids that. */
function replaceSelection(event: InputEvent, view: EditorView): boolean {
  if (event.inputType !== "insertText" || event.data === null || view.composing || view.state.selection.main.empty) return false;
  event.preventDefault();
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  return true;
}

const refreshed = StateEffect.define<null>(); // other faults are known
const LINTING = {
  delay: 250, // ms
  needsRefresh: (update: ViewUpdate) => update.transactions.some(({ effects }) => effects.some((one) => one.is(refreshed))),
};
const syntaxFaults = jsonParseLinter();

function placed(view: EditorView, faults: readonly Fault[]): Diagnostic[] {
  return faults.map(({ pointer, detail }) => ({ ...rangeOf(view, pointer), severity: "error", message: detail }));
}

/** The place of the value at a pointer; of the nearest one around it if it is not there. */
function rangeOf(view: EditorView, pointer: string): { from: number; to: number } {
  const text = (from: number, to: number): string => view.state.sliceDoc(from, to);
  let node = syntaxTree(view.state).topNode.firstChild;
  for (const part of pointer.split("/").slice(1).map((one) => one.replaceAll("~1", "/").replaceAll("~0", "~"))) {
    let inner = null;
    let index = 0;
    for (let child = node?.firstChild ?? null; child !== null; child = child.nextSibling) {
      const name = child.name === "Property" ? child.getChild("PropertyName") : null;
      if (name !== null && unquoted(text(name.from, name.to)) === part) inner = child.lastChild;
      if (node?.name === "Array" && !/^[[\],⚠]/.test(child.name) && String(index++) === part) inner = child;
    }
    if (inner === null) break;
    node = inner;
  }
  return { from: node?.from ?? 0, to: Math.max(node?.to ?? 0, (node?.from ?? 0) + 1) };
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
