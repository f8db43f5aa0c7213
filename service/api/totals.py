"""What this process has counted for its models, and what all processes have that serve as one with it."""

from typing import Any

from engine.models.repository import Repository
from engine.models.version import Version
from engine.statistics import Summary
from service.api.middleware.broadcast import Aggregates


def snapshot(repository: Repository) -> dict[str, Any]:
    """What every version has counted in this process: `counters` and `latest` as in `Aggregates`."""
    counters: dict[str, dict[str, Any]] = {}
    latest: dict[str, dict[str, int]] = {}
    for (name, number), count_calls in repository.statistics.items():
        counters.setdefault(name, {})[str(number)] = count_calls.summary().counters()
        latest.setdefault(name, {})[str(number)] = count_calls.last_inference_ms
    return {"counters": {"model": counters}, "latest": {"model": latest}}


def summary(version: Version, totals: Aggregates) -> Summary:
    """What all processes have counted for a version."""
    try:
        counters = totals.counters["model"][version.name][version.version]
    except KeyError:  # it was found a moment ago
        return version.statistics.summary()
    return Summary.of(counters, totals.latest["model"][version.name][version.version])
