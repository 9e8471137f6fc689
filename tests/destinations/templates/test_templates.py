"""A template makes the request that its author meant, or says what is wrong with it."""

import json
from typing import Any

import pytest

from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    Rendered,
    RenderJob,
    TemplateFailed,
)
from event_trigger.destinations.templates.rendering import render
from event_trigger.destinations.templates.samples import check

EVENT = {
    "id": 7,
    "type": "scheduled",
    "time": "2026-11-29T09:00:00.250000Z",
    "scheduled_for": None,
    "is_test": False,
    "trigger": {"id": 3, "key": None, "name": "Nightly"},
}
URL = "https://example.com/hook"
_ENCODED = "x%2Fy%20z%3F%26%23%C3%BC%25"
TEXT, JSON = "text/plain; charset=utf-8", "application/json"


def rendered(template: str | None, data: Any = None, *, url: str = URL, as_: str = TEXT) -> Any:
    payload = None if data is None else json.dumps(data)
    return render(RenderJob(template, url, as_, EVENT, payload, owner_id=1))


def checked(template: str | None, url: str, content_type: str) -> Any:
    job = CheckJob(template, url, content_type, owner_id=1)
    return check(job, before_each=lambda: None)


def text_of(template: str, data: Any = None) -> str:
    made = rendered(template, data)
    assert isinstance(made, Rendered), made
    assert made.body is not None
    return made.body.decode()


def reason_of(outcome: Any) -> str:
    assert isinstance(outcome, TemplateFailed), outcome
    return f"{outcome.part}: {outcome.reason}"


@pytest.mark.parametrize(
    ("template", "data", "text"),
    [
        ("plain", None, "plain"),
        ("{{ event.id }} {{ event.type }} {{ event.trigger.name }}", None, "7 scheduled Nightly"),
        ("{{ event.scheduled_for }}{{ event.trigger.key }}|{{ event.is_test }}", None, "|false"),
        ("{{ data.a.b[1] }} {{ data['a']['b'].size }}", {"a": {"b": [1, 2]}}, "2 2"),
        ("{{ data.a | json }}", {"a": 'x"\u00fc\n'}, '"x\\"\u00fc\\n"'),
        ("{{ data | json }}", {"b": None, "a": [1, 1.5, True]}, '{"b":null,"a":[1,1.5,true]}'),
        ("{{ data }}", {"b": {"a": 1}}, '{"b":{"a":1}}'),
        ("{% echo data %}", {"b": None}, '{"b":null}'),
        ("{{ data }}", None, ""),
        ("{{ data.a | default: 'none' }}", {}, "none"),
        ("{{ data.a.b.c | default: 'none' }}", {}, "none"),
        ("{% if data.a %}1{% elsif data.b == 2 %}2{% else %}3{% endif %}", {"b": 2}, "2"),
        ("{% unless data.a %}none{% endunless %}", {}, "none"),
        ("{% if data.a == nil %}none{% endif %}", {}, "none"),
        ("{% for x in data %}{{ x }}{{ forloop.last }} {% endfor %}", [1, 2], "1false 2true "),
        ("{% assign x = data.a | upcase %}{{ x }}{{ x | size }}", {"a": "\u00fc"}, "\u00dc1"),
        ("{% capture x %}<{{ data.a }}>{% endcapture %}{{ x }}", {"a": 1}, "<1>"),
        ("{% liquid assign x = 1\n echo x %}{% comment %}no{% endcomment %}", None, "1"),
        ("{% raw %}{{ x }}{% endraw %}", None, "{{ x }}"),
        ("{{ event.time | date: '%H:%M' }}", None, "09:00"),
        ("{{ event.time | date: '%H:%M %Z', 'Europe/Berlin' }}", None, "10:00 CET"),
        ("{{ 0 | date: '%Y-%m-%d %-d %% %s' }}", None, "1970-01-01 1 % 0"),
        ("{{ data.at | date: '%F' }}", {"at": "2026-03-01"}, "2026-03-01"),
        ("{{ data.n | times: 1.5 | round }}", {"n": 3}, "4"),
        ("{{ (1..3) | json }}", None, "[1,2,3]"),
    ],
)
def test_a_template_writes_text(template: str, data: Any, text: str) -> None:
    assert text_of(template, data) == text
    assert checked(template, URL, TEXT) == Accepted()


