"""The page of metrics, from `service.telemetry.metrics`."""

from docs.generate.markdown import code, head, table, text
from service.telemetry.metrics import FAMILIES, ROW_BOUNDS, TIME_BOUNDS


def page() -> str:
    """One row for each family of `/metrics`."""
    rows = [
        (code(family.name), family.kind, ", ".join(family.labels), text(family.help)) for family in FAMILIES.values()
    ]
    times = ", ".join(f"{bound:g}" for bound in TIME_BOUNDS)
    return "\n".join(
        (
            head("Metrics", "`service/telemetry/metrics.py`"),
            "`GET /metrics` on the HTTP port gives them in Prometheus' text format, or as OpenMetrics to a client that "
            "accepts it. With several workers they are the sum of all workers.\n",
            table(("metric", "kind", "labels", "meaning"), rows),
            f"Upper bounds of the buckets in seconds: {times}. In images: {ROW_BOUNDS[0]:g}, {ROW_BOUNDS[1]:g}, "
            f"{ROW_BOUNDS[2]:g} and so on to {ROW_BOUNDS[-1]:g}.\n",
        )
    )
