"""Reads every setting of the service once, from the environment or `.env`."""

import re
import ssl
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from event_trigger.mail_settings import MailSender, SmtpServer, read_sender, read_server
from event_trigger.setting_sources import DocumentedSettings

MINIMUM_SECRET_BYTES = 32  # HS256 wants a key as long as its hash: RFC 7518, section 3.2
PARTITIONS_PER_KEEP = 48
MIN_CONNECTIONS = 4  # one each for requests, firing, the other jobs, and listening
MAX_RETRIES = 50
LARGEST_LIMIT = 2**63 - 1  # PostgreSQL's bigint
LONGEST_RETRY_SECONDS = 30 * 86400  # seconds
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.ASCII)
_BASE_URL = re.compile(
    r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
    r"(/[a-z0-9._~!$&'()*+,;=:@%/-]*)?",
    re.ASCII | re.IGNORECASE,
)

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)
# a proxy may take the prefix off, and then `/events` would have two meanings
API_ROOTS = frozenset(
    {
        *("api", "audit", "auth", "calendars", "console", "deliveries", "destinations", "events"),
        *("healthz", "hooks", "info", "invitations", "metrics", "notices", "openapi.json"),
        *("overview", "projects", "readyz", "schedules", "sets", "stats", "triggers", "upcoming"),
        "users",
    }
)


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < MINIMUM_SECRET_BYTES:
        raise ValueError(f"must be at least {MINIMUM_SECRET_BYTES} bytes long")
    return secret


def _host_name(text: str) -> str:
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise ValueError("write names such as api.example.com or *.example.com, without a port")
    return host


def _base_url(url: str) -> str:
    """Validates a URL that paths are appended to; returns it without a slash at its end."""
    if not _BASE_URL.fullmatch(url):
        raise ValueError(
            "write the URL that others reach the service at, such as https://events.example.com,"
            " with a path if it is behind one, and without a query"
        )
    return url.rstrip("/")


def _root_path(path: str) -> str:
    """Validates a prefix of all paths; returns it without a slash at its end."""
    prefix = path.rstrip("/")
    if prefix and not _ROOT_PATH.fullmatch(prefix):
        raise ValueError(
            "write a path such as /event-trigger, of letters, digits and any of . _ ~ - between"
            " slashes"
        )
    if prefix.partition("/")[2].partition("/")[0] in API_ROOTS:
        raise ValueError("must not begin as paths of the API do; /event-trigger would be right")
    return prefix


def _authorities(file: Path) -> Path:
    """Validates a file of certificate authorities, which is in PEM."""
    wanted = "write the path of a file with the certificates of authorities in PEM"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        raise ValueError(f"{wanted}: this one has none") from None
    except OSError as error:
        raise ValueError(f"{wanted}: {error.strerror}") from None
    return file


def _smtp_url(url: SecretStr) -> SecretStr:
    read_server(url.get_secret_value())
    return url


def _mail_from(text: str) -> str:
    read_sender(text)
    return text


def _readable_rate(rate: str) -> str:
    from limits import parse  # noqa: PLC0415 - few set a rate, and the library has many modules

    try:
        parse(rate)
    except ValueError:
        raise ValueError("must be like 100/second or 5000/hour") from None
    return rate


SigningSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
TrustedHost = Annotated[str, AfterValidator(_host_name)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
RootPath = Annotated[str, AfterValidator(_root_path)]
AuthorityFile = Annotated[Path, AfterValidator(_authorities)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
MailFrom = Annotated[str, AfterValidator(_mail_from)]
Rate = Annotated[str, AfterValidator(_readable_rate)]
Limit = Annotated[int, Field(ge=0, le=LARGEST_LIMIT)]  # 0 is no limit
RetryDelay = Annotated[float, Field(ge=0, le=LONGEST_RETRY_SECONDS)]


class ConnectionShares(NamedTuple):
    """A process's connections for each kind of work; one more listens for notifications."""

    requests: int
    firing: int
    jobs: int


class Settings(DocumentedSettings):
    """Every setting with its default; durations are ISO 8601 (`PT2H`)."""

    model_config = SettingsConfigDict(
        env_prefix="EVENT_TRIGGER_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    host: str = Field("127.0.0.1", validation_alias="HOST")
    port: int = Field(8000, ge=0, le=65535, validation_alias="PORT")
    data_dir: Path = Path(".event-trigger")
    read_database_url: SecretStr | None = None
    listen_database_url: SecretStr | None = None
    database_connections: int = Field(16, ge=MIN_CONNECTIONS)

    jwt_secret: SigningSecret | None = None
    jwt_previous_secret: SigningSecret | None = None
    admin_email: str | None = None
    admin_password: SecretStr | None = None
    encryption_key: SigningSecret | None = None
    encryption_previous_key: SigningSecret | None = None
    open_registration: bool = False
    insecure_cookie: bool = False

    webhook_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    retry_after: Annotated[tuple[RetryDelay, ...], NoDecode, Field(max_length=MAX_RETRIES)] = (
        5,
        5 * 60,
        30 * 60,
        2 * 3600,
        5 * 3600,
        10 * 3600,
        10 * 3600,
    )

    ca_file: AuthorityFile | None = None

    smtp_url: SmtpUrl | None = None
    mail_from: MailFrom | None = None

    max_triggers: Limit = 10_000  # of one project, as all max_…
    max_destinations: Limit = 1_000
    max_calendars: Limit = 100
    max_calls_per_minute: Limit = 0
    max_mails_per_minute: Limit = 60
    max_backlog_bytes: Limit = 1024**3
    max_event_bytes: Limit = 10 * 1024**3

    fire_rate_per_key: Rate | None = None
    fire_rate_per_trigger: Rate | None = None

    active_for: timedelta = Field(timedelta(hours=2), gt=timedelta(0))
    keep_for: timedelta = Field(timedelta(hours=48), ge=timedelta(seconds=5))
    retention_interval: timedelta = Field(timedelta(minutes=1), gt=timedelta(0))

    log_format: LogFormat | None = None
    log_level: LogLevel = LogLevel.INFO
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_hosts: Annotated[tuple[TrustedHost, ...], NoDecode] = ()
    public_url: BaseUrl | None = None
    root_path: RootPath | None = None

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(None, ge=0, le=65535)
    metrics_per_destination: bool = False

    @field_validator("cors_origins", "trusted_hosts", "webhook_allow", "retry_after", mode="before")
    @classmethod
    def _split_by_comma(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _windows_nest(self) -> Self:
        if self.active_for >= self.keep_for:
            raise ValueError("EVENT_TRIGGER_ACTIVE_FOR must be shorter than EVENT_TRIGGER_KEEP_FOR")
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if (self.smtp_url is None) != (self.mail_from is None):
            raise ValueError("EVENT_TRIGGER_SMTP_URL and EVENT_TRIGGER_MAIL_FROM need each other")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.metrics_port and self.metrics_port == self.port:
            raise ValueError("EVENT_TRIGGER_METRICS_PORT needs no login, so it cannot be PORT")
        return self

    @model_validator(mode="after")
    def _prefixes_agree(self) -> Self:
        public = None if self.public_url is None else urlsplit(self.public_url).path
        if public and self.root_path is None:
            try:
                _root_path(public)
            except ValueError as error:
                raise ValueError(f"the path of EVENT_TRIGGER_PUBLIC_URL: {error}") from None
        if public is not None and self.root_path not in {None, public}:
            raise ValueError(
                "EVENT_TRIGGER_ROOT_PATH must be the path of EVENT_TRIGGER_PUBLIC_URL; leave one of"
                " them out"
            )
        return self

    @property
    def prefix(self) -> str:
        """The path that all paths of the API are under, as callers see them; or nothing."""
        if self.root_path is not None or self.public_url is None:
            return self.root_path or ""
        return urlsplit(self.public_url).path

    @property
    def mail_server(self) -> SmtpServer | None:
        return None if self.smtp_url is None else read_server(self.smtp_url.get_secret_value())

    @property
    def mail_sender(self) -> MailSender | None:
        return None if self.mail_from is None else read_sender(self.mail_from)

    @property
    def mails_accounts(self) -> bool:
        """Whether links can be mailed; without a public URL, a caller's `Host` would make them."""
        return self.smtp_url is not None and self.public_url is not None

    @property
    def connections_for(self) -> ConnectionShares:
        """Divides `database_connections` by kind of work; requests get most of them."""
        firing = min(4, max(1, self.database_connections // 4))
        jobs = min(2, max(1, self.database_connections // 6))
        return ConnectionShares(self.database_connections - firing - jobs - 1, firing, jobs)

    @property
    def partition_width(self) -> timedelta:
        """The time that one partition of the events covers."""
        return self.keep_for / PARTITIONS_PER_KEEP

    @property
    def sweep_every(self) -> timedelta:
        """The interval of retention, short enough that partitions are always made ahead."""
        return min(self.retention_interval, self.keep_for / 8)

    @property
    def partitions_ahead(self) -> timedelta:
        """The time for which partitions are made ahead; it outlasts several failing sweeps."""
        return max(8 * self.partition_width, 4 * self.sweep_every)
