"""Asks the package `holidays` for countries and their holidays; it imports some 250 modules."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from event_trigger.errors import NotFound

_LANGUAGE = "en_US"
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_YEARS_TO_TRY = (2020, 2026)
_MOST_REGIONS_NAMED = 60
_OTHER_NAMES = {"uk": "GB", "england": "GB", "usa": "US", "america": "US", "holland": "NL"}
_SMALL_WORDS = {"And": "and", "Of": "of", "Da": "da"}


class NoSuchCountry(NotFound):
    default_detail = (
        "No holidays are known by this name. GET /calendars/holidays lists the countries and their"
        " regions."
    )

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(f"{self.default_detail} {hint}" if hint else None)


class Country(NamedTuple):
    """A country or territory by its ISO 3166 code, with the years whose holidays are known."""

    code: str
    name: str
    regions: tuple[str, ...]
    first_year: int
    last_year: int


def list_countries() -> tuple[Country, ...]:
    """Lists countries that have holidays, by their code. The first call takes half a second."""
    return tuple(_countries().values())


def get_country(code: str) -> Country:
    """Finds a country by its code, in any case; raises NoSuchCountry."""
    found = _countries().get(code.upper())
    if found is None:
        meant = _codes_of_names().get(code.casefold())
        raise NoSuchCountry(f"Write the code {meant} for this country." if meant else None)
    return found


def region_of(country: Country, name: str) -> str:
    """Returns a region as it is listed; raises NoSuchCountry."""
    for region in country.regions:
        if region.casefold() == name.casefold():
            return region
    aliases = _country_class(country.code).get_subdivision_aliases()
    for region, names in aliases.items():
        if name.casefold() in map(str.casefold, names):
            raise NoSuchCountry(f"Write {region} for this region.")
    if 0 < len(country.regions) <= _MOST_REGIONS_NAMED:
        raise NoSuchCountry(f"This country has the regions {', '.join(country.regions)}.")
    raise NoSuchCountry


def holidays_in(country: Country, region: str | None, years: Iterable[int]) -> Mapping[date, str]:
    """Computes public holidays and their English names, in order, with days given in lieu.

    The years must be known ones. Takes some milliseconds.
    """
    found = _package().country_holidays(
        country.code, subdiv=region, years=[*years], expand=False, language=_LANGUAGE
    )
    return {day: found[day] for day in sorted(found)}


@cache
def _countries() -> Mapping[str, Country]:
    package, known = _package(), {}
    regions = package.list_supported_countries(include_aliases=False)
    names = {entity[1]: entity[0] for entity in package.registry.COUNTRIES.values()}
    for code in sorted(regions):
        if not any(package.country_holidays(code, years=year) for year in _YEARS_TO_TRY):
            continue  # an empty calendar of a land where nobody lives would look right
        kind = _country_class(code)
        known[code] = Country(
            code, _in_words(names[code]), tuple(regions[code]), kind.start_year, kind.end_year
        )
    return known


@cache
def _codes_of_names() -> Mapping[str, str]:
    """Maps names, and codes of three letters, without regard to case."""
    entities = _package().registry.COUNTRIES.values()
    longer = {entity[2].casefold(): entity[1] for entity in entities}
    names = {one.name.casefold(): code for code, one in _countries().items()}
    return names | longer | _OTHER_NAMES


def _country_class(code: str) -> Any:
    return getattr(_package(), code)


def _package() -> ModuleType:
    import holidays  # noqa: PLC0415  takes 0.3 s, and most processes never need it

    return holidays


def _in_words(class_name: str) -> str:
    words = _CAPITAL.sub(" ", class_name).split()
    return " ".join(_SMALL_WORDS.get(one, one) for one in words)
