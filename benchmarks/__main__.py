"""`make bench`: the service beside the floor it stands on, in one run.

Machines are noisy, so what counts are the ratios: each round measures the bare echo and the service
one after the other, and the ratio reported is the median of the rounds.
"""

import json
import platform
import statistics
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.echo import PATH as ECHO
from benchmarks.requests import CLASSIFY, PREFIX, Request, answer, classify, images, infer, infer_by_shared_memory
from benchmarks.servers import Running, digits_server, echo_server
from service.runtime.cores import usable_cores
from service.runtime.providers import CPU, open_session

ROUNDS = 5
BATCHES = (1, 32, 256, 1024)
MODEL = Path("models/mnist-16x16/2/model.onnx")
OUT = Path(__file__).parent / "results.json"

console = Console()


def onnxruntime_alone(batch: int, seconds: float = 0.5) -> float:
    """Images a second by one thread of onnxruntime, in this process."""
    session = open_session(MODEL.read_bytes(), (CPU, {}), threads=1)
    pixels = images(batch)
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        session.run(["label", "scores"], {"pixels": pixels})
        runs += 1
    return runs * batch / (time.perf_counter() - began)


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def measure_batch(server: Running, batch: int) -> dict[str, Any]:
    """Images a second in calls of `batch` by each way in, beside two floors: onnxruntime alone, and the bare
    echo with the bytes of `ModelInfer uint8`.
    """
    raw = infer(batch, "UINT8")
    with (
        infer_by_shared_memory(server.port, batch) as shared,
        echo_server(len(answer(server.port, raw))) as echo,
    ):
        requests = {
            "Classify": classify(batch),
            "ModelInfer uint8": raw,
            "ModelInfer float32": infer(batch, "FP32"),
            "ModelInfer shared memory": shared,
            "bare echo of uint8": Request(ECHO, raw.body, batch),
        }
        rates: dict[str, list[float]] = {name: [] for name in requests}
        ratios: dict[str, list[float]] = {name: [] for name in requests}
        floors = []
        for request in requests.values():
            if request.path != ECHO:
                answer(server.port, request)
        for _ in range(ROUNDS):
            floors.append(onnxruntime_alone(batch))
            for name, request in requests.items():
                calls = max(300, 8000 // batch)
                port = echo.port if request.path == ECHO else server.port
                seen = load.measure(port, request.path, request.body, calls=calls, connections=2, streams=4)
                rates[name].append(seen.calls_per_second * batch)
                ratios[name].append(rates[name][-1] / floors[-1])
    console.print(f"calls of {batch} images", style="dim")
    return {
        "images": batch,
        "onnxruntime_images_per_second": median(floors),
        "images_per_second": {name: median(values) for name, values in rates.items()},
        "ratio": {name: median(values) for name, values in ratios.items()},
    }


def measure() -> dict[str, Any]:
    """All figures."""
    single = classify(1)
    rounds: list[dict[str, load.Load]] = []
    with digits_server(f"--shared-memory={PREFIX}") as server:
        response_bytes = len(answer(server.port, single))
        with echo_server(response_bytes) as echo:
            targets = {"echo": (echo, ECHO), "classify": (server, CLASSIFY)}
            for number in range(ROUNDS + 1):  # the first warms up and is thrown away
                figures = {}
                for name, (target, path) in targets.items():
                    busy = load.measure(target.port, path, single.body, calls=15_000, connections=4, streams=32)
                    alone = load.measure(target.port, path, single.body, calls=2_000)
                    figures |= {f"{name}_busy": busy, f"{name}_alone": alone}
                if number:
                    rounds.append(figures)
                    console.print(f"round {number} of {ROUNDS}", style="dim")
        batches = [measure_batch(server, batch) for batch in BATCHES]
        memory = server.resident_mb()
    return {
        "date": date.today().isoformat(),
        "client": load.NAME,
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cores": usable_cores()},
        "versions": {name: version(name) for name in ("grpcio", "onnxruntime", "protobuf", "numpy", "uvloop")},
        "single": {
            "request_bytes": len(single.body),
            "response_bytes": response_bytes,
            **{
                name: {
                    "calls_per_second": median([r[f"{name}_busy"].calls_per_second for r in rounds]),
                    "p50_us": median([r[f"{name}_alone"].p50_us for r in rounds]),
                    "p99_us": median([r[f"{name}_alone"].p99_us for r in rounds]),
                }
                for name in ("echo", "classify")
            },
            "throughput_ratio": median(
                [r["classify_busy"].calls_per_second / r["echo_busy"].calls_per_second for r in rounds]
            ),
            "latency_ratio": median([r["classify_alone"].p50_us / r["echo_alone"].p50_us for r in rounds]),
        },
        "batches": batches,
        "ready_seconds": server.ready_seconds,
        "resident_mb": memory,
    }


def show(results: dict[str, Any]) -> None:
    """The figures as tables."""
    single = results["single"]
    table = Table(title=f"one image a call, load by {results['client']}")
    for column in ("", "calls/s, 4×32 in flight", "p50, one at a time", "p99, one at a time"):
        table.add_column(column, justify="right" if column else "left")
    for label, name in (("bare grpc.aio echo", "echo"), ("Classify", "classify")):
        row = single[name]
        table.add_row(label, f"{row['calls_per_second']:,.0f}", f"{row['p50_us']:.0f} µs", f"{row['p99_us']:.0f} µs")
    table.add_row("ratio", f"{single['throughput_ratio']:.0%}", f"{single['latency_ratio']:.2f}×", "")
    console.print(table)
    first = results["batches"][0]
    table = Table(title="images/s by images a call, and as a part of onnxruntime alone on one core")
    for column in ("images a call", "onnxruntime alone", *first["ratio"]):
        table.add_column(column, justify="right")
    for row in results["batches"]:
        cells = [f"{row['images_per_second'][name]:,.0f} {row['ratio'][name]:.0%}" for name in row["ratio"]]
        table.add_row(str(row["images"]), f"{row['onnxruntime_images_per_second']:,.0f}", *cells)
    console.print(table)
    console.print(f"start to ready {results['ready_seconds']:.2f} s, resident {results['resident_mb']:.0f} MiB")


if __name__ == "__main__":
    results = measure()
    OUT.write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    console.print(f"written to {OUT.relative_to(Path.cwd())}")
