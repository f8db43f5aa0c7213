"""Snapshots in the text formats of Prometheus, by prometheus-client."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.telemetry.metrics import FAMILIES, Family, Snapshot, Value


def render(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The exposition text and its content type: OpenMetrics if the HTTP header `accept` asks for it, else
    Prometheus' own format.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for name, family in FAMILIES.items():
            if name in self._snapshot:
                # The name of a counter or info family has no suffix; the names of its samples have.
                stem = name.removesuffix({"counter": "_total", "info": "_info"}.get(family.kind, ""))
                metric = Metric(stem, family.help, family.kind)
                for labels, value in self._snapshot[name]:
                    _add(metric, family, dict(zip(family.labels, labels, strict=True)), value)
                yield metric


def _add(metric: Metric, family: Family, labels: dict[str, str], value: Value) -> None:
    if family.kind != "histogram":
        metric.add_sample(family.name, labels, value)
        return
    total = 0
    for bound, count in zip((*family.bounds, float("inf")), value["counts"], strict=True):
        total += count
        le = floatToGoString(bound)  # type: ignore[no-untyped-call]
        metric.add_sample(f"{family.name}_bucket", {**labels, "le": le}, total)
    metric.add_sample(f"{family.name}_sum", labels, value["sum"])
    metric.add_sample(f"{family.name}_count", labels, total)
