"""The slim wheel has the client, and needs nothing of the service; older Pythons can read it."""

import ast
import re
import subprocess
import sys
import tomllib
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

import event_trigger
import event_trigger_client
from tests.support.processes import ROOT

PROJECT, SOURCES = ROOT / "clients" / "python", ROOT / "src" / "event_trigger_client"
IMPORTS_ALL = """
import pkgutil, sys
from importlib import import_module, metadata

class NoService:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"event_trigger", "fastapi", "sqlalchemy", "pydantic"}:
            raise ImportError(name)

sys.meta_path.insert(0, NoService())
import event_trigger_client
for one in pkgutil.walk_packages(event_trigger_client.__path__, "event_trigger_client."):
    import_module(one.name)
print(event_trigger_client.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    return ZipFile(built)


def test_the_slim_wheel_has_all_of_the_client_and_nothing_else(wheel: ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {
        f"event_trigger_client/{path.relative_to(SOURCES).as_posix()}"
        for path in SOURCES.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert held == sources | {"event_trigger_client/LICENSE"}
    assert "event_trigger_client/py.typed" in held


def test_the_slim_wheel_needs_two_packages_and_has_the_version_of_the_service(
    wheel: ZipFile,
) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    told = message_from_string(wheel.read(metadata).decode())
    needed = [one for one in told.get_all("Requires-Dist", []) if "extra ==" not in one]

    assert {re.split("[<>=]", one)[0] for one in needed} == {"httpx", "standardwebhooks"}
    assert told["Version"] == event_trigger.__version__ == event_trigger_client.__version__
    assert told["Requires-Python"] == ">=3.10"


def test_the_service_needs_what_the_client_needs() -> None:
    ours, slim = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
        for folder in (ROOT, PROJECT)
    )

    assert {*slim} <= {*ours}


def test_the_slim_wheel_is_imported_without_the_service(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}){IMPORTS_ALL}"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )

    assert ended.stdout.startswith(str(tmp_path)), ended.stderr


def test_every_module_is_in_the_language_of_the_oldest_python() -> None:
    for path in SOURCES.rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 10))


def test_what_the_package_names_is_there_and_is_imported_when_asked_for() -> None:
    program = "import sys, event_trigger_client as c; print('httpx' in sys.modules, *dir(c))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    had_httpx, *names = ended.stdout.split()

    assert had_httpx == "False"
    for name in names:
        assert hasattr(event_trigger_client, name)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        event_trigger_client.Nothing  # noqa: B018
