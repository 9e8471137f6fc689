// Runs commands by single keys, unless somebody is typing, or has turned that off.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export const singleKeys = signal(localStorage.getItem("single-keys") !== "off");

export function setSingleKeys(isOn: boolean): void {
  singleKeys.value = isOn;
  localStorage.setItem("single-keys", isOn ? "on" : "off");
}

export type Commands = Record<string, () => void>;

interface Layer {
  current: Commands;
  isInDialog: boolean;
}

const layers: Layer[] = [];
let isGoing = false; // `g` was pressed, and a letter follows

document.addEventListener("keydown", (press) => {
  if (press.defaultPrevented || press.altKey) return;
  const withCommand = press.metaKey || press.ctrlKey;
  const key = withCommand ? (press.key.toLowerCase() === "k" ? "mod+k" : "") : press.key;
  const target = press.composedPath()[0] as HTMLElement; // also inside of a shadow root
  const isTyping = target.matches("input, textarea, select, [contenteditable], [contenteditable] *");
  if (key === "" || (!withCommand && (isTyping || !singleKeys.value))) return;
  const dialogs = document.querySelectorAll("dialog[open]").length;
  if (dialogs > 1) return;
  const name = isGoing ? `g ${key}` : key;
  isGoing = !isGoing && key === "g";
  const isOnControl = target.matches("a, button, summary");
  if (isOnControl && key === "Enter") return; // it acts by itself
  for (const layer of layers.toReversed()) {
    const run = layer.current[name];
    const isHeard = dialogs === 0 || layer.isInDialog || name === "mod+k";
    if (run !== undefined && isHeard) {
      press.preventDefault();
      run();
      return;
    }
  }
});

/** Adds commands as soon as a component is there to be seen; the newest layer wins.
 *
 * While a dialog is open, only those of the dialog itself are heard. */
export function useKeys(commands: Commands, isInDialog = false): void {
  const layer = useRef<Layer>({ current: commands, isInDialog });
  layer.current.current = commands;
  useLayoutEffect(() => {
    const mine = layer.current;
    layers.push(mine);
    return () => void layers.splice(layers.indexOf(mine), 1);
  }, []);
}
