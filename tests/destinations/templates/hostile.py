"""Two hundred templates that want more than their share, or something that is not theirs.

Each is rendered with `data` in the place of the payload.
"""

from typing import Any, NamedTuple


class Hostile(NamedTuple):
    name: str
    template: str
    data: Any = None


_LONG, _MANY = "a" * 200_000, [*range(12_000)]
_OF_TEXT = [
    *("append: x", "prepend: x", "replace: 'a', x", "replace_first: 'a', x", "split: ''"),
    *("split: 'a' | join: x", "split: '' | join: x", "upcase | append: x", "json | json | json"),
    *(
        "url_encode | url_encode | url_encode",
        "base64_encode | base64_encode",
        "escape | append: x",
    ),
    *("strip_html", "squish | append: x", "truncate: 999999999, x", "truncatewords: 99999999, x"),
    *("newline_to_br", "strip_newlines", "remove: 'b'", "slice: 0, 99999999", "escape_once"),
    *("split: '' | sort | reverse | uniq", "split: '' | map: 'size'", "split: '' | concat: y"),
    *("split: '' | where: 'a'", "split: '' | sort_natural", "split: '' | compact | json"),
    *("url_decode", "base64_decode", "date: x", "default: x", "replace_last: 'a', x", "lstrip"),
]
_OF_LISTS = [
    *("concat: y", "join: ','", "sort | reverse", "uniq", "json", "map: 'a'", "sum", "where: 'a'"),
    *("sort_natural | join", "find: 'a'", "compact", "reject: 'a'", "has: 'a'", "slice: 0, 999999"),
]
_NUMBERS = ["times: x", "plus: x", "minus: x", "divided_by: 3", "modulo: 7", "at_least: x", "round"]
_HUGE = ["9" * 400, "9" * 5000, "1e400", "-" + "9" * 300, "1.7e308"]
_DATES = [
    *("%1000000000Y", "%" * 100_000, "%Y" * 50_000, "%", "%Q", "%E", "%-", "%\u0000", "%Ey", "%+"),
    *("%_1000000d", "%^999999999B", "%:::z", "%s" * 1000),
]
_TIMES = [
    "9" * 30,
    "-1",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "1e99",
    "2026-13-45",
    "now",
    "today",
]
_REACHING = [
    *("{% include '/etc/passwd' %}", "{% render 'x' %}", "{% extends 'x' %}", "{% layout 'x' %}"),
    *(
        "{% block x %}{% endblock %}",
        "{% macro x %}{% endmacro %}",
        "{% call x %}",
        "{% section 'x' %}",
    ),
    *("{{ data.__class__ }}", "{{ data.__class__.__mro__[1].__subclasses__ }}", "{{ event.keys }}"),
    *("{{ event['__class__'] }}", "{{ data.x.__init__.__globals__ }}", "{{ ''.__class__ }}"),
    *("{{ self }}", "{{ env }}", "{{ context }}", "{{ template }}", "{{ settings.secret }}"),
    *("{{ forloop }}", "{% for x in data %}{{ forloop.__class__ }}{% endfor %}", "{{ globals }}"),
    *("{{ 'x' | eval }}", "{{ 'ls' | system }}", "{{ 'x' | read_file }}", "{{ '/' | asset_url }}"),
    *("{{ event.time | date: '%Y', '/etc/passwd' }}", "{{ event.time | date: '%Y', '../UTC' }}"),
]
_BROKEN = [
    *("{{", "{%", "{{ }", "{{ }}", "{% %}", "{% if %}", "{% for %}{% endfor %}", "{% assign %}"),
    *("{% endif %}", "{% else %}", "{% break %}", "{% continue %}", "{% case %}{% endcase %}"),
    *("{{ data | }}", "{{ | json }}", "{{ data..x }}", "{{ data[ }}", "{{ data] }}", "{{ 'x }}"),
    *("{% raw %}", "{% comment %}", "{% capture %}{% endcapture %}", "{{ (1..) }}", "{{ (..1) }}"),
    *("{% for x in (1..3) limit:-1 %}{{ x }}{% endfor %}", "{% cycle %}", "{% if 1 === 1 %}"),
    *("{% for x in (1..3) offset:'x' %}{% endfor %}", "{% liquid\n\n if\n %}", "\ufeff{{ data }}"),
]


