"""A sender's body becomes a payload that says the same, whatever kind of body it is."""

import codecs
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.errors import Invalid
from event_trigger.hooks.bodies.forms import MOST_FIELDS
from event_trigger.hooks.bodies.reading import LONGEST_TYPE, read_body
from event_trigger.web.strict_json import loads

JSON, TEXT, FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=xyz"


def part(head: str, data: str | bytes) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return (
        b"--xyz\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
    )


FILE = part('name="doc"; filename="grün.pdf"\r\nContent-Type: application/pdf', b"\0\xff" * 50)
END = b"--xyz--\r\n"


@pytest.mark.parametrize("media_type", [JSON, JSON + "; charset=utf-8", FORM, TEXT, "", "a/b+json"])
@pytest.mark.parametrize(
    "text",
    ['{ "b":1.0,\n "a": [1e3, null, "ü😀"] }', '{"a":"\\u00e9\\\\u0000\\ud83d\\ude00"}', "{}"],
)
def test_an_object_is_the_payload_to_the_letter_whatever_its_type(
    text: str, media_type: str
) -> None:
    read = read_body(text.encode(), media_type)

    assert read is not None
    assert read.text == text
    assert read.value == json.loads(text)


@pytest.mark.parametrize(
    ("body", "media_type", "text"),
    [
        (b'[1, {"a":1.0}]', JSON, '{"body": [1, {"a":1.0}]}'),
        (b"[1,2]", TEXT, '{"body": [1,2]}'),
        (b" 5 ", JSON, '{"body":  5 }'),
        (b"null", JSON, '{"body": null}'),
        (b'"x"', "application/cloudevents-batch+json", '{"body": "x"}'),
        (b"5", TEXT, '{"body": "5"}'),
        (b"backup done", FORM, '{"body": "backup done"}'),
        (b"df /: use=90%", FORM, '{"body": "df /: use=90%"}'),
        (b"[error] x=1", FORM, '{"body": "[error] x=1"}'),
        (b"backup done\n", "", '{"body": "backup done\\n"}'),
        (b'{"a":', TEXT, '{"body": "{\\"a\\":"}'),
        (b"<a>1</a>", "application/xml", '{"body": "<a>1</a>"}'),
        (b"a=1&b=&a=2&c", FORM, '{"a": ["1", "2"], "b": "", "c": ""}'),
        (b"a+b=c%20d%C3%BC&&x=%3D", FORM, '{"a b": "c dü", "x": "="}'),
        (b"a=%FC", FORM + "; charset=iso-8859-1", '{"a": "ü"}'),
        (b"status=backup done", FORM, '{"status": "backup done"}'),
        ("grün".encode("latin-1"), TEXT + '; charset="ISO-8859-1"', '{"body": "grün"}'),
        ("日本".encode("shift_jis"), TEXT + ";charset=Shift_JIS", '{"body": "日本"}'),
        ('{"a":"ü"}'.encode("utf-16"), JSON + "; charset=utf-16", '{"a":"ü"}'),
        (b'\xef\xbb\xbf{"a":1}', JSON, '{"a":1}'),
        (b"x", TEXT + "; charset=unicode_escape", '{"body": "x"}'),
        (b"x", TEXT + "; charset=no-such", '{"body": "x"}'),
    ],
)
def test_each_kind_of_body_has_its_payload(body: bytes, media_type: str, text: str) -> None:
    read = read_body(body, media_type)

    assert read is not None
    assert read.text == text
    assert read.value == json.loads(text)


