"""Writes a mail as the bytes that a mail server gets: plain text, the same in every attempt."""

import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr

from event_trigger.mail_addresses import domain_of
from event_trigger.mail_settings import MailSender

LONGEST_SUBJECT = 200  # characters
_PLAIN = 60  # characters; a longer line is folded
_NOT_IN_LINES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+|\s{2,}")
_LINE_ENDS = re.compile(r"\r\n?|\n")
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one address; `id` is the same in every attempt, and unlike any other mail's."""

    id: str
    to: str
    subject: str
    text: str = field(repr=False)
    at: datetime


def write_mail(mail: Mail, sender: MailSender) -> bytes:
    """Writes the header fields and the body in ASCII.

    The body is quoted-printable: any text passes any server, with the line ends that it had.
    """
    fields = header_fields(mail, sender) | {
        "From": formataddr((sender.name, sender.address)),
        "Subject": _encoded(one_line(mail.subject)),
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "quoted-printable",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode("ascii") + b"\r\n" + _body(mail.text)


def header_fields(mail: Mail, sender: MailSender) -> dict[str, str]:
    """Returns the fields that tell one mail from another, as readers see them."""
    return {
        "From": f"{sender.name} <{sender.address}>" if sender.name else sender.address,
        "To": mail.to,
        "Subject": one_line(mail.subject),
        "Date": format_datetime(mail.at),
        "Message-ID": f"<{mail.id}@{domain_of(sender.address)}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no auto-reply
    }


def _encoded(line: str) -> str:
    """Encodes a line (RFC 2047) that is not plain ASCII, is long, or looks encoded already.

    `EmailMessage` would decode the latter, and write the line breaks that come of it.
    """
    if line.isascii() and len(line) <= _PLAIN and "=?" not in line:
        return line
    return Header(line, "utf-8", header_name="Subject").encode(linesep="\r\n")


def one_line(text: str) -> str:
    """Makes a line of a text: line breaks, control characters and long gaps become one space."""
    line = _NOT_IN_LINES.sub(" ", text).strip()
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1]}…"


def _body(text: str) -> bytes:
    """Encodes the text in C: the standard library's own takes a second for a MiB."""
    shown = _LINE_ENDS.sub("\n", _NOT_IN_TEXT.sub("\ufffd", text))
    encoded = binascii.b2a_qp(shown.encode(), istext=True)
    return encoded.removesuffix(b"\n").replace(b"\n", b"\r\n") + b"\r\n"
