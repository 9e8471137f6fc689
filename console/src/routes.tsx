// The views by their paths; a list of them is also what the palette and the menu show.
import type { JSX } from "preact";
import lazy from "preact-iso/lazy";
import { Route, Router } from "preact-iso/router";
import { HOME } from "./api/client";
import { Empty } from "./parts/basics";
import { opened } from "./parts/opened";
import { DeliveriesView } from "./views/deliveries";
import { DestinationsView } from "./views/destinations";
import { EventsView } from "./views/events";
import { TriggerByKey } from "./views/by_key";
import { OverviewView } from "./views/overview";
import { TriggerView } from "./views/trigger";
import { TriggersView } from "./views/triggers";
import { UpcomingView } from "./views/upcoming";

const settings = () => import("./views/settings");
const AuditView = lazy(() => settings().then((made) => made.AuditView));
const CalendarsView = lazy(() => settings().then((made) => made.CalendarsView));
const KeysView = lazy(() => settings().then((made) => made.KeysView));
const MembersView = lazy(() => settings().then((made) => made.MembersView));
const SessionsView = lazy(() => settings().then((made) => made.SessionsView));
const SetsView = lazy(() => settings().then((made) => made.SetsView));
const UsersView = lazy(() => settings().then((made) => made.UsersView));

export interface Place {
  path: string;
  words: string;
  key?: string; // after `g`
  scope?: string;
}

export const PLACES: readonly Place[] = [
  { path: "/", words: "Overview", key: "o" },
  { path: "/triggers", words: "Triggers", key: "t", scope: "triggers:read" },
  { path: "/events", words: "Events", key: "e", scope: "events:read" },
  { path: "/deliveries", words: "Deliveries", key: "d", scope: "destinations:read" },
  { path: "/destinations", words: "Destinations", key: "s", scope: "destinations:read" },
  { path: "/upcoming", words: "Upcoming", key: "u", scope: "triggers:read" },
  { path: "/calendars", words: "Calendars", key: "c", scope: "triggers:read" },
  { path: "/sets", words: "Sets", scope: "triggers:read" },
  { path: "/keys", words: "Keys", key: "k" },
  { path: "/sessions", words: "Logins" },
  { path: "/members", words: "Members", key: "m" },
  { path: "/users", words: "Users", scope: "admin" },
  { path: "/audit", words: "Audit", key: "a" },
];

export function Views(): JSX.Element {
  return (
    <Router>
      <Route path={`${HOME}/`} component={OverviewView} />
      <Route path={`${HOME}/triggers`} component={TriggersView} />
      <Route path={`${HOME}/triggers/new`} component={EditorView} />
      <Route path={`${HOME}/triggers/by-key/:name`} component={TriggerByKey} />
      <Route path={`${HOME}/triggers/:id`} component={TriggerById} />
      <Route path={`${HOME}/triggers/:id/edit`} component={EditorById} />
      <Route path={`${HOME}/events`} component={EventsView} />
      <Route path={`${HOME}/deliveries`} component={DeliveriesView} />
      <Route path={`${HOME}/destinations`} component={DestinationsView} />
      <Route path={`${HOME}/upcoming`} component={UpcomingView} />
      <Route path={`${HOME}/calendars`} component={CalendarsView} />
      <Route path={`${HOME}/sets`} component={SetsView} />
      <Route path={`${HOME}/keys`} component={KeysView} />
      <Route path={`${HOME}/sessions`} component={SessionsView} />
      <Route path={`${HOME}/members`} component={MembersView} />
      <Route path={`${HOME}/users`} component={UsersView} />
      <Route path={`${HOME}/audit`} component={AuditView} />
      <Route default component={NotFound} />
    </Router>
  );
}

const EditorView = opened<{ id?: number }>((all) => all.EditorView);
const TriggerById = ({ id }: { id?: string }): JSX.Element => <TriggerView key={id} id={Number(id)} />;
const EditorById = ({ id }: { id?: string }): JSX.Element => <EditorView key={id} id={Number(id)} />;
const NotFound = (): JSX.Element => (
  <Empty>
    There is no such page. <a href={`${HOME}/`}>Overview</a>
  </Empty>
);
