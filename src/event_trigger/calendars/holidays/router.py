"""HTTP operations on national holidays."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, NoReturn

from fastapi import Depends, Path, Query
from pydantic import Field

from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, needs
from event_trigger.auth.scopes import Scope
from event_trigger.calendars.holidays.national import (
    Country,
    NoSuchCountry,
    get_country,
    holidays_in,
    list_countries,
    region_of,
)
from event_trigger.db.clock import database_now
from event_trigger.errors import FieldError, Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import ResponseModel
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/calendars/holidays",
    tags=["calendars"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[UNLIMITED, needs(Scope.TRIGGERS_READ), EXPENSIVE],
)
MOST_YEARS = 20
CountryCode = Annotated[
    str, Path(max_length=50, description="The code of ISO 3166.", examples=["DE"])
]
RegionCode = Annotated[
    str, Path(max_length=50, description="As the list of countries has it.", examples=["BE"])
]
Years = Annotated[
    list[int] | None,
    Query(
        min_length=1,
        max_length=MOST_YEARS,
        description="A year, or several if it is repeated; left out, the present one.",
        examples=[[2027, 2028]],
    ),
]


class CountryRead(ResponseModel):
    country: str = Field(description="The code of ISO 3166.", examples=["DE"])
    name: str = Field(examples=["Germany"])
    regions: list[str] = Field(examples=[["BE", "BY"]])
    first_year: int
    last_year: int


class HolidayRead(ResponseModel):
    date: date
    name: str = Field(examples=["New Year's Day"])


class HolidaysRead(ResponseModel):
    country: str = Field(examples=["DE"])
    region: str | None = Field(examples=["BE"])
    dates: list[date] = Field(
        description="The dates alone, in the form that `POST /calendars` takes."
    )
    holidays: list[HolidayRead]


async def get_years(sessions: SessionsDep, year: Years = None) -> Sequence[int]:
    """Returns the years that are asked for, or the present one."""
    if year:
        return year
    async with sessions() as session:
        return [(await database_now(session)).year]


YearsDep = Annotated[Sequence[int], Depends(get_years)]


@router.get("", summary="List countries with known holidays", operation_id="list_holiday_countries")
async def list_holiday_countries(cpu_bound: CpuBoundDep) -> list[CountryRead]:
    """Lists countries and their regions by their codes, and the years whose holidays are known."""
    found = await cpu_bound.compute(list_countries)
    return [
        CountryRead(
            country=one.code,
            name=one.name,
            regions=[*one.regions],
            first_year=one.first_year,
            last_year=one.last_year,
        )
        for one in found
    ]


@router.get(
    "/{country}",
    summary="List a country's holidays",
    operation_id="get_holidays",
    responses=problems(NoSuchCountry),
)
async def get_holidays(
    country: CountryCode, years: YearsDep, cpu_bound: CpuBoundDep
) -> HolidaysRead:
    """Returns the public holidays of the whole country, with days off in lieu.

    `dates` may be sent to `POST /calendars`, after a look: which days are free is yours to say.
    """
    return await cpu_bound.compute(partial(_read, country, None, years))


@router.get(
    "/{country}/{region}",
    summary="List a region's holidays",
    operation_id="get_holidays_of_region",
    responses=problems(NoSuchCountry),
)
async def get_holidays_of_region(
    country: CountryCode, region: RegionCode, years: YearsDep, cpu_bound: CpuBoundDep
) -> HolidaysRead:
    """Returns the public holidays of a region: those of its country, and its own."""
    return await cpu_bound.compute(partial(_read, country, region, years))


def _read(code: str, region: str | None, years: Sequence[int]) -> HolidaysRead:
    country = get_country(code)
    named = None if region is None else region_of(country, region)
    _check_years(country, years)
    found = holidays_in(country, named, years)
    if not found:
        _refuse_years("No public holidays of this country are known for these years.")
    return HolidaysRead(
        country=country.code,
        region=named,
        dates=[*found],
        holidays=[HolidayRead(date=day, name=name) for day, name in found.items()],
    )


def _check_years(country: Country, years: Sequence[int]) -> None:
    first, last = country.first_year, country.last_year
    if not all(first <= one <= last for one in years):
        _refuse_years(f"The holidays of this country are known for the years {first} to {last}.")


def _refuse_years(detail: str) -> NoReturn:
    raise Invalid(detail, errors=[FieldError("parameter", "year", detail)])
