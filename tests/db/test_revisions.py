"""The revisions are found without Alembic, and are those that Alembic finds."""

from pathlib import Path

from alembic.script import ScriptDirectory

from event_trigger.db.revisions import known_revisions, migrations_folder, newest_revision
from tests.support.migrations import folder_with


def scripts_in(folder: Path) -> ScriptDirectory:
    return ScriptDirectory(str(folder))


def test_they_are_those_that_alembic_finds() -> None:
    scripts = scripts_in(migrations_folder())

    assert known_revisions() == {script.revision for script in scripts.walk_revisions()}
    assert newest_revision() == scripts.get_current_head()


def test_a_new_migration_is_the_newest_whatever_its_file_is_called(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "pass")

    assert newest_revision(folder) == scripts_in(folder).get_current_head() == "test"
    assert known_revisions(folder) == known_revisions() | {"test"}