@pytest.mark.parametrize(
    ("codec", "text", "names"),
    [
        ("utf-8", "é日", "utf-8 UTF8 utf_8 unicode-1-1-utf-8 no-such"),
        ("utf-16", "é日", "utf-16 UTF16 ucs-2"),
        ("utf-16-le", "é日", "utf-16le UTF_16_LE"),
        ("utf-32", "é日", "utf-32"),
        ("ascii", "a", "us-ascii ascii"),
        ("latin-1", "é", "iso-8859-1 ISO8859_1 ISO_8859-1:1987 latin1 l1"),
        ("iso8859-2", "ł", "iso-8859-2 ISO_8859-2:1987"),
        ("iso8859-3", "ħ", "iso-8859-3 ISO_8859-3:1988"),
        ("iso8859-4", "ģ", "iso-8859-4 ISO_8859-4:1988"),
        ("iso8859-5", "д", "iso-8859-5 ISO_8859-5:1988"),
        ("iso8859-6", "ع", "iso-8859-6 ISO_8859-6:1987 csISO88596E csISO88596I"),
        ("iso8859-7", "λ", "iso-8859-7 ISO_8859-7:1987"),
        ("iso8859-8", "ש", "iso-8859-8 ISO_8859-8:1988 csISO88598E csISO88598I"),
        ("iso8859-9", "ğ", "iso-8859-9 ISO_8859-9:1989"),
        ("iso8859-10", "ŧ", "iso-8859-10 ISO_8859-10:1992"),
        ("iso8859-14", "ŵ", "iso-8859-14 ISO_8859-14:1998"),
        ("iso8859-15", "€", "ISO-8859-15 iso8859-15 latin-9"),
        ("iso8859-16", "ș", "iso-8859-16 ISO_8859-16:2001"),
        ("cp1252", "€", "windows-1252 cp1252 x-cp1252"),
        ("cp1251", "д", "windows-1251"),
        ("koi8-r", "д", "KOI8-R koi8_r"),
        ("koi8-u", "ї", "koi8-u"),
        ("cp866", "д", "IBM866 cp866"),
        ("cp874", "ก", "tis-620 windows-874"),
        ("mac-roman", "é", "macintosh x-mac-roman"),
        ("mac-cyrillic", "д", "x-mac-cyrillic"),
        ("shift_jis", "日", "Shift_JIS shift-jis sjis x-sjis"),
        ("cp932", "①", "windows-31j cp932"),
        ("euc_jp", "日", "EUC-JP euc_jp"),
        ("iso2022_jp", "日", "iso-2022-jp"),
        ("euc_kr", "가", "EUC-KR ks_c_5601-1987"),
        ("cp949", "갂", "uhc cp949 windows-949"),
        ("gb2312", "日", "gb2312"),
        ("gbk", "鎔", "GBK cp936"),
        ("gb18030", "€", "gb18030"),
        ("big5", "日", "Big5 csbig5"),
    ],
)
def test_all_charsets_of_the_web_are_read_by_any_of_their_names(
    codec: str, text: str, names: str
) -> None:
    for name in names.split():
        read = read_body(text.encode(codec), f"{TEXT}; charset={name}")

        assert read is not None
        assert read.value == {"body": text}, name


def test_no_name_of_a_sender_is_looked_up_since_python_would_keep_it() -> None:
    asked: list[str] = []
    codecs.register(asked.append)
    body = part('name="a"\r\nContent-Type: text/plain; charset=no-such-2', "1") + END

    try:
        read = [read_body(b"x", TEXT + "; charset=no-such-1"), read_body(body, MULTIPART)]
        read.append(read_body(b"a=%41", FORM + "; charset=no-such-3"))
    finally:
        codecs.unregister(asked.append)

    assert [one.value for one in read if one is not None] == [{"body": "x"}, {"a": "1"}, {"a": "A"}]
    assert asked == []


@pytest.mark.parametrize("media_type", [JSON, FORM, TEXT, "", "application/octet-stream"])
@pytest.mark.parametrize("body", [b"", b" ", b"\r\n"])
def test_no_body_is_no_payload(body: bytes, media_type: str) -> None:
    assert read_body(body, media_type) is None


@pytest.mark.parametrize(
    ("body", "media_type", "value"),
    [
        (b'{"a":"\\u0000\\ud800.\\uDC00\\\\u0000"}', JSON, {"a": "��.�\\u0000"}),
        (b'{"a":"\0\xff"}', JSON, {"a": "��"}),
        (b'{"\\u0000":1}', TEXT, {"�": 1}),
        (b'["\\ud83d\\ude00\\ud83d"]', JSON, {"body": ["😀�"]}),
        (b"a\0b\xff", TEXT, {"body": "a�b�"}),
        (b"a=%00%ED%A0%80&%00=1", FORM, {"a": "����", "�": "1"}),
        (part('name="a"', b"\0\xff") + END, MULTIPART, {"a": "��"}),
    ],
)
def test_characters_that_cannot_be_stored_are_replaced(
    body: bytes, media_type: str, value: Any
) -> None:
    read = read_body(body, media_type)

    assert read is not None
    assert read.value == value
    assert loads(read.text.encode()) == value


_ESCAPED = st.lists(
    st.sampled_from(
        [
            *(r"\u0000", r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\u00e9", r"\\", r"\n", r"\""),
            *("u0000", "ude00", "x", "/", "\0"),
        ]
    ),
    max_size=12,
)


