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

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from benchmarks import load
from benchmarks.echo import PATH as ECHO
from benchmarks.servers import Running, digits_server, echo_server
from service.runtime.providers import CPU, open_session
from stubs.digits.v1 import digits_pb2 as pb

ROUNDS = 5
BATCHES = (1, 32, 256, 1024)
CLASSIFY = "/digits.v1.DigitsService/Classify"
MODEL = Path("models/mnist-16x16/2/model.onnx")
OUT = Path(__file__).parent / "results.json"

console = Console()


def images(count: int) -> np.ndarray:
    """Real digits of the size of MNIST's, uint8 [count, 784]: scikit-learn's, enlarged."""
    digits = load_digits().images[: count % 1797 or count]
    digits = np.resize(digits, (count, 8, 8)).repeat(3, axis=1).repeat(3, axis=2) * 15.9
    return np.pad(digits, ((0, 0), (2, 2), (2, 2))).astype(np.uint8).reshape(count, 784)


def classify(server: Running, request: bytes) -> bytes:
    """One call, whose answer is looked at: load that only counts answers must not measure errors."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.max_receive_message_length", -1)]) as channel:
        answer: bytes = channel.unary_unary(CLASSIFY)(request, timeout=10)
    rows = len(pb.ClassifyRequest.FromString(request).pixels) // 784
    response = pb.ClassifyResponse.FromString(answer)
    if len(response.predictions) != rows or abs(sum(response.predictions[0].scores) - 1) > 1e-5:
        raise RuntimeError("the server answered wrongly")
    return answer


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


def measure() -> dict[str, Any]:
    """All figures."""
    single = pb.ClassifyRequest(pixels=images(1).tobytes()).SerializeToString()
    rounds: list[dict[str, load.Load]] = []
    with digits_server() as server:
        answer = classify(server, single)
        with echo_server(len(answer)) as echo:
            targets = {"echo": (echo, ECHO), "classify": (server, CLASSIFY)}
            for number in range(ROUNDS + 1):  # the first warms up and is thrown away
                figures = {}
                for name, (target, path) in targets.items():
                    busy = load.measure(target.port, path, single, calls=15_000, connections=4, streams=32)
                    alone = load.measure(target.port, path, single, calls=2_000)
                    figures |= {f"{name}_busy": busy, f"{name}_alone": alone}
                if number:
                    rounds.append(figures)
                    console.print(f"round {number} of {ROUNDS}", style="dim")
        batches = {}
        for batch in BATCHES:
            request = pb.ClassifyRequest(pixels=images(batch).tobytes()).SerializeToString()
            classify(server, request)
            rates, floors = [], []
            for _ in range(ROUNDS):
                floors.append(onnxruntime_alone(batch))
                calls = max(200, 4000 // batch)
                rates.append(
                    load.measure(server.port, CLASSIFY, request, calls=calls, streams=8).calls_per_second * batch
                )
            batches[batch] = {
                "service_images_per_second": median(rates),
                "onnxruntime_images_per_second": median(floors),
                "ratio": median([rate / floor for rate, floor in zip(rates, floors, strict=True)]),
            }
            console.print(f"calls of {batch} images", style="dim")
        memory = server.resident_mb()
    return {
        "date": date.today().isoformat(),
        "client": load.NAME,
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cores": 2},
        "versions": {name: version(name) for name in ("grpcio", "onnxruntime", "protobuf", "numpy", "uvloop")},
        "single": {
            "request_bytes": len(single),
            "response_bytes": len(answer),
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
    table = Table(title="batches, images/s")
    for column in ("images a call", "Classify", "onnxruntime alone", "ratio"):
        table.add_column(column, justify="right")
    for batch, row in results["batches"].items():
        table.add_row(
            str(batch),
            f"{row['service_images_per_second']:,.0f}",
            f"{row['onnxruntime_images_per_second']:,.0f}",
            f"{row['ratio']:.1%}",
        )
    console.print(table)
    console.print(f"start to ready {results['ready_seconds']:.2f} s, resident {results['resident_mb']:.0f} MiB")


if __name__ == "__main__":
    results = measure()
    OUT.write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    console.print(f"written to {OUT.relative_to(Path.cwd())}")
