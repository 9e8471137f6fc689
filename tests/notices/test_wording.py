"""Every kind has words and a sample with the same members, which templates are checked with."""

from datetime import UTC, datetime

import pytest

from event_trigger.destinations.templates.samples import SAMPLE_NOTICE
from event_trigger.models import NoticeKind, SubjectKind
from event_trigger.notices.changes import Subject
from event_trigger.notices.wording import Told, message_of, sample_of

SINCE = datetime(2026, 11, 30, 9, tzinfo=UTC)


@pytest.mark.parametrize("kind", NoticeKind)
def test_each_kind_has_a_sample_with_the_members_that_templates_know(kind: NoticeKind) -> None:
    sample, details = sample_of(kind), SAMPLE_NOTICE["details"]

    assert isinstance(details, dict)
    assert [*sample] == [*SAMPLE_NOTICE]
    assert sample["details"].keys() == details.keys()
    assert "None" not in sample["message"]
    assert sample["message"].startswith(("The ", "1 "))


@pytest.mark.parametrize("kind", NoticeKind)
def test_a_message_says_how_many_there_were(kind: NoticeKind) -> None:
    sample = sample_of(kind)
    subject = Subject(SubjectKind(sample["subject"].partition("s/")[0]), 1)

    told = Told(kind, subject, None, 1, None, 3, SINCE, sample["details"])
    many = told._replace(subject=Subject(SubjectKind.PROJECT, 1))

    assert "3" in message_of(told)
    assert "3" in message_of(many)
