// Runs commands by single keys, unless somebody is typing, or has turned that off.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export const singleKeys = signal(localStorage.getItem("single-keys") !== "off");

export function setSingleKeys(isOn: boolean): void {
  singleKeys.value = isOn;
  localStorage.setItem("single-keys", isOn ? "on" : "off");
}

export type Commands = Record<string, () => void>;

const layers: { current: Commands }[] = [];
let isGoing = false; // `g` was pressed, and a letter follows

document.addEventListener("keydown", (press) => {
  if (press.defaultPrevented || press.altKey) return;
  const withCommand = press.metaKey || press.ctrlKey;
  const key = withCommand ? (press.key.toLowerCase() === "k" ? "mod+k" : "") : press.key;
  const target = press.target as HTMLElement;
  const isTyping = target.matches("input, textarea, select, [contenteditable]");
  if (key === "" || (!withCommand && (isTyping || !singleKeys.value))) return;
  const isInDialog = document.querySelector("dialog[open]") !== null;
  if (isInDialog && key !== "mod+k") return;
  const name = isGoing ? `g ${key}` : key;
  isGoing = !isGoing && key === "g";
  const isOnControl = target.matches("a, button, summary");
  if (isOnControl && key === "Enter") return; // it acts by itself
  for (const layer of layers.toReversed()) {
    const run = layer.current[name];
    if (run !== undefined) {
      press.preventDefault();
      run();
      return;
    }
  }
});

/** Adds commands as soon as a component is there to be seen; the newest layer wins. */
export function useKeys(commands: Commands): void {
  const layer = useRef(commands);
  layer.current = commands;
  useLayoutEffect(() => {
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
}
