"""The figures of this process as a snapshot of the metrics, by prometheus-client."""

from prometheus_client import ProcessCollector

from service.telemetry.metrics import FAMILIES, Snapshot

_COLLECTOR = ProcessCollector(registry=None)


def process_figures() -> Snapshot:
    """CPU time, memory, files and start; empty where the system has no /proc."""
    samples = (sample for metric in _COLLECTOR.collect() for sample in metric.samples)
    return {sample.name: [[[], sample.value]] for sample in samples if sample.name in FAMILIES}
