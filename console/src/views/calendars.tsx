// Calendars: named dates on which schedules do not fire, and the triggers that name them.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, Refused, api, holds, type Schemas } from "../api/client";
import { Instant, Shown, State, count } from "../parts/basics";
import { Dialog, ask, tell } from "../parts/dialog";
import { Field, Form, FormDialog, Select, useDraft } from "../parts/forms";
import { useQuery } from "../query";
import { dayInZone } from "../time";
import { useUrl } from "../url";
import { List, curlOf, usePage } from "./lists";

type Listed = Schemas["CalendarListed"];
type Calendar = Schemas["CalendarRead"];
type User = Schemas["CalendarUser"];

export function CalendarsView(): JSX.Element {
  const url = useUrl();
  const page = usePage<Listed>("/calendars");
  const [isMaking, setMaking] = useState(false);
  const open = url.get("open");
  return (
    <>
      <List<Listed>
        title="Calendars"
        empty="A calendar is a named list of dates on which the schedules that name it do not fire: public holidays, or the days on which the shop is closed."
        curl={curlOf("POST", "/calendars", { key: "closed", dates: ["2026-12-24", "2026-12-31"] })}
        page={page}
        id={(row) => row.key}
        onOpen={(row) => url.set({ open: row.key })}
        buttons={
          holds("triggers:write") && (
            <button type="button" class="primary" onClick={() => setMaking(true)}>
              New calendar
            </button>
          )
        }
        columns={[
          {
            head: "Key",
            cell: (row) => (
              <button type="button" class="plain" onClick={() => url.set({ open: row.key })}>
                {row.key}
              </button>
            ),
          },
          { head: "Dates", class: "number", cell: (row) => count(row.count) },
          { head: "Known until", cell: (row) => row.covers_until ?? "all there are" },
          { head: "Changed", class: "time", cell: (row) => <Instant at={row.updated_at} /> },
        ]}
      />
      {isMaking && (
        <MakeCalendar
          onClose={() => setMaking(false)}
          onDone={(key) => {
            setMaking(false);
            page.reload();
            url.set({ open: key });
          }}
        />
      )}
      {open !== "" && (
        <CalendarDrawer
          key={open}
          calendarKey={open}
          onClose={() => {
            url.set({ open: "" });
            page.reload();
          }}
        />
      )}
    </>
  );
}

/** The dates of a text, one in each line or between commas. */
const datesOf = (text: string): string[] => text.split(/[\s,;]+/).filter((one) => one !== "");

function MakeCalendar({ onClose, onDone }: { onClose: () => void; onDone: (key: string) => void }): JSX.Element {
  const [fields, change, forget] = useDraft("calendar", { key: "", dates: "" });
  const send = async (): Promise<void> => {
    await api.POST("/calendars", { body: { key: fields.key, dates: datesOf(fields.dates) } });
    forget();
    tell(`${fields.key} is made. A schedule names it in its exceptions.`);
    onDone(fields.key);
  };
  return (
    <FormDialog title="New calendar" verb="Make it" onClose={onClose} send={send}>
      <Field
        label="Key"
        value={fields.key}
        required
        pattern="[a-z0-9][a-z0-9._\-]*"
        maxLength={100}
        placeholder="bank-holidays"
        hint="Small letters, digits, dots and dashes."
        onChange={(key) => change({ key })}
      />
      <Dates value={fields.dates} onChange={(dates) => change({ dates })} />
    </FormDialog>
  );
}

function Dates({ value, onChange }: { value: string; onChange: (text: string) => void }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const dates = datesOf(value);
  const wrong = dates.filter((one) => !/^\d{4}-\d\d-\d\d$/.test(one));
  return (
    <>
      <label>
        Dates, one in each line
        <textarea rows={10} value={value} placeholder="2026-12-24" onInput={(event) => onChange(event.currentTarget.value)} />
      </label>
      <p class="quiet" aria-live="polite">
        {wrong.length > 0 ? (
          <State mood="late">{wrong[0]} is no date such as 2026-12-24.</State>
        ) : (
          `${count(dates.length)} dates${nextOf(dates)}`
        )}
      </p>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Add public holidays</summary>
        {isOpen && <Holidays onAdd={(more) => onChange([...new Set([...dates, ...more])].sort().join("\n"))} />}
      </details>
    </>
  );
}

function nextOf(dates: readonly string[]): string {
  const today = new Date().toISOString().slice(0, 10);
  const next = [...dates].sort().find((one) => one >= today);
  return next === undefined ? "" : `, the next one ${dayInZone(new Date(`${next}T12:00:00Z`))} (${next})`;
}

