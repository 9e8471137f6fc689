"""Alerts and the dashboard ask for metrics and labels that exist, and lead to advice."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.support.markdown import ROOT, anchors_of
from tests.support.metrics import Scrape, scrape
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.triggers import make_api

_RULES = yaml.safe_load((ROOT / "ops" / "alerts.yaml").read_text())["groups"][0]["rules"]
_BOARD = json.loads((ROOT / "ops" / "grafana.json").read_text())
_STRING = re.compile(r'"[^"]*"')
_SERIES = re.compile(r"\b([a-z_]+_[a-z_]+)\b(?:\{([^}]*)\})?")
_GROUPING = re.compile(r"\bby \(([^)]*)\)")
_FUNCTIONS = {"histogram_quantile"}
_OF_PROMETHEUS = {"job", "instance"}  # labels that it adds to what it scrapes, instead of ours


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**ALLOW_LOOPBACK, "metrics_per_destination": True, "retry_after": "600"}


def groups_in(expression: str) -> set[str]:
    groups = _GROUPING.findall(expression)
    return {label.strip() for labels in groups for label in labels.split(",")}


def series_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Gives each metric that a PromQL expression names, with the labels it asks for."""
    grouped = groups_in(expression)
    without = _GROUPING.sub("", _STRING.sub('""', expression.replace("$__rate_interval", "5m")))
    for name, matchers in _SERIES.findall(without):
        if name not in _FUNCTIONS:
            asked = set(re.findall(r"(\w+)\s*[!=]", matchers))
            yield name, asked | grouped


def wrong_in(expression: str, found: Scrape) -> list[str]:
    wrong = []
    for name, labels in series_in(expression):
        family = re.sub(r"_total$", "", name)
        if name in found.names:
            ours = {label for one in found.labels_of(name) for label in one}
            renamed = {f"exported_{one}" for one in ours & _OF_PROMETHEUS}
            wrong += [f"{name} has no {one}" for one in labels - ours - _OF_PROMETHEUS - renamed]
            if renamed and groups_in(expression) & _OF_PROMETHEUS and not labels & renamed:
                wrong.append(f"{name} is of all {renamed} together")
        elif family not in found.types:
            wrong.append(f"there is no {name}")
    return wrong


def panels() -> list[dict[str, Any]]:
    return [one for one in _BOARD["panels"] if one["type"] != "row"]


async def test_alerts_and_dashboard_ask_for_what_is_there(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await make_api(ada)
    await scrape(admin)
    found = await scrape(admin)
    shown = [target["expr"] for one in panels() for target in one["targets"]]
    alerts = [one["expr"] for one in _RULES]

    assert [wrong for one in alerts + shown for wrong in wrong_in(one, found)] == []
    assert len(alerts) > 10
    assert wrong_in('sum by (kind) (event_trigger_streams{a="1"})', found) != []
    assert wrong_in("max by (job) (event_trigger_job_interval_seconds)", found) != []
    assert wrong_in("event_trigger_nothing_total > 0", found) == [
        "there is no event_trigger_nothing_total"
    ]


async def test_each_metric_is_in_the_documentation(admin: httpx.AsyncClient) -> None:
    found = await scrape(admin)
    page = (ROOT / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"[`,] ?`?([a-z_]+)(?=[{`])", page))

    for family, kind in found.types.items():
        name = f"{family}_total" if kind == "counter" else family
        assert name.removeprefix("event_trigger_") in named, name


def test_each_alert_leads_to_a_section_that_says_what_to_do() -> None:
    headings = anchors_of(ROOT / "docs" / "operations.md")

    for one in _RULES:
        page, _, heading = one["annotations"]["runbook_url"].partition("#")
        assert page == "docs/operations.md"
        assert heading in headings, one["alert"]
        assert one["annotations"]["summary"]
        assert one["labels"]["severity"] in {"warning", "critical"}
    assert len({one["alert"] for one in _RULES}) == len(_RULES)


def test_the_dashboard_can_be_imported_as_it_is() -> None:
    rows = [one["title"] for one in _BOARD["panels"] if one["type"] == "row"]
    places = [tuple(one["gridPos"].values()) for one in _BOARD["panels"]]
    variables = {one["name"] for one in _BOARD["templating"]["list"]}

    assert rows == ["Overview", "Firing", "Deliveries", "Database"]
    assert "__inputs" not in _BOARD  # which would have to be answered first
    assert len({one["id"] for one in _BOARD["panels"]}) == len(_BOARD["panels"])
    assert len(set(places)) == len(places)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(_BOARD))) - {"__rate_interval"}
    assert used == variables
