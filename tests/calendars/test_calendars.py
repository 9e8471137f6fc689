"""Calendars over HTTP: made, read, replaced and deleted; and national holidays."""

import httpx

from tests.support.calendars import ics_file, put_calendar
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, running_service
from tests.support.triggers import make_scheduled

CHRISTMAS = ics_file("DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227")


async def test_a_calendar_is_read_and_listed_as_it_was_made(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    answer = await ada.post(
        "/calendars", json={"key": "closed", "dates": ["2026-12-31", "2026-12-24", "2026-12-31"]}
    )
    made, tag = answer.json(), answer.headers["etag"]
    file = (await ada.post("/calendars", json={"key": "christmas", "ics": CHRISTMAS})).json()

    read = await ada.get("/calendars/closed")
    known = await ada.get("/calendars/closed", headers={"If-None-Match": tag})
    listed = (await ada.get("/calendars", params={"limit": 1})).json()
    info = (await ada.get("/info")).json()

    assert [answer.status_code, answer.headers["location"]] == [201, "/calendars/closed"]
    assert made == read.json() | {"warnings": []}
    assert made["dates"] == ["2026-12-24", "2026-12-31"]
    assert [made["count"], made["ics"], made["covers_until"]] == [2, None, None]
    assert [known.status_code, read.headers["etag"]] == [304, tag]
    assert file["dates"] == ["2026-12-24", "2026-12-25", "2026-12-26"]
    assert file["ics"] == CHRISTMAS
    assert [one["key"] for one in listed] == ["christmas"]
    assert "dates" not in listed[0]
    assert [one["key"] for one in (await overseer.get("/calendars")).json()] == [
        "christmas",
        "closed",
    ]
    assert (await bob.get("/calendars")).json() == []
    assert (await bob.get("/calendars/closed")).status_code == 404
    assert info["limits"]["calendars"] == {"limit": 100, "used": 2}


async def test_put_creates_replaces_or_changes_nothing(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    made = await ada.put("/calendars/closed", json={"dates": ["2026-12-24"]})
    same = await ada.put("/calendars/closed", json={"key": "closed", "dates": ["2026-12-24"]})
    sent_back = await ada.put(
        "/calendars/closed", json=same.json(), headers={"If-Match": same.headers["etag"]}
    )
    other = await ada.put("/calendars/closed", json={"ics": CHRISTMAS})
    read = await ada.get("/calendars/closed")
    again = await ada.put("/calendars/closed", json=read.json())  # its dates are those of the file

    stale = await ada.put(
        "/calendars/closed", json={"dates": []}, headers={"If-Match": made.headers["etag"]}
    )
    there = await ada.put("/calendars/closed", json={"dates": []}, headers={"If-None-Match": "*"})
    moved = await ada.put("/calendars/closed", json=read.json() | {"dates": ["2026-12-24"]})
    read_only = await ada.put("/calendars/closed", json=read.json() | {"count": 7})
    kept = await ada.delete("/calendars/closed", headers={"If-Match": made.headers["etag"]})
    gone = await ada.delete("/calendars/closed", headers={"If-Match": read.headers["etag"]})
    audit = (await admin.get("/audit", params={"target": "calendar"})).json()

    assert [made.status_code, same.status_code, sent_back.status_code] == [201, 200, 200]
    assert made.json() == same.json() == sent_back.json()
    assert other.json()["id"] == made.json()["id"]
    assert again.json() == other.json()
    assert [one.status_code for one in (stale, there, kept)] == [412] * 3
    assert places_of(moved) == ["#/dates"]
    assert places_of(read_only) == ["#/count"]
    assert gone.status_code == 204
    assert (await ada.get("/calendars/closed")).status_code == 404
    assert audit[0]["before"]["key"] == "closed"
    assert [len(one["after"] or {}) for one in audit] == [0, 1, 2]  # no entry for the same again


async def test_what_is_no_calendar_is_refused_with_its_place(ada: httpx.AsyncClient) -> None:
    await put_calendar(ada, "closed")
    bad: list[tuple[dict[str, object], str]] = [
        ({}, "#"),
        ({"dates": None, "ics": None}, "#"),
        ({"dates": ["2026-02-30"]}, "#/dates/0"),
        ({"dates": ["2026-12-24", "20261224"]}, "#/dates/1"),
        ({"dates": ["2026-12-24T00:00:00Z"]}, "#/dates/0"),
        ({"dates": ["9001-01-01"]}, "#/dates/0"),
        ({"dates": ["2026-12-24"] * 2001}, "#/dates"),
        ({"dates": "2026-12-24"}, "#/dates"),
        ({"ics": "hello"}, "#/ics"),
        ({"ics": "x" * 600_000}, "#/ics"),
        ({"ics": CHRISTMAS, "dates": ["2026-12-24"]}, "#/dates"),
        ({"dates": [], "name": "x"}, "#/name"),
        ({"dates": [], "key": "other"}, "#/key"),
    ]

    refused = [await ada.put("/calendars/new", json=body) for body, _ in bad]
    reserved = await ada.post("/calendars", json={"key": "holidays", "dates": []})
    taken = await ada.post("/calendars", json={"key": "closed", "dates": []})
    method = await ada.put("/calendars/holidays", json={"dates": []})

    assert [places_of(one) for one in refused] == [[place] for _, place in bad]
    assert "create another calendar" in problem_of(refused[-1], 422)["detail"]
    assert places_of(reserved) == ["#/key"]
    assert places_of(taken, 409) == ["#/key"]
    assert [method.status_code, method.headers["allow"]] == [405, "GET, HEAD, OPTIONS"]
    assert (await ada.get("/calendars/new")).status_code == 404


async def test_a_project_has_so_many_calendars_and_a_repeated_call_makes_one(
    database_url: str,
) -> None:
    async with running_service(database_url, max_calendars=1) as service:
        ada, body = service.client(ADA), {"key": "closed", "dates": []}
        key = {"Idempotency-Key": "one"}
        made = [await ada.post("/calendars", json=body, headers=key) for _ in range(2)]

        refused = await ada.post("/calendars", json={"key": "other", "dates": []})
        by_key = await ada.put("/calendars/other", json={"dates": []})
        replaced = await ada.put("/calendars/closed", json={"dates": ["2026-12-24"]})
        of_set = await ada.put(  # it is refused before its file is read
            "/sets/a", json={"calendars": {"new": {"ics": "x"}}}, params={"dry_run": "true"}
        )

    assert [one.json() for one in made] == [made[0].json()] * 2
    assert problem_of(refused, 409) == problem_of(by_key, 409) == problem_of(of_set, 409)
    assert "EVENT_TRIGGER_MAX_CALENDARS" in refused.json()["detail"]
    assert replaced.status_code == 200


async def test_events_with_times_are_left_out_and_the_answer_says_so(
    ada: httpx.AsyncClient,
) -> None:
    timed = "DTSTART:20261224T180000Z\r\nDTEND:20261224T190000Z"

    made = await put_calendar(ada, "a", ics=ics_file("DTSTART:20261231", timed, timed))

    assert made["dates"] == ["2026-12-31"]
    assert made["warnings"] == ["2 events with times were left out: a calendar has whole days."]


async def test_holidays_make_a_calendar(ada: httpx.AsyncClient) -> None:
    countries = {one["country"]: one for one in (await ada.get("/calendars/holidays")).json()}
    germany = (await ada.get("/calendars/holidays/de", params={"year": 2027})).json()
    berlin = await ada.get("/calendars/holidays/DE/be", params={"year": [2027, 2028]})
    this_year = (await ada.get("/calendars/holidays/US")).json()

    made = await put_calendar(ada, "berlin", *berlin.json()["dates"])

    assert countries["DE"]["name"] == "Germany"
    assert {"BE", "BY"} < {*countries["DE"]["regions"]}
    assert len(countries) > 200
    assert not {"BV", "HM", "IO"} & countries.keys()  # nobody lives there
    assert [germany["country"], germany["region"]] == ["DE", None]
    assert {"date": "2027-05-17", "name": "Pentecost Monday"} in germany["holidays"]
    assert "2027-03-08" in berlin.json()["dates"]  # a holiday in Berlin
    assert "2027-03-08" not in germany["dates"]
    assert made["dates"] == berlin.json()["dates"]
    assert len({one[:4] for one in this_year["dates"]}) == 1


async def test_unknown_holidays_are_refused(ada: httpx.AsyncClient) -> None:
    unknown = [await ada.get(f"/calendars/holidays/{path}") for path in ("XX", "DE/XX", "BV")]
    invalid = [
        await ada.get(f"/calendars/holidays/{country}", params={"year": year})
        for country, year in (
            ("DE", "1850"),
            ("DE", ["2027"] * 21),
            ("DE", "x"),
            ("LK", "2090"),
            ("UA", "2025"),  # under martial law it has none
            ("A" * 51, "2027"),
        )
    ]
    spelt = {
        path: problem_of(await ada.get(f"/calendars/holidays/{path}"), 404)["detail"]
        for path in ("UK", "deu", "Germany", "GB/Scotland", "DE/Bavaria")
    }

    assert all("GET /calendars/holidays" in problem_of(one, 404)["detail"] for one in unknown)
    assert [one.status_code for one in invalid] == [422] * 6
    assert "GB" in spelt["UK"]
    assert "DE" in spelt["deu"]
    assert spelt["Germany"] == spelt["deu"]
    assert "SCT" in spelt["GB/Scotland"]
    assert "BW, BY" in spelt["DE/Bavaria"]


async def test_a_calendar_names_the_triggers_that_use_it(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await put_calendar(ada, "closed", "2026-12-24")
    await put_calendar(bob, "closed", "2026-12-24")
    excepted = {"cron": "@daily", "except": [{"calendar": "closed"}]}
    used = await make_scheduled(ada, excepted, name="Nightly", key="nightly")
    await make_scheduled(ada, {"cron": "@daily"})

    found = (await ada.get("/calendars/closed/triggers")).json()

    assert found == [{"id": used["id"], "key": "nightly", "name": "Nightly"}]
    assert (await bob.get("/calendars/closed/triggers")).json() == []
    problem_of(await ada.get("/calendars/open/triggers"), 404)
