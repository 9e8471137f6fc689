// Starts the page: who is signed in, then the shell around the view of the URL.
import { render, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LocationProvider } from "preact-iso/router";
import { HOME, chooseProject, holds, loadMe, me, project, signOut } from "./api/client";
import { setSingleKeys, singleKeys, useKeys } from "./keys";
import { Conversation, Dialog, run } from "./parts/dialog";
import { PLACES, Views, type Place } from "./routes";
import { browserZone, chooseZone, isZone, zone } from "./time";
import { useUrl } from "./url";
import { InvitationView, ResetView } from "./views/links";
import { SignIn } from "./views/signin";

function Page(): JSX.Element | null {
  useEffect(() => {
    void loadMe().catch(() => undefined);
  }, [project.value]);
  if (me.value === undefined) return null;
  if (location.pathname === `${HOME}/reset`) return <ResetView />;
  if (location.pathname === `${HOME}/invitation`) return <InvitationView />;
  if (me.value === null) return <SignIn />;
  return (
    <LocationProvider scope={HOME}>
      <Shell />
      <Conversation />
    </LocationProvider>
  );
}

const shownPlaces = (): Place[] => PLACES.filter(({ scope }) => scope === undefined || holds(scope));

function Shell(): JSX.Element {
  const url = useUrl();
  const [opened, setOpened] = useState<"palette" | "help" | null>(null);
  useKeys({
    "mod+k": () => setOpened("palette"),
    "?": () => setOpened("help"),
    ...Object.fromEntries(
      shownPlaces()
        .filter(({ key }) => key !== undefined)
        .map(({ key, path }) => [`g ${key}`, () => url.go(path)]),
    ),
  });
  return (
    <>
      <a class="skip" href="#view">
        To the content
      </a>
      <header class="top">
        <a class="brand" href={`${HOME}/`}>
          Event Trigger
        </a>
        <Projects />
        <button type="button" class="find" onClick={() => setOpened("palette")}>
          Go to… <kbd>⌘K</kbd>
        </button>
        <Zone />
        <Theme />
        <Account />
      </header>
      <div class="page">
        <Menu />
        <main id="view" tabIndex={-1}>
          <Views />
        </main>
      </div>
      {opened === "palette" && <Palette onClose={() => setOpened(null)} />}
      {opened === "help" && <Help onClose={() => setOpened(null)} />}
    </>
  );
}

function Menu(): JSX.Element {
  const here = location.pathname;
  return (
    <nav class="menu" aria-label="Views">
      {shownPlaces().map(({ path, words }) => {
        const href = `${HOME}${path}`;
        const isHere = path === "/" ? here === href : here.startsWith(href);
        return (
          <a key={path} href={href} aria-current={isHere ? "page" : undefined}>
            {words}
          </a>
        );
      })}
    </nav>
  );
}

function Projects(): JSX.Element | null {
  const { projects, project: current } = me.value ?? {};
  if (projects === undefined || projects.length < 2) return null;
  return (
    <select
      aria-label="Project"
      value={String(current?.id ?? "")}
      onChange={(event) => chooseProject(Number(event.currentTarget.value))}
    >
      {projects.map((one) => (
        <option key={one.id} value={String(one.id)}>
          {one.name}
        </option>
      ))}
    </select>
  );
}

function Zone(): JSX.Element {
  const [text, setText] = useState(zone.value);
  return (
    <>
      <input
        class="zone"
        aria-label="Time zone of the page"
        list="page-zones"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          if (isZone(event.currentTarget.value)) chooseZone(event.currentTarget.value);
        }}
        onBlur={() => setText(zone.value)}
      />
      <datalist id="page-zones">
        {[...new Set([browserZone, "UTC", ...Intl.supportedValuesOf("timeZone")])].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  );
}

const THEMES = ["light dark", "light", "dark"] as const;

function Theme(): JSX.Element {
  const [theme, setTheme] = useState(localStorage.getItem("theme") ?? "light dark");
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  const next = THEMES[(THEMES.findIndex((one) => one === theme) + 1) % THEMES.length] ?? "light dark";
  return (
    <button type="button" class="plain" aria-label={`Theme: ${theme}`} title={`Theme: ${theme}`} onClick={() => setTheme(next)}>
      ◐
    </button>
  );
}

function Account(): JSX.Element {
  return (
    <details class="account">
      <summary>{me.value?.email}</summary>
      <div>
        <a href={`${HOME}/sessions`}>Your logins</a>
        <a href={`${HOME}/keys`}>API keys</a>
        <label class="check">
          <input
            type="checkbox"
            checked={singleKeys.value}
            onChange={(event) => setSingleKeys(event.currentTarget.checked)}
          />
          Single-key commands
        </label>
        <button
          type="button"
          onClick={() =>
            void run(async () => {
              await signOut();
              return "Signed out.";
            })
          }
        >
          Sign out
        </button>
      </div>
    </details>
  );
}

function Palette({ onClose }: { onClose: () => void }): JSX.Element {
  const url = useUrl();
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const found = [
    ...shownPlaces().map(({ path, words }) => ({ words, go: path })),
    { words: "New trigger", go: "/triggers/new" },
    ...(wanted === "" ? [] : [{ words: `Search triggers for “${text}”`, go: `/triggers?q=${encodeURIComponent(text)}` }]),
    ...(/^\d+$/.test(wanted)
      ? [
          { words: `Trigger ${wanted}`, go: `/triggers/${wanted}` },
          { words: `Event ${wanted}`, go: `/events?open=${wanted}` },
        ]
      : []),
  ].filter(({ words }) => words.toLowerCase().includes(wanted));
  const go = (to: string): void => {
    onClose();
    url.go(to);
  };
  return (
    <Dialog title="Go to" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (found[0] !== undefined) go(found[0].go);
        }}
      >
        <input
          aria-label="A view, a trigger's name, or an id"
          autofocus
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </form>
      <ul class="palette">
        {found.map(({ words, go: to }) => (
          <li key={words}>
            <button type="button" class="plain" onClick={() => go(to)}>
              {words}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

const HELP: readonly (readonly [string, string])[] = [
  ["/", "search"],
  ["⌘K", "go to a view, a trigger or an event"],
  ["j k ⏎ x", "walk through rows, open one, select it"],
  ["n", "new trigger"],
  ["f T p e", "fire, test, pause or resume, edit the trigger"],
  ["r", "replay the event"],
  [".", "hold or go on with the live events"],
];

function Help({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl>
        {HELP.map(([key, words]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{words}</dd>
          </>
        ))}
        {PLACES.filter(({ key }) => key !== undefined).map(({ key, words }) => (
          <>
            <dt>
              <kbd>g {key}</kbd>
            </dt>
            <dd>{words}</dd>
          </>
        ))}
      </dl>
    </Dialog>
  );
}

const root = document.getElementById("app");
if (root !== null) render(<Page />, root);
