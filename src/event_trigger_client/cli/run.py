"""One run of a command: which service it calls, as whom, and how it prints."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple

import event_trigger_client
from event_trigger_client.cli.credentials import Credentials
from event_trigger_client.cli.exits import ExitCode, Failed, exit_code_of, words_of
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import Output
from event_trigger_client.cli.profiles import FIRST, Profile, Profiles, configuration_folder
from event_trigger_client.cli.progress import bar
from event_trigger_client.cli.writing import harmless

Row = Mapping[str, Any]

_RETRIES = 2  # in under a second: a person waits for the answer


class Target(NamedTuple):
    """The address and the token of a call; `source` says where the token is from."""

    url: str
    token: str | None
    project: str | None
    source: str


class Run:
    """Gives commands a client and an output; options win over the environment, then the profile."""

    def __init__(
        self, *, url: str | None, project: str | None, profile: str | None, output: Format
    ) -> None:
        self._url, self._project, self._profile = url, project, profile
        self.output = Output(output)
        self._client: event_trigger_client.Client | None = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()

    @cached_property
    def profiles(self) -> Profiles:
        return Profiles(configuration_folder())

    @cached_property
    def credentials(self) -> Credentials:
        return Credentials(configuration_folder())

    @property
    def profile_name(self) -> str:
        chosen = self._profile or _environment("PROFILE")
        return chosen or self.profiles.current or FIRST

    @property
    def given_url(self) -> str | None:
        """The service that an option or the environment names."""
        return self._url or _environment("URL")

    @property
    def given_project(self) -> str | None:
        return self._project or _environment("PROJECT")

    @cached_property
    def profile(self) -> Profile | None:
        """The chosen profile; one that is named must exist."""
        if self._profile or _environment("PROFILE"):
            return self.profiles.get_one(self.profile_name)
        return self.profiles.get(self.profile_name)

    @cached_property
    def target(self) -> Target:
        """Resolves the service and the token: a kept token goes only where its login was."""
        profile, token = self.profile, _environment("TOKEN")
        given = self.given_url or (profile.url if profile is not None else None)
        url = None if given is None else checked_url(given)
        if url is None:
            raise Failed(
                "No service is named. Sign in: event-trigger login --url http://localhost:8000",
                ExitCode.SIGN_IN,
            )
        ours = profile if profile is not None and _place(profile.url) == _place(url) else None
        project = self.given_project or (ours.project if ours and not token else None)
        if token:
            return Target(url, token, project, "EVENT_TRIGGER_TOKEN")
        if ours is None:
            return Target(url, None, project, "nowhere")
        kept = self.credentials.get(token_name(ours.name), ours.token_in)
        return Target(url, kept, project, f"profile {ours.name}")

    @property
    def client(self) -> "event_trigger_client.Client":
        """The client of the service, as the user of the token."""
        if self.target.token is None:
            raise Failed(
                f"You are not signed in to {self.target.url}. Sign in:"
                f" event-trigger login --url {self.target.url}",
                ExitCode.SIGN_IN,
            )
        return self.any_client

    @property
    def any_client(self) -> "event_trigger_client.Client":
        """The client of the service, also without a token."""
        if self._client is None:
            target = self.target
            self._client = new_client(target.url, token=target.token, project=target.project)
        return self._client

    def forget(self) -> None:
        """Reads the profile again when it is next needed: a login has changed it."""
        for name in ("profile", "target"):
            self.__dict__.pop(name, None)
        if self._client is not None:
            self._client.close()
            self._client = None

    def say(self, text: str) -> None:
        """Writes to people, on stderr."""
        sys.stderr.write(f"{harmless(text)}\n")

    def warn(self, answer: Row) -> None:
        """Writes the warnings that an answer has."""
        for one in answer.get("warnings") or ():
            self.say(f"Warning: {one}")

    def at_most(self, rows: Iterable[Row], limit: int) -> Iterator[Row]:
        """Cuts a list, and says so; 0 is no limit."""
        found = iter(rows)
        yield from islice(found, limit or None)
        if limit and next(found, None) is not None:
            self.say(f"There are more than these {limit}. --limit 0 prints all.")

    def each(self, names: Sequence[str], do: Callable[[str], Row]) -> Iterator[Row]:
        """Does one thing to each, also after a failure; raises at the end if there were some."""
        failures: list[Exception] = []
        for name in bar(names):
            if (done := self._try(do, name, failures)) is not None:
                yield done
        if failures:
            code = exit_code_of(failures[0]) or ExitCode.FAILED
            is_partly = len(failures) < len(names)
            raise Failed(
                f"{len(failures)} of {len(names)} failed.",
                ExitCode.PARTLY_DONE if is_partly else code,
            )

    def _try(self, do: Callable[[str], Row], name: str, failures: list[Exception]) -> Row | None:
        """Does one thing, and keeps a failure; raises what would fail for all others, too."""
        try:
            return do(name)
        except Exception as error:
            if exit_code_of(error) in {None, ExitCode.UNREACHABLE, ExitCode.SIGN_IN}:
                raise
            failures.append(error)
            for line in words_of(error):
                self.say(f"{name}: {line}")
            return None


def token_name(profile: str) -> str:
    return f"token:{profile}"


def new_client(
    url: str, *, token: str | None, project: str | None = None
) -> "event_trigger_client.Client":
    if token is not None:
        check_header(token, "The token", ExitCode.SIGN_IN)
    if project is not None:
        check_header(project, "The project", ExitCode.USAGE)
    return event_trigger_client.Client(url, token=token, project=project, retries=_RETRIES)


def checked_url(url: str) -> str:
    """Refuses what is no address of a service, and one with a password, which would be shown."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - help and completion do without it

    if "@" in url:
        raise Failed("The address holds a user or a password. Leave it out.", ExitCode.USAGE)
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of a port, or an IPv6 address, that is none
        is_right = False
    if not is_right or {"?", "#"} & {*url}:
        raise Failed(
            f"{url!r} is no address of a service. Write one such as https://events.example.com.",
            ExitCode.USAGE,
        )
    return url


def check_header(value: str, what: str, code: ExitCode = ExitCode.USAGE) -> str:
    """Refuses what cannot be sent in a header; httpx would show the value in its error."""
    if not (value.isascii() and value.isprintable()):
        raise Failed(f"{what} has a character that cannot be sent, such as a line's end.", code)
    return value


def name_of(text: str) -> int | str:
    """Reads an id, or a key; `key:7` is the key 7."""
    if text.isascii() and text.isdigit():
        return int(text)
    return text.removeprefix("key:")


def id_of(text: str) -> int:
    """Reads the id of what has no key."""
    found = name_of(text)
    if isinstance(found, str):
        raise Failed(f"{text!r} is no id. Write a number.", ExitCode.USAGE)
    return found


def _environment(name: str) -> str | None:
    return os.environ.get(f"EVENT_TRIGGER_{name}") or None


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """Returns what must be the same for a token: another path may be another service."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - help and completion do without it

    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
