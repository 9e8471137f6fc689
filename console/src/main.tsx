// Starts the page: who is signed in, then the shell around the view of the URL.
import { render, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LocationProvider } from "preact-iso/router";
import {
  HOME,
  Refused,
  api,
  chooseProject,
  holds,
  loadMe,
  me,
  passwordWanted,
  project,
  signOut,
  type Schemas,
} from "./api/client";
import { setSingleKeys, singleKeys, useKeys } from "./keys";
import { Conversation, Dialog, run } from "./parts/dialog";
import { PLACES, Views, type Place } from "./routes";
import { browserZone, chooseZone, isZone, zone } from "./time";
import { useUrl } from "./url";
import { InvitationView, ResetView } from "./views/links";
import { PasswordAgain, SignIn } from "./views/signin";

function Page(): JSX.Element | null {
  const away = useMe();
  if (me.value === undefined) return away === null ? null : <Away error={away} />;
  if (location.pathname === `${HOME}/reset`) return <ResetView />;
  if (location.pathname === `${HOME}/invitation`) return <InvitationView />;
  if (me.value === null) return <SignIn />;
  return (
    <LocationProvider scope={HOME}>
      <Shell />
      <Conversation />
      {passwordWanted.value !== null && <PasswordAgain wanted={passwordWanted.value} />}
    </LocationProvider>
  );
}

const TRY_AGAIN_AFTER = 2_000; // ms

/** Loads who is signed in, again and again while the server is away; gives the refusal of the last try. */
function useMe(): Refused | null {
  const [away, setAway] = useState<Refused | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    loadMe().then(
      () => setAway(null),
      (error: unknown) => {
        if (error instanceof Refused && error.status !== 401) setAway(error);
        if (me.value === undefined) timer = setTimeout(() => setTurn(turn + 1), TRY_AGAIN_AFTER);
      },
    );
    return () => clearTimeout(timer);
  }, [project.value, turn]);
  return away;
}

function Away({ error }: { error: Refused }): JSX.Element {
  return (
    <main class="signin">
      <h1>Event Trigger</h1>
      <div class="away" role="status">
        <p>{error.message}</p>
        <p class="quiet">This page tries again every two seconds.</p>
      </div>
    </main>
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
  const named = useTriggersNamed(text.trim());
  const [chosen, setChosen] = useState(0);
  const found = [
    ...named.map((one) => ({ words: `${one.name ?? one.key ?? ""} (trigger ${one.id})`, go: `/triggers/${one.id}` })),
    ...shownPlaces().map(({ path, words }) => ({ words, go: path })),
    { words: "New trigger", go: "/triggers/new" },
    ...(wanted === "" ? [] : [{ words: `Search triggers for “${text}”`, go: `/triggers?q=${encodeURIComponent(text)}` }]),
    ...(/^\d+$/.test(wanted)
      ? [
          { words: `Trigger ${wanted}`, go: `/triggers/${wanted}` },
          { words: `Event ${wanted}`, go: `/events?open=${wanted}` },
        ]
      : []),
    ...(me.value?.projects ?? [])
      .filter((one) => one.id !== me.value?.project?.id)
      .map((one) => ({ words: `Project ${one.name}`, go: one.id })),
  ].filter(({ words }) => words.toLowerCase().includes(wanted));
  const go = (to: string | number): void => {
    onClose();
    if (typeof to === "number") chooseProject(to);
    else url.go(to);
  };
  const first = found[Math.min(chosen, found.length - 1)];
  return (
    <Dialog title="Go to" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (first !== undefined) go(first.go);
        }}
      >
        <input
          aria-label="A view, a trigger's name, or an id"
          autofocus
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
          onKeyDown={(event) => {
            const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (by === undefined) return;
            event.preventDefault();
            setChosen(Math.max(0, Math.min(found.length - 1, chosen + by)));
          }}
        />
      </form>
      <ul class="palette">
        {found.map((one) => (
          <li key={one.words} class={one === first ? "current" : ""}>
            <button type="button" class="plain" onClick={() => go(one.go)}>
              {one.words}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

type Named = Schemas["TriggerListed"];
const TYPED_FOR = 150; // ms without a key, before it is looked for

/** The triggers whose names hold a text. */
function useTriggersNamed(text: string): Named[] {
  const [found, setFound] = useState<Named[]>([]);
  useEffect(() => {
    if (text.length < 2 || !holds("triggers:read")) {
      setFound([]);
      return;
    }
    const ended = new AbortController();
    const timer = setTimeout(() => {
      const query = { q: text, view: "summary", limit: 8 } as const;
      api
        .GET("/triggers", { params: { query }, signal: ended.signal })
        .then(({ data }) => setFound(data as Named[]))
        .catch(() => undefined); // the other entries are there without it
    }, TYPED_FOR);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [text]);
  return found;
}

const HELP: readonly (readonly [string, string])[] = [
  ["/", "search"],
  ["⌘K", "go to a view, a trigger or an event"],
  ["j k ⏎ x", "walk through rows, open one, select it"],
  ["n", "new trigger"],
  ["f T p e", "fire, test, pause or resume, edit the trigger"],
  ["r", "replay the open event"],
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
