// The views of settings, which are loaded together when the first of them is opened.
export { AuditView } from "./audit";
export { CalendarsView } from "./calendars";
export { KeysView } from "./keys";
export { MembersView } from "./members";
export { SessionsView } from "./sessions";
export { SetsView } from "./sets";
export { UsersView } from "./users";