@pytest.mark.parametrize(
    ("template", "data", "reason"),
    [
        ("\n {{ data.a }}", {}, "template: Line 2, column 5: there is no such value"),
        ("{{ data.a | upcase }}", {}, "no such value"),
        ("{{ 'x' | append: data.a }}", {}, "no such value"),
        ("{{ data.a | json }}", {}, "no such value"),
        ("{{ data.a | plus: 1 }}", {}, "no such value"),
        ("{{ 1 | times: data.a }}", {}, "no such value"),
        ("{{ data.a | default: data.b }}", {}, "no such value"),
        ("{{ data.a | date }}", {}, "no such value"),
        ("{% for x in data.a %}{% endfor %}", {}, "no such value"),
        ("{{ data.a.b }}", {"a": "text"}, "no such value"),
        ("{{ data.a | date: '%H' }}", {"a": "soon"}, "this is no time"),
        ("{{ data.a | date: '%H' }}", {"a": "now"}, "event.time"),
        ("{{ event.time | date: data.f }}", {"f": "%100000000Y"}, "%%"),
        ("{{ event.time | date: '%H', data.z }}", {"z": "../../etc/passwd"}, "Europe/Berlin"),
        ("{{ event.time | date: '%H', data.z }}", {"z": "Mars/Base"}, "Europe/Berlin"),
        ("{{ data.a | divided_by: 0 }}", {"a": 1}, "divide by 0"),
        ("{% if data.a > 1 %}{% endif %}", {"a": "x"}, "not supported"),
        ("{{ data.a | base64_decode }}", {"a": "/w=="}, "cannot take"),
        ("{{ data.a | json }}", {"a": 1e308}, None),
        ("{{ data.a | times: 10.0 | times: 10.0 | json }}", {"a": 1e308}, "cannot|too large"),
    ],
)
def test_a_template_that_fails_says_why(template: str, data: Any, reason: str | None) -> None:
    outcome = rendered(template, data)

    if reason is None:
        assert isinstance(outcome, Rendered)
    else:
        assert any(one in reason_of(outcome) for one in reason.split("|"))
    assert checked(template, URL, TEXT) == Accepted()  # it depends on the event


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ data.a", "Line 1, column 1: expected '}}'"),
        ("{% if data.a %}", "endif"),
        ("\n{% endif %}", "Line 2, column 4"),
        ("{% foo %}", "Line 1, column 4: unexpected tag …"),
        *((f"{{% {tag} 'x' %}}", "unexpected tag") for tag in ("include", "render", "extends")),
        *((f"{{% {tag} x %}}", "unexpected tag") for tag in ("block", "layout", "macro", "call")),
        ("{% tablerow x in data %}{% endtablerow %}", "unexpected tag"),
        ("{% break %}", "unexpected"),
        ("{{ 'x' | foo }}", "Line 1, column 10: there is no such filter"),
        ("{% if false %}{{ 1 | t }}{% endif %}", "no such filter"),
        ("{{ data.a | append }}", "append takes 1 argument after a colon."),
        ("{{ data.a | upcase: 1 }}", "upcase takes no argument."),
        ("{{ data.a | replace }}", "replace takes 1 to 2 arguments after a colon."),
        ("{{ payload.a }}", "Line 1, column 4: there is no such variable. Templates know `data`"),
        *(
            (f"{{{{ {name} }}}}", "no such variable")
            for name in ("now", "today", "partial", "settings")
        ),
        ("{{ event.tme }}", "no such member of `event`"),
        ("{% if false %}{{ event.trigger.url }}{% endif %}", "no such member of `event`"),
        ("{{ 'now' | date: '%Y' }}", "event.time"),
        ("{{ 'x' | safe }}", "no such filter"),
    ],
)
def test_a_mistake_shows_before_any_event(template: str, reason: str) -> None:
    outcome = checked(template, URL, TEXT)

    assert reason in reason_of(outcome)
    assert reason_of(outcome).startswith("template: ")


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        ("{{ data.a", "Close a value with }} and a tag with %}."),
        ("{% if data.a %}", "such as {% endif %} for {% if %}"),
        ("{% comment %}", "such as {% endif %} for {% if %}"),
        ("{% include 'x' %}", "Write a tag that is known here"),
        ("{% if %}{% endif %}", "Write what the tag is about"),
        ("{{ data['x' }}", "data['a name'] in quotes"),
        ("{% if data.a = 1 %}{% endif %}", "compared by =="),
        ("{{ data.a && data.b }}", "joined by and, or"),
    ],
)
def test_a_mistake_in_the_language_says_what_to_write(template: str, advice: str) -> None:
    assert advice in reason_of(checked(template, URL, TEXT))


@pytest.mark.parametrize(
    "template",
    [
        '{"text": {{ data.message | json }}, "n": {{ data.n }}, "s": "{{ data.s }}"}',
        "[{% for x in data.a %}{{ x.id }}{% unless forloop.last %},{% endunless %}{% endfor %}]",
        '{% if data.kind == "push" %}{"a": 1}{% endif %}',
        '{% if data.kind != "push" %}{"a": 1}{% endif %}',
        '"{{ data.x | base64_decode | date: "%Y" }}"',
        '{{ data.a | sort: "x" | map: "y" | concat: data.b | uniq | json }}',
        '{% case data.x %}{% when "a" %}1{% else %}2{% endcase %}',
        "{{ data }}",
    ],
)
def test_what_depends_on_the_payload_is_saved(template: str) -> None:
    assert checked(template, URL, JSON) == Accepted()


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ('{"a": "{{ data.a }}"}', {"a": 'x"y'}),
        ('{"a": {{ data.a }}}', {"a": "x"}),
        ('{"a": 1,}', {}),
        ("", {}),
        ("NaN", {}),
        ("[Infinity]", {}),
        ("{{ data.a }}", {"a": "[" * 2000}),
    ],
)
@pytest.mark.parametrize("content_type", [JSON, "application/vnd.api+JSON; charset=utf-8"])
def test_a_result_that_should_be_json_is(template: str, data: Any, content_type: str) -> None:
    assert "not JSON" in reason_of(rendered(template, data, as_=content_type))
    assert isinstance(rendered(template, data, as_=TEXT), Rendered)


