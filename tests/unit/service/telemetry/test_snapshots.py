"""How snapshots of what was counted are added and written."""

import json

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from engine.histogram import TIME_BOUNDS_NS, Histogram
from service.telemetry.exposition import render
from service.telemetry.metrics import FAMILIES, TIME_BOUNDS, Snapshot, add, deep_sum, ended
from tests.unit.service.telemetry.counting import CLASSIFY, MNIST, STEM, ask


async def test_snapshots_of_processes_can_be_sent_and_added(app):
    """Counts, sums and queues are summed, what describes a model is not, and what ended leaves its counts alone."""
    await ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 3)))
    one: Snapshot = await app.metrics()
    assert json.loads(json.dumps(one)) == one
    await ask(app, STEM + "ListModels", pb.ListModelsRequest())
    two = await app.metrics()
    total = {name: {tuple(key): value for key, value in series} for name, series in add(one, two).items()}
    assert total["digits_rows_total"][MNIST] == 6
    assert total["digits_batch_rows"][MNIST] == {"counts": [0, 0, 2] + [0] * 15, "sum": 6}
    assert total["digits_requests_total"][STEM + "ListModels", "", "", "OK"] == 1
    assert total["digits_model_ready"][MNIST] == 1
    assert set(total["digits_model_info"].values()) == {1}
    assert total["process_start_time_seconds"][()] == one["process_start_time_seconds"][0][1]
    assert total["process_resident_memory_bytes"][()] > one["process_resident_memory_bytes"][0][1]
    left = add(ended(one), two)
    assert {tuple(key): value for key, value in left["digits_rows_total"]}[MNIST] == 6
    for name in ("digits_queue_rows", "digits_model_info", "process_resident_memory_bytes"):
        assert left[name] == two[name]
    assert add({}, one) == one


@pytest.mark.parametrize(
    ("name", "values_", "merged"),
    [
        ("digits_model_ready", (0, 1), 0),
        ("digits_model_info", (1, 1), 1),
        ("digits_model_load_duration_seconds", (0.5, 2.0), 2.0),
        ("digits_queue_rows", (3, 4), 7),
        ("process_start_time_seconds", (20.0, 10.0), 10.0),
        ("process_max_fds", (1024.0, 1024.0), 1024.0),
        ("process_open_fds", (5.0, 6.0), 11.0),
    ],
)
def test_gauges_of_two_processes_are_merged_as_they_mean(name: str, values_: tuple[float, float], merged: float):
    """A model is ready when it is in every process; what each process has of its own is summed."""
    one, two = ({name: [[["a"], value]]} for value in values_)
    assert add(one, two) == {name: [[["a"], merged]]}
    assert add(one, {name: [[["b"], 1]]}) == {name: [*one[name], [["b"], 1]]}


@pytest.mark.parametrize(
    ("accept", "content_type", "parser"),
    [
        ("", "text/plain; version=0.0.4", parse),
        (
            "application/openmetrics-text; version=1.0.0,text/plain",
            "application/openmetrics-text; version=1.0.0",
            parse_openmetrics,
        ),
    ],
)
async def test_a_snapshot_is_written_as_prometheus_reads_it(app, accept, content_type, parser):
    """In its own format or as OpenMetrics: every family with its type and help, buckets cumulative."""
    await ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 3)))
    text, told = render(await app.metrics(), accept)
    assert told.startswith(content_type)
    families = {family.name: family for family in parser(text.decode())}
    for name, family in FAMILIES.items():
        stem = name.removesuffix("_total") if family.kind == "counter" else name
        found = families.get(stem) or families[name.removesuffix("_info")]
        assert found.documentation == family.help
        assert found.type == (family.kind if found.name != name or family.kind != "info" else "gauge")
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["digits_batch_rows"].samples
        if sample.name.endswith("_bucket") and sample.labels["version"] == "2"
    }
    assert [buckets[bound] for bound in ("1.0", "2.0", "4.0", "65536.0", "+Inf")] == [0, 0, 1, 1, 1]


def test_a_time_belongs_to_the_first_bucket_whose_bound_it_does_not_exceed():
    """As `le` says: less or equal."""
    times = Histogram()
    for ns in (0, TIME_BOUNDS_NS[0], TIME_BOUNDS_NS[0] + 1, TIME_BOUNDS_NS[-1] + 1):
        times.add(ns)
    assert (times.counts[0], times.counts[1], times.counts[-1], times.count) == (2, 1, 1, 4)
    assert times.ns == sum((0, TIME_BOUNDS_NS[0], TIME_BOUNDS_NS[0] + 1, TIME_BOUNDS_NS[-1] + 1))
    assert np.all(np.diff(TIME_BOUNDS) > 0)
    assert (TIME_BOUNDS[0], TIME_BOUNDS[-1]) == (1e-5, 10.0)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_names_are_as_prometheus_advises(family):
    """One prefix, base units, `_total` for counters and for nothing else; see prometheus.io/docs/practices/naming."""
    assert family.name.startswith(("digits_", "process_"))
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.name.endswith("_info") == (family.kind == "info")
    assert not any(unit in family.name for unit in ("_ms", "_us", "_ns", "_mb", "_millis"))
    assert family.help.endswith(".")
    assert bool(family.bounds) == (family.kind == "histogram")


def test_sums_are_of_what_either_has_at_any_depth():
    """Numbers, mappings of them, and lists place by place."""
    one, other = {"a": 1, "b": {"x": 2, "l": [1, 2]}}, {"b": {"l": [10, 20], "y": 3}, "c": 4}
    assert deep_sum(one, other) == {"a": 1, "b": {"x": 2, "y": 3, "l": [11, 22]}, "c": 4}
    assert deep_sum({"t": 5}, {"t": 3}, max) == {"t": 5}
