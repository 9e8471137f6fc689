"""The documents agree with each other and with the code: links, file names, order, heads."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.markdown import ROOT, anchors_of, blocks_of, links_of, pages, prose_of

README, DECISIONS = ROOT / "README.md", ROOT / "docs" / "decisions"
_HOUSE = ROOT / "src" / "event_trigger"
_FILE_NAME = re.compile(r"`([\w./-]*/[\w.-]+\.(?:py|md|json|yaml|toml))`")
_HEAD = re.compile(
    r"# \d+\. .+\n\n- \*\*Status\*\*: (Accepted|Amended by|Superseded by).*\n"
    r"- \*\*Date\*\*: \d{4}-\d\d-\d\d\n\n\*\*Context"
)


@pytest.fixture(params=pages(), ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links_of(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page

        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in _FILE_NAME.findall(prose_of(page)):
        if name.startswith("/"):
            continue  # a path of the API
        places = [ROOT / name, _HOUSE / name, page.parent / name]

        assert any(place.exists() for place in places), name


def test_lines_of_prose_are_short(page: Path) -> None:
    long = [
        line
        for line in prose_of(page).splitlines()
        if len(line) > 120 and not line.startswith(("|", "- **Status**"))
    ]

    assert long == []


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len(README.read_text().splitlines()) <= 200


def test_the_map_has_the_order_that_is_enforced() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    house = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn = [block.text.splitlines() for block in blocks_of(ROOT / "docs" / "architecture.md")]
    line = " → ".join(house[1:])
    contributing = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())

    assert house[0] == "__main__"
    assert house[1:] in drawn
    assert f"`{line}`" in contributing


def test_the_map_names_functions_where_they_are() -> None:
    text = " ".join((ROOT / "docs" / "architecture.md").read_text().split())
    named = re.findall(r"`([\w/]+\.py)`, `(\w+)`", text)

    assert len(named) > 9
    for file, name in named:
        source = (_HOUSE / file).read_text()
        assert re.search(rf"^(async def|def|class) {name}\b", source, re.MULTILINE), (file, name)


@pytest.mark.parametrize("decision", sorted(DECISIONS.glob("0*.md")), ids=lambda one: one.stem)
def test_a_decision_says_its_status_and_date_and_is_in_the_index(decision: Path) -> None:
    text, index = decision.read_text(), (DECISIONS / "README.md").read_text()
    title, status, date = (
        re.search(pattern, text, re.MULTILINE)
        for pattern in (
            r"^# \d+\. (.+)$",
            r"^- \*\*Status\*\*: (.+)$",
            r"^- \*\*Date\*\*: (.+)$",
        )
    )

    assert _HEAD.match(text)
    assert title is not None
    assert status is not None
    assert date is not None
    number = int(decision.name[:4])
    assert f"| [{number}]({decision.name}) | {title[1]} | {status[1]} | {date[1]} |" in index