@pytest.mark.parametrize(
    ("url", "data", "made"),
    [
        (
            "https://example.com/{{ data.a }}",
            {"a": "x/y z?&#\u00fc%"},
            "x%2Fy%20z%3F%26%23%C3%BC%25",
        ),
        ("https://example.com/{{ data.a | upcase }}/b", {"a": "x"}, "X/b"),
        ("https://example.com/?q={{ data.a | default: '' }}&r=1", {}, "?q=&r=1"),
        ("https://example.com/%25{{ data.a }}", {"a": "2f"}, "%252f"),
        ("https://example.com/a//{{ data.a }}", {"a": 1}, "a//1"),
        ("https://example.com/{{ data.a }}", {"a": {"b": 1}}, "%7B%22b%22%3A1%7D"),
        ("https://example.com/a?b={{ event.trigger.id }}", None, "a?b=3"),
    ],
)
def test_values_in_a_url_are_percent_encoded(url: str, data: Any, made: str) -> None:
    assert rendered(None, data, url=url) == Rendered(f"https://example.com/{made}", None)
    assert checked(None, url, JSON) == Accepted()


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("https://example.com/{{ data.a }}/b", {"a": ".."}),
        ("https://example.com/x/{{ data.a }}", {"a": "a/../b"}),
        ("https://example.com/x/{{ data.a }}", {"a": ""}),
        ("https://example.com/x/{{ data.a }}/y", {"a": None}),
        ("https://example.com/x/{{ data.a }}", {"a": "x" * 3000}),
        ("https://example.com/x/{{ data.b }}", {"a": "x"}),
    ],
)
def test_a_value_cannot_change_what_a_url_means(url: str, data: Any) -> None:
    reason = reason_of(rendered(None, data, url=url))

    assert reason.startswith("url: ")
    if ".." in str(data["a"]):
        assert "Send another value" in reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://{{ data.a }}.example.com/", "host"),
        ("https://example.com{{ data.a }}", "host"),
        ("https://example.com:{{ data.a }}/", "host"),
        ("{{ data.a }}", "host"),
        ("https://example.com/{% if data.a %}x{% endif %}", "no tags"),
        ("https://example.com/{{ data.a | url_encode }}", "leave out url_encode"),
        ("https://example.com/{{ data.a", "%20"),
        ("https://example.com/{{ data.a }}/../b", "segments"),
        ("https://example.com/%2{{ data.a }}", "% itself as %25"),
        ("https://example.com/?a=%{{ data.a }}{{ data.b }}", "% itself as %25"),
        ("https://example.com/{{ event.url }}", "no such member"),
        ("https://example.com/{{ data. }}", "Expected an identifier"),
    ],
)
def test_a_url_template_with_a_mistake_is_refused(url: str, reason: str) -> None:
    outcome = reason_of(checked(None, url, JSON))

    assert outcome.startswith("url: ")
    assert reason in outcome


@pytest.mark.parametrize(
    "template",
    [
        *("{{ secret.x }}", "{{ data.secret }}", "{{ 1 | secret }}", "{% secret %}"),
        *("{{ 'secret }}", "{{ event.secret }}", "{{ a secret }}", "{% assign secret %}"),
        *("{{ data.a | date: '%Q secret' }}", "{{ data.a | slice: data.a }}"),
        *("{% if secret = 1 %}{% endif %}", "{% for secret in data.b %}{% endfor %}"),
    ],
)
def test_no_reason_repeats_words_of_the_template_or_the_event(template: str) -> None:
    outcome = rendered(template, {"a": "a secret", "c": 1})

    assert "secret" not in reason_of(outcome)
    outcome = checked(template, URL, TEXT)
    assert outcome == Accepted() or "secret" not in reason_of(outcome)


def test_each_sample_may_take_as_long_as_a_delivery() -> None:
    begun: list[None] = []

    def checked(template: str) -> int:
        begun.clear()
        check(
            CheckJob(template, f"{URL}/{{{{ data.n }}}}", "application/json", owner_id=1),
            before_each=lambda: begun.append(None),
        )
        return len(begun)

    assert checked("{{ data.n }}") == 2
    assert checked("{% if data.n == 'a' %}1{% else %}no JSON{% endif %}") == 3
