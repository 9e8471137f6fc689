"""A mail is one message to one address, whatever its subject and text are."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.mail.message import LONGEST_SUBJECT, Mail, one_line, write_mail
from event_trigger.mail_settings import read_sender

AT = datetime(2026, 11, 30, 9, tzinfo=UTC)
SENDER = read_sender("Grüße <events@example.com>")
FIELDS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
    *("Content-Type", "Content-Transfer-Encoding"),
]
HOSTILE = "a\r\nBcc: all@example.com\r\n\r\nbody\n.\r\n\x00\u2028=?utf-8?q?=0ABcc:?="


def _written(subject: str, text: str) -> bytes:
    return write_mail(Mail("evt_1.2", "ops@example.com", subject, text, AT), SENDER)


@given(st.text(max_size=400) | st.just(HOSTILE), st.text() | st.just(HOSTILE))
def test_no_subject_and_no_text_add_a_header_field_or_a_recipient(subject: str, text: str) -> None:
    written = _written(subject, text)

    head, _, body = written.partition(b"\r\n\r\n")
    names = re.findall(rb"(?m)^([!-9;-~]+):", head)
    message = message_from_bytes(written, policy=default)
    assert [one.decode() for one in names] == FIELDS
    assert message["To"] == "ops@example.com"
    assert written.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", written)
    assert max(map(len, body.split(b"\r\n"))) <= 998


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_the_text_arrives_as_it_was(text: str) -> None:
    message = message_from_bytes(_written("Hi", text), policy=default)

    assert message.get_content().removesuffix("\r\n") == text.removesuffix("\r\n")


@pytest.mark.parametrize(
    "text", ["a\nb\n", "a\r\nb", "a\rb", "\ttab", ".", "..\n.", "= =3D", " x "]
)
def test_lines_end_as_mails_lines_do(text: str) -> None:
    message = message_from_bytes(_written("Hi", text), policy=default)

    lines = re.sub(r"\r\n?", "\n", text).removesuffix("\n").split("\n")
    assert message.get_content() == "\r\n".join([*lines, ""])


@given(st.text())
def test_a_subject_is_one_line_that_is_printable_but_for_odd_letters(text: str) -> None:
    line = one_line(text)

    assert len(line) <= LONGEST_SUBJECT
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", line)


def test_the_sender_has_its_name_encoded() -> None:
    message = message_from_bytes(_written("Hi", "x"), policy=default)

    assert message["From"] == "Grüße <events@example.com>"


@pytest.mark.parametrize(
    "subject", ["=?utf-8?q?=0ABcc:_all@example.com?=", "é" * 150, "word " * 30]
)
def test_a_subject_arrives_as_it_was(subject: str) -> None:
    message = message_from_bytes(_written(subject, "x"), policy=default)

    head = _written(subject, "x").partition(b"\r\n\r\n")[0]
    (chunks,) = [decode_header(one) for one in [message_from_bytes(head)["Subject"]]]
    assert str(make_header(chunks)) == one_line(subject)
    assert message["Bcc"] is None
