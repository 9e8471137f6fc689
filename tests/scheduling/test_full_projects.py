"""A project without room for events is logged once a minute, however many triggers are due."""

from structlog.testing import capture_logs

from event_trigger.scheduling.full_projects import FullProjects


def test_each_project_is_logged_when_it_begins() -> None:
    full = FullProjects()

    with capture_logs() as logged:
        for project_ids in ([2, 1], [1], [3, 2], [3]):
            full.note(project_ids)

    assert [(one["event"], one["project_ids"]) for one in logged] == [
        ("events_full", [1, 2]),
        ("events_full", [3]),
    ]
