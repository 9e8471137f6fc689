// The views that are loaded when they are opened: one file for all of them.
export { DestinationDrawer } from "./destination";
export { DestinationForm } from "./destination_form";
export { EditorView } from "./editor";
