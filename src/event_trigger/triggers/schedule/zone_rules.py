"""Reads time zone rules from the machine, and keeps those in force and those of the past.

`zoneinfo` prefers the machine's files to the tzdata package, whichever is newer. This module
compares their versions, so that all replicas can go by the newest rules.
"""

import hashlib
import re
import threading
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata

UNKNOWN = ""  # the version of a folder that does not name one: older than any other
_VERSION_PATTERN = re.compile(r"\b((?:19|20)[0-9]{2})([a-z]{1,2})\b")
_VERSION_FILES = ("+VERSION", "version", "tzdata.zi")  # BSD and macOS; some of Linux; IANA
_TZIF_MAGIC = b"TZif"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a zone in one version of the IANA database; `data` is a TZif file (RFC 9636)."""

    key: str
    version: str
    data: bytes = field(repr=False)
    digest: str
    zone: ZoneInfo = field(repr=False, compare=False)

    @classmethod
    def read(cls, key: str, version: str, data: bytes) -> "Rules":
        """Parses a TZif file; raises ValueError."""
        if not data.startswith(_TZIF_MAGIC):
            raise ValueError(f"The file of the zone {key} is no TZif file.")
        digest = hashlib.sha256(key.encode() + b"\0" + data).hexdigest()[:32]
        return cls(key, version, data, digest, ZoneInfo.from_file(BytesIO(data), key=key))


@dataclass(frozen=True, slots=True)
class ZoneSource:
    """A folder of zone files, and the version that it names."""

    name: str
    folder: Traversable
    version: str

    def read(self, key: str) -> Rules | None:
        file = self.folder
        for part in key.split("/"):
            file = file.joinpath(part)
        try:
            return Rules.read(key, self.version, file.read_bytes())
        except (OSError, ValueError):
            return None  # a folder, a missing file, a file that is no zone


def is_newer(version: str, *, than: str) -> bool:
    """Compares versions such as 2025b; `UNKNOWN` is older than any."""
    return _sort_key(version) > _sort_key(than)


def sources(path: Sequence[str] = zoneinfo.TZPATH) -> list[ZoneSource]:
    """Lists the machine's folders of zones and the tzdata package, the newest first."""
    package = ZoneSource("the tzdata package", files("tzdata") / "zoneinfo", tzdata.IANA_VERSION)
    found = [package, *(_source(folder) for folder in map(Path, path) if folder.is_dir())]
    return sorted(found, key=lambda one: _sort_key(one.version), reverse=True)


class ZoneRules:
    """The rules in force in a process: the machine's newest, until newer ones are adopted.

    Past rules stay known by their digest, to judge the plans that were made by them.
    """

    def __init__(self, ranked: Iterable[ZoneSource]) -> None:
        self._sources = list(ranked)
        self._lock = threading.Lock()
        self._in_force: dict[str, Rules] = {}
        self._known: dict[str, Rules] = {}

    @property
    def source(self) -> ZoneSource:
        return self._sources[0]

    @property
    def version(self) -> str:
        """The newest version on this machine."""
        return self.source.version

    def get(self, key: str) -> Rules:
        """Returns the rules in force for a zone; raises LookupError if there is no such zone."""
        found = self._in_force.get(key)
        return self._look_up(key) if found is None else found

    def get_in_force(self, key: str) -> Rules | None:
        """Returns the rules in force for a zone that `get` was asked for before, else None."""
        return self._in_force.get(key)

    def of_machine(self, key: str) -> Rules | None:
        """Reads the newest rules of a zone on this machine; adopted rules do not count."""
        return next(filter(None, (one.read(key) for one in self._sources)), None)

    def get_known(self, digest: str) -> Rules | None:
        return self._known.get(digest)

    def remember(self, rules: Rules) -> None:
        """Makes past rules known, without putting them in force."""
        with self._lock:
            self._known.setdefault(rules.digest, rules)

    def adopt(self, rules: Rules) -> None:
        """Puts rules in force, in every thread."""
        with self._lock:
            self._known.setdefault(rules.digest, rules)
            self._in_force[rules.key] = rules

    def _look_up(self, key: str) -> Rules:
        rules = self.of_machine(key)
        if rules is None:
            raise LookupError(key)
        with self._lock:
            self._known.setdefault(rules.digest, rules)
            return self._in_force.setdefault(key, rules)


@cache
def zone_rules() -> ZoneRules:
    """Returns the rules of this process."""
    return ZoneRules(sources())


def usual_rules(key: str) -> Rules | None:
    """Reads the rules that `zoneinfo` uses: the machine's folders come before the package."""
    folders = [_source(folder) for folder in map(Path, zoneinfo.TZPATH) if folder.is_dir()]
    return next(filter(None, (one.read(key) for one in folders)), None)


def describe_rules() -> str:
    """Names the machine's newest rules and the other sources, for the log and the command line."""
    newest, *others = sources()
    rest = [f"{one.name} has {one.version or 'an unknown version'}" for one in others]
    return f"{newest.version or 'unknown'} of {newest.name}" + "".join(f"; {one}" for one in rest)


def _source(folder: Path) -> ZoneSource:
    return ZoneSource(str(folder), folder, _version_of(folder))


def _version_of(folder: Path) -> str:
    for name in _VERSION_FILES:
        try:
            with (folder / name).open(encoding="ascii", errors="replace") as file:
                found = _VERSION_PATTERN.search(file.readline(200))
        except OSError:
            continue
        if found is not None:
            return found[0]
    return UNKNOWN


def _sort_key(version: str) -> tuple[int, int, str]:
    found = _VERSION_PATTERN.fullmatch(version)
    return (0, 0, "") if found is None else (int(found[1]), len(found[2]), found[2])