/** Adds the public holidays of a country to the dates. */
function Holidays({ onAdd }: { onAdd: (dates: string[]) => void }): JSX.Element {
  const [country, setCountry] = useState("DE");
  const [region, setRegion] = useState("");
  const [year, setYear] = useState(String(new Date().getFullYear()));
  const [error, setError] = useState("");
  const countries = useQuery("holiday-countries", async (signal) => {
    const { data } = await api.GET("/calendars/holidays", { signal });
    return data as Schemas["CountryRead"][];
  });
  const regions = countries.data?.find((one) => one.country === country)?.regions ?? [];
  const add = (): void => {
    const query = { year: [Number(year)] };
    void (
      region === ""
        ? api.GET("/calendars/holidays/{country}", { params: { path: { country }, query: query as never } })
        : api.GET("/calendars/holidays/{country}/{region}", {
            params: { path: { country, region }, query: query as never },
          })
    )
      .then(({ data }) => {
        setError("");
        onAdd((data as Schemas["HolidaysRead"]).dates);
      })
      .catch((refused: unknown) => {
        if (!(refused instanceof Refused)) throw refused;
        setError(refused.message);
      });
  };
  return (
    <>
      <div class="inline">
        <Select
          label="Country"
          value={country}
          options={(countries.data ?? [{ country, name: country }]).map((one) => [one.country, one.name] as const)}
          onChange={(one) => {
            setCountry(one);
            setRegion("");
          }}
        />
        <Select
          label="Region"
          value={region}
          options={[["", "all of it"], ...regions.map((one) => [one, one] as const)]}
          onChange={setRegion}
        />
        <Field label="Year" type="number" min={2000} max={2100} value={year} onChange={setYear} />
        <button type="button" onClick={add}>
          Add them
        </button>
      </div>
      {error !== "" && <State mood="bad">{error}</State>}
    </>
  );
}

function CalendarDrawer({ calendarKey: key, onClose }: { calendarKey: string; onClose: () => void }): JSX.Element {
  const found = useQuery(`calendar-${key}`, async (signal) => {
    const path = { key };
    const [calendar, users] = await Promise.all([
      api.GET("/calendars/{key}", { params: { path }, signal }),
      api.GET("/calendars/{key}/triggers", { params: { path }, signal }),
    ]);
    return {
      calendar: calendar.data as Calendar,
      tag: calendar.response.headers.get("etag") ?? "",
      users: users.data as User[],
    };
  });
  return (
    <Dialog title={key} onClose={onClose} side>
      <Shown of={found}>
        {({ calendar, tag, users }) => (
          <>
            <h3>Used by</h3>
            {users.length === 0 && <p class="quiet">No trigger. A schedule names it in its exceptions.</p>}
            <ul>
              {users.map((one) => (
                <li key={one.id}>
                  <a href={`${HOME}/triggers/${one.id}`}>{one.name ?? one.key ?? `Trigger ${one.id}`}</a>
                </li>
              ))}
            </ul>
            <EditCalendar
              key={tag}
              calendar={calendar}
              tag={tag}
              users={users.length}
              onDone={found.reload}
              onGone={onClose}
            />
          </>
        )}
      </Shown>
    </Dialog>
  );
}

function EditCalendar({
  calendar,
  tag,
  users,
  onDone,
  onGone,
}: {
  calendar: Calendar;
  tag: string;
  users: number;
  onDone: () => void;
  onGone: () => void;
}): JSX.Element {
  const { key, ics } = calendar;
  const first = { text: ics ?? calendar.dates.join("\n"), tag };
  const [fields, change, forget] = useDraft(`calendar/${key}`, first);
  const isStale = fields.tag !== tag;
  const isChanged = fields.text !== first.text;
  const send = async (): Promise<void> => {
    const body = ics === null ? { dates: datesOf(fields.text) } : { ics: fields.text };
    const { data } = await api.PUT("/calendars/{key}", {
      params: { path: { key } },
      headers: { "If-Match": fields.tag },
      body,
    });
    const { warnings } = data as Schemas["CalendarWritten"];
    forget();
    tell([`${key} is saved; ${count(users)} triggers are planned by it.`, ...warnings].join(" "));
    onDone();
  };
  const remove = (): void =>
    ask({
      title: `Delete ${key}`,
      detail:
        users > 0
          ? `${count(users)} triggers name it, so it is refused until none does.`
          : "1 calendar is deleted. No trigger names it.",
      verb: "Delete",
      typed: key,
      act: async () => {
        await api.DELETE("/calendars/{key}", { params: { path: { key } } });
        forget();
        tell(`${key} is deleted.`);
        onGone();
      },
    });
  if (!holds("triggers:write")) return <pre tabIndex={0}>{first.text}</pre>;
  return (
    <>
      {isStale && (
        <p class="away" role="status">
          <State mood="late">Somebody else has changed it since you began.</State>{" "}
          <button type="button" onClick={() => change(first)}>
            Take theirs
          </button>{" "}
          <button type="button" onClick={() => change({ tag })}>
            Keep mine
          </button>
        </p>
      )}
      <Form verb={isChanged ? `Save, and plan ${count(users)} triggers by it` : "Save"} send={send}>
        {ics === null ? (
          <Dates value={fields.text} onChange={(text) => change({ text })} />
        ) : (
          <label>
            iCalendar file
            <textarea rows={14} value={fields.text} onInput={(event) => change({ text: event.currentTarget.value })} />
          </label>
        )}
      </Form>
      {isChanged && <Changes before={calendar.dates} after={ics === null ? datesOf(fields.text) : null} />}
      <p>
        <button type="button" class="danger" onClick={remove}>
          Delete
        </button>
      </p>
    </>
  );
}

/** The dates that saving adds and drops. */
function Changes({ before, after }: { before: readonly string[]; after: readonly string[] | null }): JSX.Element | null {
  if (after === null) return null;
  const added = after.filter((one) => !before.includes(one));
  const dropped = before.filter((one) => !after.includes(one));
  return (
    <p class="quiet">
      {added.length > 0 && `Adds ${added.slice(0, 8).join(", ")}${added.length > 8 ? ` and ${added.length - 8} more` : ""}. `}
      {dropped.length > 0 &&
        `Drops ${dropped.slice(0, 8).join(", ")}${dropped.length > 8 ? ` and ${dropped.length - 8} more` : ""}.`}
    </p>
  );
}
