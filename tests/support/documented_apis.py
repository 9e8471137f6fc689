"""The APIs of docs/recipes.md as their providers document them: members, types, lengths."""

from typing import Any

from tests.support.api_doubles import DocumentedApi, Schema

_KB = 1024


def _object(optional: Schema | None = None, **members: Schema) -> Schema:
    """The schema of an object that has these members, and no others but the optional ones."""
    return {
        "type": "object",
        "properties": {**members, **(optional or {})},
        "required": list(members),
        "additionalProperties": False,
    }


def _text(least: int = 1, most: int | None = None, pattern: str | None = None) -> Schema:
    """The schema of a text; `least` and `most` count characters."""
    schema: dict[str, Any] = {"type": "string", "minLength": least}
    schema |= {} if most is None else {"maxLength": most}
    return schema | ({} if pattern is None else {"pattern": pattern})


def _one_of(*texts: str) -> Schema:
    return {"enum": list(texts)}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


SLACK = DocumentedApi(
    documented_at="https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    host="hooks.slack.com",
    path=r"/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]+",
    # in its text, & < > are written as entities: <!channel> would call everybody
    schema=_object(text=_text(most=40_000, pattern="^([^&<>]|&amp;|&lt;|&gt;)*$")),
    accepted=(200, "ok"),
    refused=(400, "invalid_payload"),
)
DISCORD = DocumentedApi(
    documented_at="https://docs.discord.com/developers/resources/webhook#execute-webhook",
    host="discord.com",
    path=r"/api/webhooks/[0-9]{17,20}/[\w-]+",
    schema=_object(
        content=_text(most=2000),
        optional={
            "username": _text(most=80),
            "allowed_mentions": _object(
                parse={"type": "array", "items": _one_of("users", "roles", "everyone")}
            ),
        },
    ),
    accepted=(204, ""),
    refused=(400, '{"message": "Invalid Form Body", "code": 50035}'),
)
TEAMS = DocumentedApi(
    documented_at="https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/"
    "connectors-using",
    host="default0123.00.environment.api.powerplatform.com",
    path=r"/powerautomate/automations/direct/workflows/[0-9a-f]{32}/triggers/manual/paths/invoke"
    r"\?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1\.0&sig=[\w-]+",
    schema=_object(
        type=_one_of("message"),
        attachments=_list_of(
            _object(
                contentType=_one_of("application/vnd.microsoft.card.adaptive"),
                content=_object(
                    type=_one_of("AdaptiveCard"),
                    version=_text(pattern=r"^1\.[0-5]$"),
                    body=_list_of(
                        _object(
                            type=_one_of("TextBlock"),
                            text=_text(),
                            optional={"wrap": {"type": "boolean"}},
                        )
                    ),
                ),
            )
        ),
    ),
    most_bytes=28 * _KB,
    accepted=(202, ""),
    refused=(400, '{"error": {"code": "TriggerInputSchemaMismatch"}}'),
)
NTFY = DocumentedApi(
    documented_at="https://docs.ntfy.sh/publish/#publish-as-json",
    host="ntfy.sh",
    path="/",
    schema=_object(
        topic=_text(pattern="^[-_A-Za-z0-9]{1,64}$"),
        optional={
            "message": _text(most=1024),  # 4096 bytes: four for each character
            "title": _text(),
            "priority": {"type": "integer", "minimum": 1, "maximum": 5},
            "tags": _list_of(_text()),
        },
    ),
    accepted=(200, '{"id": "sPs71M8A2T", "event": "message", "topic": "alerts"}'),
    refused=(400, '{"code": 40024, "http": 400, "error": "invalid request"}'),
)
PAGERDUTY = DocumentedApi(
    documented_at="https://developer.pagerduty.com/docs/send-alert-event",
    host="events.pagerduty.com",
    path="/v2/enqueue",
    schema=_object(
        routing_key=_text(pattern="^[A-Za-z0-9]{32}$"),
        event_action=_one_of("trigger", "acknowledge", "resolve"),
        payload=_object(
            summary=_text(most=1024),
            source=_text(),
            severity=_one_of("critical", "error", "warning", "info"),
            optional={
                "timestamp": {"type": "string", "format": "date-time"},
                "custom_details": {"type": "object"},
            },
        ),
        optional={"dedup_key": _text(most=255)},
    ),
    most_bytes=512 * _KB,
    accepted=(202, '{"status": "success", "message": "Event processed", "dedup_key": "1"}'),
    refused=(400, '{"status": "invalid event", "message": "Event object is invalid"}'),
)
GITHUB = DocumentedApi(
    documented_at="https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event",
    host="api.github.com",
    path=r"/repos/[\w.-]+/[\w.-]+/dispatches",
    headers={
        "Accept": r"application/vnd\.github\+json",
        "Authorization": r"Bearer github_pat_\w+",
        "User-Agent": ".+",
        "X-GitHub-Api-Version": r"2022-11-28",
    },
    schema=_object(
        event_type=_text(most=100),
        optional={"client_payload": {"type": "object", "maxProperties": 10}},
    ),
    most_bytes=64 * _KB,
    accepted=(204, ""),
    refused=(422, '{"message": "Invalid request."}'),
)
TELEGRAM = DocumentedApi(
    documented_at="https://core.telegram.org/bots/api#sendmessage",
    host="api.telegram.org",
    path=r"/bot[0-9]+:[\w-]{30,}/sendMessage",
    schema=_object(
        chat_id={"anyOf": [{"type": "integer"}, _text(pattern="^@")]}, text=_text(most=4096)
    ),
    accepted=(200, '{"ok": true, "result": {"message_id": 1}}'),
    refused=(400, '{"ok": false, "error_code": 400, "description": "Bad Request"}'),
)
ELASTICSEARCH = DocumentedApi(
    documented_at="https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-index",
    host="search.example.com",
    method="PUT",
    path=r"/[a-z][a-z0-9_-]*/_doc/[0-9]+",
    headers={"Authorization": r"ApiKey [A-Za-z0-9+/]+={0,2}"},
    schema={
        "type": "object",
        "properties": {"@timestamp": {"type": "string", "format": "date-time"}},
    },
    accepted=(201, '{"_id": "1", "result": "created"}'),
    refused=(400, '{"error": {"type": "document_parsing_exception"}, "status": 400}'),
)
HEALTHCHECKS = DocumentedApi(
    documented_at="https://healthchecks.io/docs/http_api/",
    host="hc-ping.com",
    method="GET",
    path=r"/[\w-]{22}/[a-z0-9_-]+\?create=1",
    accepted=(200, "OK"),
    refused=(400, "invalid url format"),
)
RABBITMQ = DocumentedApi(
    documented_at="https://www.rabbitmq.com/docs/http-api-reference",
    host="rabbit.example.com",
    path=r"/api/exchanges/%2F/amq\.default/publish",
    headers={"Authorization": r"Basic [A-Za-z0-9+/]+={0,2}"},
    schema=_object(
        properties=_object(
            optional={
                "message_id": _text(),
                "content_type": _text(),
                "delivery_mode": {"enum": [1, 2]},
            }
        ),
        routing_key=_text(),
        payload=_text(least=0),
        payload_encoding=_one_of("string", "base64"),
    ),
    accepted=(200, '{"routed": true}'),
    refused=(400, '{"error": "bad_request", "reason": "not_json"}'),
)
KAFKA = DocumentedApi(
    documented_at="https://docs.confluent.io/platform/current/kafka-rest/api.html",
    host="kafka.example.com",
    path=r"/topics/[\w.-]+",
    headers={"Accept": r"application/vnd\.kafka\.v2\+json"},
    content_type=r"application/vnd\.kafka\.json\.v2\+json",
    schema=_object(records=_list_of(_object(value={}, optional={"key": {}}))),
    accepted=(200, '{"offsets": [{"partition": 0, "offset": 7, "error_code": null}]}'),
    refused=(422, '{"error_code": 422, "message": "Invalid request"}'),
)
APIS = {
    one.host: one
    for one in (
        SLACK,
        DISCORD,
        TEAMS,
        NTFY,
        PAGERDUTY,
        GITHUB,
        TELEGRAM,
        ELASTICSEARCH,
        HEALTHCHECKS,
        RABBITMQ,
        KAFKA,
    )
}
