"""One set with every kind of trigger, destination and calendar, and fields of each."""

from typing import Any

from tests.support.certificates import Authority
from tests.support.senders import SENDERS

URL = "https://1.1.1.1/hook"
SECRET = "whsec_" + "c2VjcmV0" * 6
ICS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\n"
    'DTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:20301224\r\nSUMMARY:Closed: "all day"\r\n'
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)
ENVIRONMENT = {"KEYED_AUTHORIZATION": "Bearer one", "KEYED_X_TENANT": "tenant-seven"}
_MANY_LINES = "{% if data.a %}\n  {{ data.a | json }}\n{% else %}\n  null\n{% endif %}\n"

CALENDARS: dict[str, Any] = {
    "closed": {"dates": ["2030-12-24", "2030-12-31"]},
    "from-a-file": {"ics": ICS},
}
DESTINATIONS: dict[str, Any] = {
    "plain": {"url": URL},
    "binary": {"url": URL, "format": "cloudevents_binary", "max_concurrency": 3},
    "payload": {"url": URL, "format": "payload", "method": "PUT", "timeout": 2.5},
    "rendered": {
        "url": "https://1.1.1.1/{{ data.id }}?q=1",
        "format": "template",
        "template": _MANY_LINES,
        "content_type": "application/json",
    },
    "called": {"url": "https://1.1.1.1/{{ event.id }}", "method": "GET", "format": "payload"},
    "keyed": {
        "url": URL,
        "headers": {"Authorization": "Bearer one", "X-Tenant": "tenant-seven"},
        "secret": SECRET,
        "rate_limit": 0.5,
        "description": "no: 'this' is # a text",
    },
    "told": {"url": URL, "notices": ["destination.opened", "backlog.full"], "all_projects": True},
    "mailed": {"url": "mailto:ops@example.com", "subject": "{{ event.trigger.name }}: done"},
    "known": {"url": URL, "client_certificate": Authority().issue("client.example").as_given},
}
TRIGGERS: dict[str, Any] = {
    "at": {"time": "2090-01-01T10:00:00+02:00"},
    "at-local-time": {"time": "2090-01-01T10:00:00", "timezone": "Europe/Berlin"},
    "once": {"interval": "PT2H"},
    "once-at": {"time": "2090-01-01T10:00:00Z", "interval": 30},
    "every": {"interval": 30, "recurring": True},
    "every-fraction": {"interval": 0.25, "recurring": True, "max_fires": 3},
    "on-a-grid": {"time": "2030-01-01T00:00:00Z", "interval": "PT90M", "recurring": True},
    "monthly": {
        "time": "2030-01-31T09:00:00",
        "interval": "P1M",
        "recurring": True,
        "timezone": "Europe/Berlin",
        "month_end": "skip",
    },
    "by-cron": {
        "cron": "30 2 * * 1-5",
        "timezone": "Europe/Berlin",
        "from": "2030-01-01T00:00:00Z",
        "until": "2090-01-01T00:00:00Z",
        "except": ["2030-12-25", {"calendar": "closed"}, {"calendar": "from-a-file"}],
        "spread": "PT30M",
        "catch_up": "all",
        "catch_up_window": 90,
    },
    "by-lines": {"cron": ["0 9 * * mon-fri", "@weekly", "0 0 L * *"]},
    "by-a-line-with-a-zone": {"cron": "CRON_TZ=Asia/Tokyo 0 9 * * *"},
    "by-rule": {
        "rrule": "FREQ=MONTHLY;BYDAY=-1FR",
        "time": "2030-01-01T17:00:00",
        "timezone": "America/New_York",
    },
    "not-recurring": {"cron": "@daily", "recurring": False},
}
HEARTBEATS: dict[str, Any] = {
    "beating": {"interval": "P1D"},
    "beating-by-cron": {
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
        "grace": "PT1H",
        "hook": {"verify": "token", "methods": ["POST"]},
    },
}
CALLED: dict[str, Any] = {
    "called": {},
    "checked": {"schema": {"type": "object", "properties": {"${A}": {"type": ["string", "null"]}}}},
    "hooked": {
        "hook": {
            "verify": "none",
            "methods": ["GET", "PUT"],
            "headers": ["X-Topic"],
            "verify_token": "on",
        }
    },
}


def content() -> dict[str, Any]:
    """Gives the set as `PUT /sets/{name}` takes it, with every kind of hook that there is."""
    hooks = {
        f"hook-{number}": {"hook": {**sender.hook, "secret": sender.secret}}
        for number, sender in enumerate(SENDERS.values())
    }
    triggers = {
        **{key: {"type": "scheduled", "details": one} for key, one in TRIGGERS.items()},
        **{key: {"type": "heartbeat", "details": one} for key, one in HEARTBEATS.items()},
        **{key: {"type": "api", "details": one} for key, one in (CALLED | hooks).items()},
    }
    triggers["by-cron"] |= {
        "name": "2026-12-24",
        "tags": ["no", "on", "1.0", "~"],
        "destinations": [*DESTINATIONS],
        "payload": {"a": [1, 1.5, None, True, {"b": "${C} $${D}"}], "": "x\ny\n", "e": 1e300},
        "status": "paused",
    }
    triggers["every"] |= {"on_completion": "delete", "payload": {}}
    return {"calendars": CALENDARS, "destinations": DESTINATIONS, "triggers": triggers}
