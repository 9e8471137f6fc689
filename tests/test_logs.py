"""Logs have one line per event, are JSON without a terminal, and contain no local variables."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
import structlog

from event_trigger.config import LogFormat, LogLevel
from event_trigger.logs import configure_logs, release_lines
from event_trigger.request_log import RequestEnd, log_request

CANARY = "canary-7f3a9c"
QUIET = ("apscheduler", "python_multipart", "alembic", "uvicorn", "event_trigger.db.pool")


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, was in quiet.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


def crash() -> None:
    password = CANARY
    raise RuntimeError("it went wrong " + str(len(password)))


def log_a_crash() -> None:
    try:
        crash()
    except RuntimeError:
        structlog.get_logger().exception("crashed", trigger_id=7)


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO)

    structlog.get_logger().info("fired", trigger_id=7, text="a\nb\x1b[2J\u2028")
    logging.getLogger("uvicorn.error").warning("from a %s", "library")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["fired", "from a library"]
    assert [line["level"] for line in lines] == ["info", "warning"]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert (lines[0]["trigger_id"], lines[0]["text"]) == (7, "a\nb\x1b[2J\u2028")


def test_the_id_of_a_request_is_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO)

    with structlog.contextvars.bound_contextvars(request_id="my-id"):
        structlog.get_logger().info("ours")
        logging.getLogger("sqlalchemy").warning("theirs")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines] == ["my-id", "my-id"]


REQUEST = RequestEnd("GET", '/a"b\\\x1b\u2028é', 200, 1.2, 2, 7, "2001:db8::1", "my-id")
STRANGER = REQUEST._replace(status=None, user_id=None, key_id=None, address=None)


@pytest.mark.parametrize("request_", [REQUEST, STRANGER, REQUEST._replace(is_probe=True)])
async def test_a_request_has_the_line_that_structlog_would_write(
    request_: RequestEnd, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(LogFormat.JSON, LogLevel.DEBUG)
    fields = request_._asdict()
    level = logging.DEBUG if fields.pop("is_probe") else logging.INFO

    with structlog.contextvars.bound_contextvars(request_id=fields.pop("request_id")):
        structlog.get_logger().log(level, "request", **fields)
    log_request(request_)
    structlog.get_logger().info("after them")

    lines = [one for one in capsys.readouterr().err.splitlines() if "asyncio" not in one]
    theirs, ours, last = map(json.loads, lines)
    assert [*ours.items()][:-1] == [*theirs.items()][:-1]  # without the timestamp
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ours["timestamp"])
    assert lines[1].isascii()
    assert (ours["level"], last["event"]) == (logging.getLevelName(level).lower(), "after them")


async def test_probes_have_a_line_only_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    for level in (LogLevel.INFO, LogLevel.DEBUG):
        configure_logs(LogFormat.JSON, level)
        log_request(REQUEST._replace(request_id=level, is_probe=True))
        structlog.get_logger().info("after it")

    written = capsys.readouterr().err.splitlines()
    logged = [json.loads(one) for one in written if '"request"' in one]
    assert [(one["request_id"], one["level"]) for one in logged] == [("debug", "debug")]


async def test_the_line_of_a_request_is_written_soon(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO)

    log_request(REQUEST)
    log_request(REQUEST._replace(request_id="another-id"))

    written: list[str] = []
    async with asyncio.timeout(30):
        while not written:
            await asyncio.sleep(0.05)
            written += [one for one in capsys.readouterr().err.splitlines() if "-id" in one]
    assert [json.loads(one)["request_id"] for one in written] == ["my-id", "another-id"]


def test_where_nobody_is_looking_json_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(None, LogLevel.INFO)

    structlog.get_logger().info("fired")

    assert json.loads(capsys.readouterr().err)["event"] == "fired"


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    configure_logs(log_format, LogLevel.INFO)

    log_a_crash()

    logged = capsys.readouterr().err
    assert "it went wrong" in logged
    assert "in crash" in logged
    assert CANARY not in logged


FORGED = "\r\n2026-01-01T00:00:00Z [info     ] forged\x1b[2J\x9b2J\u2028\u202e\u200b\x85"


@pytest.mark.parametrize(
    "log",
    [
        lambda: structlog.get_logger().info("request", path=f"/{FORGED}"),
        lambda: structlog.get_logger().info("request", emails=[FORGED], more={FORGED: FORGED}),
        lambda: structlog.get_logger().info(f"request {FORGED}", **{FORGED: 1}),
        lambda: logging.getLogger("uvicorn.error").warning("no route to %s", FORGED),
        lambda: log_an_error(FORGED),
    ],
)
def test_a_terminal_is_not_told_lies_by_a_request(
    capsys: pytest.CaptureFixture[str], log: Callable[[], None]
) -> None:
    configure_logs(LogFormat.CONSOLE, LogLevel.INFO)

    log()

    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().err).removesuffix("\n").split("\n")
    assert "forged" in "".join(lines)
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])  # of a traceback


def test_held_lines_follow_the_first_one_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO, hold=True)
    log = structlog.get_logger()

    log.info("before")
    logging.getLogger("library").warning("before it")
    held = capsys.readouterr().err
    release_lines(lambda: log.info("first"))
    release_lines(lambda: log.info("now"))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert held == ""
    assert [one["event"] for one in lines] == ["first", "before", "before it", "now"]


def test_a_line_for_a_handler_whose_lines_are_released_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO, hold=True)
    [held] = logging.getLogger().handlers
    release_lines()

    held.handle(logging.makeLogRecord({"msg": "late", "levelno": logging.INFO}))

    assert "late" in capsys.readouterr().err


def test_an_error_is_never_held(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO, hold=True)
    log = structlog.get_logger()

    log.warning("before")
    log.error("broken")
    log.info("after")

    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["before", "broken", "after"]


def log_an_error(text: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger().exception("crashed")


@pytest.mark.parametrize("name", QUIET)
def test_libraries_obey_the_level_too(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logs(LogFormat.JSON, LogLevel.ERROR)

    logging.getLogger(name).warning("Invalid HTTP request received.")

    assert capsys.readouterr().err == ""


def test_what_is_below_the_level_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.WARNING)

    structlog.get_logger().info("too quiet")
    log_request(REQUEST)
    logging.getLogger("uvicorn").info("too quiet")
    logging.getLogger("apscheduler.executors").warning("every second")
    structlog.get_logger().warning("loud enough")

    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["loud enough"]