def _grown(step: str, times: int, start: str = "'aaaaaaaa'") -> str:
    return f"{{% assign x = {start} %}}" + f"{{% assign x = x | {step} %}}" * times + "{{ x }}"


def _looped(body: str) -> str:
    return f"{{% for i in (1..9999) %}}{body}{{% endfor %}}"


def _nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "x" + closing * depth


def _loops(depth: int, length: int, body: str = "{{ i }}") -> str:
    return _nested(depth, f"{{% for i in (1..{length}) %}}", "{% endfor %}").replace("x", body)


_ASSIGNED = "{% assign x = 'aaaa' %}"
_GROWING = [
    Hostile("append doubles", _grown("append: x", 200)),
    Hostile("prepend doubles", _grown("prepend: x", 200)),
    Hostile("replace multiplies", _grown("replace: 'a', x", 50)),
    Hostile("numbers square", _grown("times: x", 300, "10")),
    Hostile("numbers grow", _grown("times: 10", 500, "1")),
    Hostile("numbers grow fast", _grown("times: 99999999999999999999", 300, "7")),
    Hostile("floats grow", _grown("times: 10.5", 480, "1.5")),
    Hostile("lists double", _grown("concat: x", 100, "data"), [1, 2, 3]),
    Hostile("JSON of JSON", _grown("json", 60, "data"), '"\\"'),
    Hostile("captures double", _ASSIGNED + "{% capture x %}{{ x }}{{ x }}{% endcapture %}" * 200),
    Hostile(
        "captures in a loop", _looped("{% capture y %}{{ data }}{{ i }}{% endcapture %}"), _LONG
    ),
    Hostile(
        "ifchanged in a loop", _looped("{% ifchanged %}{{ data }}{{ i }}{% endifchanged %}"), _LONG
    ),
    Hostile("much text", _looped("x" * 15_000)),
    Hostile("much data", _looped("{{ data }}"), _LONG),
    Hostile("much JSON", _looped("{{ data | json }}"), _MANY),
    Hostile("much that is not written", _looped("{% assign x = data | upcase %}"), _LONG),
    Hostile(
        "many variables",
        "".join(f"{{% assign v{n} = data | append: {n} %}}" for n in range(420)),
        _LONG,
    ),
    Hostile("many cycles", _looped("{% cycle 'a', 'b' %}") * 20),
    Hostile("many counters", _looped("{% increment n %}") * 20),
]
_LOOPING = [
    *(Hostile(f"{n} loops of {m}", _loops(n, m)) for n, m in [(1, 10**9), (1, 10**30), (2, 10**5)]),
    *(Hostile(f"{n} loops of {m}", _loops(n, m)) for n, m in [(4, 10), (8, 10), (19, 2), (25, 2)]),
    Hostile("a loop of nothing", _loops(1, 10_000, "{% if true %}{% endif %}" * 640)),
    Hostile(
        "a loop of conditions",
        _looped("{% if " + " and ".join(["1 == 1"] * 100) + " %}{% endif %}"),
    ),
    Hostile("loops after loops", _looped("") * 400),
    Hostile(
        "a loop over data", "{% for a in data %}{% for b in data %}x{% endfor %}{% endfor %}", _MANY
    ),
    Hostile("reversed", "{% for a in (1..99999999999) reversed %}{{ a }}{% endfor %}"),
    Hostile("a range as text", "{{ (1..999999999999) }}{{ (1..999999999999) | json }}"),
    Hostile("a range joined", "{{ (1..9999999999) | join: ',' }}"),
    Hostile("a range of data", "{% for i in (1..data) %}{% endfor %}", "9" * 5000),
    Hostile("a range sliced", "{{ (1..999999999999) | slice: 0, 999999999999 | json }}"),
    Hostile("a size of a range", "{{ (1..99999999999999999999999) | size }}"),
]
_DEEP = [
    *(Hostile(f"{n} ifs", _nested(n, "{% if 1 %}", "{% endif %}")) for n in (21, 100, 750)),
    Hostile("captures in captures", _nested(500, "{% capture x %}", "{% endcapture %}")),
    Hostile("comments in comments", _nested(550, "{% comment %}", "{% endcomment %}")),
    Hostile("liquid in liquid", "{% " + "liquid " * 2200 + "%}"),
    Hostile("a long path", "{{ data" + ".a" * 8_000 + " }}", {"a": {}}),
    Hostile("brackets", "{{ data" + "[data" * 2_600 + "]" * 2_600 + " }}", {}),
    Hostile("many ands", "{% if " + " and ".join(["1"] * 2_600) + " %}x{% endif %}"),
    Hostile("many comparisons", "{% if " + " == ".join(["1"] * 3_200) + " %}x{% endif %}"),
    Hostile("many filters", "{{ 'a'" + " | upcase" * 1_700 + " }}"),
    Hostile("many arguments", "{{ 'a' | append: " + ", ".join(["1"] * 5_000) + " }}"),
    Hostile("many elsifs", "{% if 0 %}" + "{% elsif 0 %}" * 1_200 + "{% endif %}"),
    Hostile("deep data", "{{ data | json }}{{ data }}", [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]),
]
_LEXING = [
    Hostile("spaces", "{{" + " " * 15_000),
    Hostile("spaces in a tag", "{% if" + " " * 15_000),
    Hostile("braces", "{{" * 8_000),
    Hostile("tags", "{%" * 8_000),
    Hostile("open and spaces", ("{{" + " " * 98) * 160),
    Hostile("hyphens", "{{-" * 5_000),
    Hostile("raws", "{% raw %}" * 1_700),
    Hostile("docs", "{% doc %}" * 1_700),
    Hostile("quotes", "{{ '" + "\\'" * 8_000 + " }}"),
    Hostile("digits", "{{ " + "9" * 15_000 + " }}"),
    Hostile("an exponent", "{{ 1e999999999 | times: 1 }}{{ 9e99999 }}"),
    Hostile("angles", "{{ data | strip_html }}", "<a " * 7_000 + ">"),
    Hostile("comments of HTML", "{{ data | strip_html }}", "<!--" * 5_000 + ">"),
    Hostile("scripts of HTML", "{{ data | strip_html }}", "<script" * 3_000 + ">"),
    Hostile("too much HTML", "{{ data | strip_html }}", "<" * 50_000 + ">"),
    Hostile("odd letters", "{{ data\u00ad.\u202ex }}{{ \U0001f4a9 }}"),
    Hostile("NUL", "{{ 'a\u0000b' }}\u0000"),
]
HOSTILE = [
    *_GROWING,
    *_LOOPING,
    *_DEEP,
    *_LEXING,
    *(
        Hostile(f"text | {f}", f"{{% assign x = data %}}{{{{ data | {f} }}}}", _LONG)
        for f in _OF_TEXT
    ),
    *(
        Hostile(f"list | {f}", f"{{% assign y = data %}}{{{{ data | {f} }}}}", _MANY)
        for f in _OF_LISTS
    ),
    *(
        Hostile(
            f"{n[:6]} of {len(n)} | {f}", f"{{% assign x = data %}}{{{{ data | {f} | json }}}}", n
        )
        for f in _NUMBERS
        for n in _HUGE
    ),
    *(Hostile(f"date: {f[:12]!r}", "{{ event.time | date: data }}", f) for f in _DATES),
    *(Hostile(f"{t} | date", "{{ data | date: '%Y-%m-%d %s' }}", t) for t in _TIMES),
    *(Hostile(one, one) for one in _REACHING),
    *(Hostile(one, one) for one in _BROKEN),
]
