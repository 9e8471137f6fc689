"""Translates names of days and months that cron does not know, to say which ones it does."""

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"[A-Z]{2,10}")
_ENGLISH: Mapping[str, str] = {  # beginnings of German, French, Spanish, Portuguese, Dutch names
    **dict.fromkeys(("MO", "LUN", "SEG", "MA"), "MON"),
    **dict.fromkeys(("DI", "MAR", "TER"), "TUE"),
    **dict.fromkeys(("MI", "MER", "MIE", "QUA", "WO"), "WED"),
    **dict.fromkeys(("DO", "JEU", "JUE", "GIO", "QUI"), "THU"),
    **dict.fromkeys(("FR", "VEN", "VIE", "SEX", "VR"), "FRI"),
    **dict.fromkeys(("SA", "SAM", "SAB", "ZA"), "SAT"),
    **dict.fromkeys(("SO", "DIM", "DOM", "ZO", "SU"), "SUN"),
    **dict.fromkeys(("TU",), "TUE"),
    **dict.fromkeys(("WE",), "WED"),
    **dict.fromkeys(("TH",), "THU"),
}
_ENGLISH_MONTHS: Mapping[str, str] = {
    **dict.fromkeys(("ENE", "GEN", "JANV"), "JAN"),
    **dict.fromkeys(("FEV", "FEVR"), "FEB"),
    **dict.fromkeys(("MRZ", "MARS", "MRT"), "MAR"),
    **dict.fromkeys(("AVR", "ABR"), "APR"),
    **dict.fromkeys(("MAI", "MEI", "MAG"), "MAY"),
    **dict.fromkeys(("JUIN", "GIU"), "JUN"),
    **dict.fromkeys(("JUIL", "LUG"), "JUL"),
    **dict.fromkeys(("AOUT", "AGO"), "AUG"),
    **dict.fromkeys(("SET", "SEPT"), "SEP"),
    **dict.fromkeys(("OKT", "OUT", "OTT"), "OCT"),
    **dict.fromkeys(("DEZ", "DIC"), "DEC"),
}


def in_english(text: str, names: Sequence[str]) -> str | None:
    """Writes a field's names as cron does, "MONDAY-FRIDAY" as "MON-FRI"; None if one is unknown."""
    words = _WORD.findall(text)
    found = {word: _name(word, names) for word in words}
    if not words or len(text) > 40 or None in found.values() or all(one in names for one in words):
        return None
    return _WORD.sub(lambda word: found[word[0]] or "", text)


def _name(word: str, names: Sequence[str]) -> str | None:
    if word in names:
        return word
    others = _ENGLISH if "SUN" in names else _ENGLISH_MONTHS
    if word in others:
        return others[word]
    full = {one[:3]: one for one in (*_DAYS, *_MONTHS)}.get(word[:3], "")
    return word[:3] if word[:3] in names and full.startswith(word) else None


_DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
_MONTHS = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST"),
    *("SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
