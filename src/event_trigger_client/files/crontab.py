"""Reads crontabs into files of triggers, for review: what cannot be a trigger becomes a comment."""

import re
from dataclasses import dataclass, field

from event_trigger_client.files.writing import Draft, Member

_DESTINATION = "crontab"
_LONGEST_NAME, _LONGEST_KEY = 200, 80  # characters; a key may have a number behind it
_NAMES = frozenset(
    {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
)
_SAME_AS = {"@every_minute": "* * * * *"}  # BSD's
_SETTING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|\"[^\"]*\"|'[^']*')\s*=\s*(.*)", re.ASCII)
_FIELD = r"[0-9A-Za-z*?/,#~-]+"
_LINE = re.compile(rf"-?({_FIELD}(?:[ \t]+{_FIELD}){{4}})[ \t]+(\S.*)", re.ASCII)
_TIME_FIELD = re.compile(r"[*?]|[*?]/\d+|\d{4}|\d+|\d+[-,/]\S*", re.ASCII)
_DISABLED = re.compile(
    rf"#+\s*(?:[0-9*]\S*(?:[ \t]+{_FIELD}){{4}}|@(?:reboot|hourly|daily|weekly|monthly))[ \t]+\S.*",
    re.ASCII,
)
_AT_NAME = re.compile(r"-?(@[A-Za-z_]+)[ \t]+(\S.*)")
_OF_TOOLS = re.compile(r"^(Ansible|Puppet Name|Chef Name|Name):\s*", re.IGNORECASE)
_HEADING = re.compile(r"m(in)?(ute)?s?\s+h", re.IGNORECASE)  # of the columns, as crontab -e has it
_SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd)?|token|secret|api[_-]?key)[=:\s]\s*|://[^/\s:@]*:|\s-\w*u\s+\S+?:)[^\s@\"']+"
)
_ZONES = frozenset({"CRON_TZ", "TZ"})
_NO_KEY = re.compile(r"[^a-z0-9]+")


@dataclass
class Imported:
    """The file that a crontab becomes, and what became of its lines, each told in words."""

    draft: Draft
    triggers: int = 0
    skipped: list[str] = field(default_factory=list)


def read_crontab(
    text: str, *, set_name: str, url_template: str, timezone: str | None, has_users: bool = False
) -> Imported:
    """Makes a trigger of each job; all are delivered to one URL, which may be a template.

    `timezone` is that of the machine; crontabs of the system have a user in each line.
    """
    return _Import(set_name, url_template, timezone, has_users).read(text)


class _Import:
    """Reads a crontab line by line; comments above a job name it."""

    def __init__(
        self, set_name: str, url_template: str, timezone: str | None, has_users: bool
    ) -> None:
        self._found = Imported(Draft(set_name))
        self._url, self._machine_zone, self._has_users = url_template, timezone, has_users
        self._zone: str | None = None
        self._above: list[str] = []

    def read(self, text: str) -> Imported:
        for number, line in enumerate(text.splitlines(), start=1):
            self._line(number, line.strip())
        found, draft = self._found, self._found.draft
        draft.notes = [
            "Made of a crontab: review it, and then run plan and apply.",
            "The commands stay where they are: each trigger calls the URL of the destination"
            f" {_DESTINATION}, and the program there runs what the comment says.",
            "Look for passwords in the comments before you keep this in git; found ones are stars.",
        ]
        if self._machine_zone is None:
            draft.notes.append(
                "A crontab has the time zone of its machine: write it in defaults if it is not UTC."
            )
        draft.defaults = {"timezone": self._machine_zone or "UTC", "destinations": [_DESTINATION]}
        draft.destinations[_DESTINATION] = Member({"url": self._url})
        if found.skipped:
            draft.last_notes = ["These lines became no trigger:", *found.skipped]
        return found

    def _line(self, number: int, line: str) -> None:
        if not line:
            self._above = []
        elif line.startswith("#"):
            self._comment(number, line)
        elif (setting := _SETTING.fullmatch(line)) is not None:
            self._setting(number, setting[1].strip("\"'"), setting[2].strip().strip("\"'"))
            self._above = []
        else:
            self._job(number, line)
            self._above = []

    def _comment(self, number: int, line: str) -> None:
        if _DISABLED.fullmatch(line):
            self._skip(number, line.lstrip("# "), "it is commented out")
            self._above = []
        elif (words := line.lstrip("#").strip()) and not _HEADING.match(words):
            self._above.append(_OF_TOOLS.sub("", words))

    def _setting(self, number: int, name: str, value: str) -> None:
        if name in _ZONES:
            self._zone = value.removeprefix(":") or None
            return
        self._skip(number, f"{name}=…", "a setting for commands, which stay where they are")

    def _job(self, number: int, line: str) -> None:
        schedule, command = _parts(line)
        if schedule is None:
            self._skip(number, line, "it is no line of a crontab")
            return
        if schedule == "@reboot":
            self._skip(number, line, "nothing here knows when that machine starts")
            return
        if schedule.startswith("@") and schedule not in _NAMES:
            self._skip(number, line, f"{schedule} is no name that is known here")
            return
        if "~" in schedule:
            advice = "random times: write a range's first minute, and spread for the distance"
            self._skip(number, line, advice)
            return
        if not schedule.startswith("@") and _TIME_FIELD.fullmatch(command.split()[0]):
            self._skip(
                number, line, "it seems to have more than five fields, as other systems have"
            )
            return
        self._add(schedule, command)

    def _add(self, schedule: str, command: str) -> None:
        user = None
        if self._has_users:
            user, _, command = command.partition(" ")
        name = " ".join(self._above)[:_LONGEST_NAME]
        triggers = self._found.draft.triggers
        base = _key_of(name) or _key_of(_program(command)) or "job"
        key, count = base, 1
        while key in triggers:
            count += 1
            key = f"{base}-{count}"
        fields: dict[str, object] = {"cron": schedule}
        if self._zone is not None:
            fields["timezone"] = self._zone
        if name:
            fields = {"name": name} | fields
        comments = [f"{'' if user is None else f'as {user}: '}{_without_secrets(command.strip())}"]
        if "%" in command.replace("\\%", ""):
            comments.append("(A % begins the lines that cron gives the command to read.)")
        triggers[key] = Member(fields, comments)
        self._found.triggers += 1

    def _skip(self, number: int, line: str, reason: str) -> None:
        self._found.skipped.append(f"line {number}: {_without_secrets(line)} - {reason}")


def _parts(line: str) -> tuple[str | None, str]:
    """Splits a job into its schedule and its command; of no job, the schedule is None."""
    if (named := _AT_NAME.fullmatch(line)) is not None:
        name = named[1].lower()
        return _SAME_AS.get(name, name), named[2]
    if (timed := _LINE.fullmatch(line)) is not None:
        return " ".join(timed[1].split()), timed[2]
    return None, ""


def _without_secrets(command: str) -> str:
    """Puts stars where a command has a password in one of the usual places."""
    return _SECRET.sub(r"\1***", command)


def _program(command: str) -> str:
    """Names a job by the last part of its program, and by what follows as long as it is a word."""
    words = command.split()
    named = [words[0].rsplit("/", 1)[-1]] if words else []
    for word in words[1:3]:
        if not re.fullmatch(r"[A-Za-z][\w.:-]*|/?[\w./-]*\.\w+", word, re.ASCII):
            break
        named.append(word.rsplit("/", 1)[-1])
    return " ".join(named)


def _key_of(text: str) -> str:
    return _NO_KEY.sub("-", text.lower())[:_LONGEST_KEY].strip("-")
