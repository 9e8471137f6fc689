"""Settings are validated with clear messages, and never shown with their secrets."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError

from event_trigger.config import API_ROOTS, LogFormat, LogLevel, Settings
from event_trigger.misspelt_settings import misspelt_settings
from tests.support.document import make_app

SECRET = "s3cr3t-" * 5
SHORT = "only-31-bytes-are-not-enough-00"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "HOST", "PORT", *_names()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def _names() -> list[str]:
    return [f"EVENT_TRIGGER_{name.upper()}" for name in Settings.model_fields]


def test_the_defaults_are_the_contracts() -> None:
    settings = Settings()

    assert settings.database_url is None
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path(".event-trigger")
    assert settings.jwt_secret is None
    assert settings.open_registration is False
    assert settings.active_for == timedelta(hours=2)
    assert settings.keep_for == timedelta(hours=48)
    assert settings.retention_interval == timedelta(minutes=1)
    assert (settings.log_format, settings.log_level) == (None, LogLevel.INFO)
    assert settings.cors_origins == ()
    assert settings.webhook_allow == ()
    assert settings.retry_after == (5, 300, 1800, 7200, 18000, 36000, 36000)
    assert settings.max_backlog_bytes == 1024**3


def test_a_service_of_kubernetes_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "EVENT_TRIGGER_PORT": "tcp://10.0.0.1:80",
        "EVENT_TRIGGER_PORT_80_TCP_ADDR": "10.0.0.1",
        "EVENT_TRIGGER_SERVICE_HOST": "10.0.0.1",
        "PORT": "9000",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("EVENT_TRIGGER_HOST=here\nEVENT_TRIGGER_PORT=x\n")

    settings = Settings()

    assert (settings.host, settings.port) == ("127.0.0.1", 9000)
    warned = {one.name for one in misspelt_settings()}
    assert warned >= {"EVENT_TRIGGER_PORT", "EVENT_TRIGGER_SERVICE_HOST", "EVENT_TRIGGER_HOST"}


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "DATABASE_URL": "postgresql://db/x",
        "EVENT_TRIGGER_READ_DATABASE_URL": "postgresql://replica/x",
        "EVENT_TRIGGER_LISTEN_DATABASE_URL": "postgresql://direct/x",
        "HOST": "0.0.0.0",
        "PORT": "9000",
        "EVENT_TRIGGER_DATA_DIR": "/var/lib/x",
        "EVENT_TRIGGER_JWT_SECRET": SECRET,
        "EVENT_TRIGGER_OPEN_REGISTRATION": "true",
        "EVENT_TRIGGER_ACTIVE_FOR": "PT10S",
        "EVENT_TRIGGER_KEEP_FOR": "PT1M",
        "EVENT_TRIGGER_RETENTION_INTERVAL": "PT5S",
        "EVENT_TRIGGER_LOG_FORMAT": "json",
        "EVENT_TRIGGER_LOG_LEVEL": "debug",
        "EVENT_TRIGGER_ENCRYPTION_KEY": SECRET,
        "EVENT_TRIGGER_WEBHOOK_ALLOW": "10.0.0.0/8, fd00::/8",
        "EVENT_TRIGGER_RETRY_AFTER": "0, 1.5,60",
        "EVENT_TRIGGER_CORS_ORIGINS": " https://a.example ,https://b.example,, ",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://db/x"
    assert settings.read_database_url is not None
    assert settings.read_database_url.get_secret_value() == "postgresql://replica/x"
    assert settings.listen_database_url is not None
    assert settings.listen_database_url.get_secret_value() == "postgresql://direct/x"
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == SECRET
    assert settings.open_registration is True
    assert (settings.active_for, settings.keep_for) == (timedelta(seconds=10), timedelta(minutes=1))
    assert (settings.log_format, settings.log_level) == (LogFormat.JSON, LogLevel.DEBUG)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert [str(one) for one in settings.webhook_allow] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.retry_after == (0, 1.5, 60)
    assert settings.encryption_key is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("WEBHOOK_ALLOW", "intranet"),
        ("CA_FILE", "/nowhere/ca.pem"),
        ("CA_FILE", "/"),
        ("CA_FILE", __file__),
        ("RETRY_AFTER", "5,-1"),
        ("RETRY_AFTER", "soon"),
        ("RETRY_AFTER", "nan"),
        ("RETRY_AFTER", "1e9"),
        ("RETRY_AFTER", ",".join("1" * 51)),
    ],
)
def test_what_cannot_be_called_or_waited_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"EVENT_TRIGGER_{name}", value)

    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://events.example.com", "https://events.example.com"),
        ("HTTP://Localhost:8000/", "HTTP://Localhost:8000"),
        ("http://[::1]:8000/a/b//", "http://[::1]:8000/a/b"),
    ],
)
def test_where_others_reach_the_service_ends_without_a_slash(
    monkeypatch: pytest.MonkeyPatch, value: str, url: str
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_PUBLIC_URL", value)

    assert Settings().public_url == url


@pytest.mark.parametrize(
    ("root_path", "public_url", "prefix"),
    [
        ("/team", None, "/team"),
        ("/team/events/", None, "/team/events"),
        ("/", None, ""),
        (None, "https://example.com", ""),
        (None, "https://example.com/team/", "/team"),
        ("/team", "https://example.com/team", "/team"),
    ],
)
def test_the_prefix_is_the_root_path_or_that_of_the_public_url(
    root_path: str | None, public_url: str | None, prefix: str
) -> None:
    settings = Settings(root_path=root_path, public_url=public_url)

    assert settings.prefix == prefix


@pytest.mark.parametrize(
    ("root_path", "public_url"),
    [
        ("team", None),
        ("/te am", None),
        ("/a//b", None),
        ("/team?a", None),
        ("/events/team", None),
        (None, "https://example.com/events"),
        (None, "https://example.com/%41"),
        ("/team", "https://example.com"),
        ("/team", "https://example.com/other"),
    ],
)
def test_a_prefix_that_could_be_misread_is_refused(
    root_path: str | None, public_url: str | None
) -> None:
    with pytest.raises(ValidationError, match=r"/event-trigger|EVENT_TRIGGER_ROOT_PATH"):
        Settings(root_path=root_path, public_url=public_url)


def test_no_prefix_begins_as_a_path_of_the_api_does() -> None:
    paths = [route.path for route in iter_route_contexts(make_app().routes) if route.path]

    assert {path.split("/")[1] for path in paths} - {""} <= API_ROOTS


@pytest.mark.parametrize(
    "value",
    [
        "events.example.com",
        "ftp://events.example.com",
        "https://",
        "https:///triggers",
        "https://ada:secret@events.example.com",
        "https://events.example.com?a=1",
        "https://events.example.com/#a",
        "https://events.example.com/a b",
        "https://events.example.com:port",
        "https://schlüssel.example",
    ],
)
def test_no_other_url_says_where_others_reach_the_service(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_PUBLIC_URL", value)

    with pytest.raises(ValidationError, match=r"such as https://events\.example\.com") as refusal:
        Settings()

    assert "input_value" not in str(refusal.value)


def test_a_dotenv_file_is_read_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PORT=9001\nHOST=127.0.0.2\nEVENT_TRIGGER_JWT_SECRET=\nUNKNOWN=1\n")
    monkeypatch.setenv("PORT", "9002")

    settings = Settings()

    assert (settings.host, settings.port) == ("127.0.0.2", 9002)
    assert settings.jwt_secret is None


@pytest.mark.parametrize("name", ["JWT_SECRET", "JWT_PREVIOUS_SECRET", "ENCRYPTION_KEY"])
@pytest.mark.parametrize("value", ["short", SHORT, " "])
def test_a_secret_under_32_bytes_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"EVENT_TRIGGER_{name}", value)

    with pytest.raises(ValidationError, match="at least 32 bytes") as refusal:
        Settings()

    shown = str(refusal.value) + repr(refusal.value)
    assert SHORT not in shown
    assert "'short'" not in shown


def test_32_bytes_are_enough_however_few_characters_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_JWT_SECRET", "\U0001f511" * 8)

    assert Settings().jwt_secret is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("EVENT_TRIGGER_DATABASE_CONNECTIONS", "3"),
        ("EVENT_TRIGGER_OPEN_REGISTRATION", "perhaps"),
        ("EVENT_TRIGGER_ACTIVE_FOR", "PT0S"),
        ("EVENT_TRIGGER_ACTIVE_FOR", "two hours"),
        ("EVENT_TRIGGER_ACTIVE_FOR", "PT48H"),
        ("EVENT_TRIGGER_KEEP_FOR", "PT1S"),
        ("EVENT_TRIGGER_RETENTION_INTERVAL", "-PT1S"),
        ("EVENT_TRIGGER_LOG_FORMAT", "xml"),
        ("EVENT_TRIGGER_LOG_LEVEL", "loud"),
        ("EVENT_TRIGGER_METRICS_PORT", "8000"),  # the one that needs a login
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refusal:
        Settings()

    assert f"input_value={value!r}" not in str(refusal.value)


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", *_names()):
        if name.endswith(("DATABASE_URL", "_SECRET", "_PASSWORD")):
            monkeypatch.setenv(name, SECRET)

    settings = Settings()

    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_cannot_be_changed() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.open_registration = True  # type: ignore[misc]


@pytest.mark.parametrize(
    "keep_for", [timedelta(seconds=5), timedelta(hours=48), timedelta(days=90)]
)
def test_partitions_are_made_ahead_of_several_failing_sweeps(keep_for: timedelta) -> None:
    settings = Settings(keep_for=keep_for, active_for=keep_for / 24)

    assert abs(settings.partition_width * 48 - keep_for) < timedelta(milliseconds=1)
    assert settings.sweep_every <= settings.retention_interval
    assert settings.partitions_ahead >= 4 * settings.sweep_every
    assert settings.partitions_ahead >= settings.partition_width


@pytest.mark.parametrize("connections", [4, 5, 8, 16, 100])
def test_connections_are_divided_so_that_each_part_has_one(
    monkeypatch: pytest.MonkeyPatch, connections: int
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_DATABASE_CONNECTIONS", str(connections))

    parts = Settings().connections_for

    assert min(parts) >= 1
    assert sum(parts) + 1 == connections  # one listens
