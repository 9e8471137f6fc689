"""Reads `GET /metrics` with Prometheus's own parser."""

from dataclasses import dataclass
from functools import lru_cache

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape, and the types of their families."""

    samples: list[Sample]
    types: dict[str, str]

    def sum_of(self, name: str, **labels: str) -> float:
        """Gives the sum of a metric over all series with these labels; fails without one."""
        wanted = labels.items()
        found = [one.value for one in self.samples if _is_of(one, name, wanted)]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def labels_of(self, name: str) -> list[dict[str, str]]:
        return [one.labels for one in self.samples if one.name == name]

    @property
    def names(self) -> set[str]:
        return {one.name for one in self.samples}


def _is_of(sample: Sample, name: str, wanted: object) -> bool:
    return sample.name == name and wanted <= sample.labels.items()  # type: ignore[operator]


def parse(text: str) -> Scrape:
    """Reads each line once a process: nearly all are as the scrape before had them."""
    lines = text.splitlines()
    samples = [_sample_in(one) for one in lines if one and not one.startswith("#")]
    comments = "\n".join(one for one in lines if one.startswith("#"))
    families = text_string_to_metric_families(comments)
    assert len({(one.name, *sorted(one.labels.items())) for one in samples}) == len(samples)
    return Scrape(samples, {family.name: family.type for family in families})


@lru_cache(maxsize=20_000)
def _sample_in(line: str) -> Sample:
    [family] = text_string_to_metric_families(line)
    [sample] = family.samples
    return sample


async def scrape(client: httpx.AsyncClient) -> Scrape:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return parse(answer.text)