@given(pieces=_ESCAPED)
def test_escapes_are_mended_as_a_parser_reads_them(pieces: list[str]) -> None:
    text = f'"{"".join(pieces)}"'
    mended = re.sub("[\0\ud800-\udfff]", "�", json.loads(text, strict=False))

    read = read_body(text.encode(), JSON)

    assert read is not None
    assert read.value == {"body": mended}


def test_multipart_has_its_fields_and_tells_of_its_files() -> None:
    latin = part('name="c"\r\nContent-Type: text/plain; charset=iso-8859-1', "ü".encode("latin-1"))
    body = part('name="a"', "1") + part('name="a"', "--xy\r\n") + FILE + latin + END

    read = read_body(body, MULTIPART)

    assert read is not None
    assert read.value == {
        "a": ["1", "--xy\r\n"],
        "doc": {"name": "grün.pdf", "type": "application/pdf", "size": 100},
        "c": "ü",
    }
    assert json.loads(read.text) == read.value


@pytest.mark.parametrize("text", ['{ "a":1.0, "ü":"\\u00fc" }', '[{"b":2}]'])
def test_the_json_in_a_field_of_a_form_is_the_payload_where_it_is_asked_for(text: str) -> None:
    as_json, body = read_body(text.encode(), JSON), part('name="payload"', text) + END

    read = read_body(json_in_form(text), FORM, json_field="payload")
    of_multipart = read_body(body, MULTIPART, json_field="payload")
    not_asked = read_body(json_in_form(text), FORM)
    other = read_body(b"command=%2Fdeploy&text=now", FORM, json_field="payload")

    assert read == of_multipart == as_json
    assert not_asked is not None
    assert not_asked.value == {"payload": text}
    assert other is not None
    assert other.value == {"command": "/deploy", "text": "now"}


def json_in_form(text: str) -> bytes:
    return b"payload=" + "".join(f"%{byte:02X}" for byte in text.encode()).encode()


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"a":', JSON),
        (b"backup done", JSON),
        (b'{"a": NaN}', JSON),
        (b'{"a": 1e999}', JSON),
        (b'{"a": 1, "a": 2}', JSON),
        (b'{"a":' * 65 + b"1" + b"}" * 65, JSON),
        (b"[" * 100_000, JSON),
        (b"payload=%7B", FORM),
        (b"&".join([b"a=1"] * (MOST_FIELDS + 1)), FORM),
        (part('name="a"', "1") * (MOST_FIELDS + 1) + END, MULTIPART),
        (b"a=1", MULTIPART),
        (part('name="a"', "1"), "multipart/form-data"),
        (part('name="a"', "1"), MULTIPART[:-3] + "x" * 1000),
        (part('nome="a"', "1") + END, MULTIPART),
        (part('name="a"', "1"), MULTIPART),
        (b"", MULTIPART),
        (part('name="a"; x="' + "x" * 4000 + '"', "1") * 20 + END, MULTIPART),
        (b"{}", JSON + ";" * LONGEST_TYPE),
    ],
)
def test_what_its_type_does_not_allow_is_refused(body: bytes, media_type: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_body(body, media_type, json_field="payload")

    assert refused.value.detail.endswith(".")


_LATIN = st.text(st.characters(max_codepoint=255), max_size=20)
_TYPES = (
    st.sampled_from([JSON, FORM, TEXT, MULTIPART, "", "text/plain; charset=utf-16", ";;=,"])
    | _LATIN
    | _LATIN.map("multipart/form-data; boundary={}".format)
    | _LATIN.map("text/plain; charset={}".format)
)
_PIECES = st.sampled_from(
    [
        *(b"--xyz", b"--xyz--", b"\r\n", b'Content-Disposition: form-data; name="a"', b'"', b";"),
        *(b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"\\u0000", b"\\ud800", b"\\", b"1", b"NaN"),
        *(b"&", b"=", b"%00", b"%ED", b"+", b"\0", b"\xff", b"payload=", b"\xef\xbb\xbf"),
    ]
)


@given(body=st.lists(_PIECES, max_size=12).map(b"".join) | st.binary(max_size=30), of=_TYPES)
def test_any_bytes_of_any_type_are_a_payload_that_can_be_stored_or_are_refused(
    body: bytes, of: str
) -> None:
    try:
        read = read_body(body, of, json_field="payload")
    except Invalid:
        return

    if read is not None:
        assert loads(read.text.encode()) == read.value
        assert isinstance(read.value, dict)
