"""`make bench-variants`: a version and its variants, by onnxruntime alone and through the service, in one run."""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from digits_protocol.inference import open_inference_pb2 as oip
from rich.console import Console

from artifact.card import Card, Variant
from artifact.names import INPUT, LABEL, SCORES
from artifact.store import VersionFolder
from benchmarks.load.client_process import Concurrency
from benchmarks.load.requests import INFER, LoadRequest, WrongAnswerError, outputs
from benchmarks.load.rounds import Target, one_round
from benchmarks.load.series import Series
from benchmarks.report.tables import Table, count, document, setting, times
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import MachineLoad, note
from benchmarks.servers.process import ServerCommand, end_on_sigterm, run_server
from engine.models.providers import CPU, open_session
from training.data.dataset import Part
from training.data.mnist import read_part
from training.variants.variants import NumberFormat, make_variant, read_version

OUT = Path(__file__).parent / "results"
MODELS = ("mnist-large", "mnist-committee")
VARIANTS: tuple[Variant, ...] = ("", "int8", "fp16")
BATCHES = (1, 32, 256)
SHAPES = (Concurrency(2, 4), Concurrency(4, 8))
MNIST = digits_server.ROOT / "tests" / "data" / "mnist"

console = Console()


@dataclass
class VariantResults:
    """Results of one variant of one model."""

    card: Card
    megabytes: float
    difference: float
    """Largest difference of a score from the version's on the test set."""
    alone: dict[int, list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second by images in a run, one value for each round."""


def main() -> None:
    """Measure, print, and write `variants.md` and `variants.json`."""
    parser = argparse.ArgumentParser(prog="make bench-variants")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of load, for each figure in each round")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for what is written")
    chosen = parser.parse_args()
    end_on_sigterm()
    machine_load = MachineLoad()
    tables, everything = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            found, served = measure_model(name, Path(folder), chosen.rounds, chosen.seconds)
            tables += result_tables(name, found, served)
            everything[name] = as_json(found, served)
    for table in tables:
        table.show(console)
    busy = note(machine_load.share())
    console.print(busy)
    (chosen.out / "variants.json").write_text(
        json.dumps({"setting": f"{setting()} {busy}", "models": everything}, indent=1) + "\n"
    )
    (chosen.out / "variants.md").write_text(document("Variants", "make bench-variants", tables, busy))
    console.print(f"written to {chosen.out}")


def measure_model(
    name: str, folder: Path, rounds: int, seconds: float
) -> tuple[dict[Variant, VariantResults], dict[str, dict[int, Series]]]:
    """The variants of one model round by round; missing variants are made first."""
    test = read_part(MNIST, "t10k")
    version = VersionFolder(folder, name, 1)
    shutil.copytree(digits_server.ROOT / "models" / name, folder / name)
    for kind in VARIANTS:
        if kind and not replace(version, variant=kind).onnx.exists():
            make_variant(version, number_format(kind), test.pixels, test)
    found = {kind: evaluate_variant(replace(version, variant=kind), version, test) for kind in VARIANTS}
    sessions = {
        kind: open_session(replace(version, variant=kind).read_onnx(), (CPU, {}), threads=1) for kind in VARIANTS
    }
    for _ in range(rounds):
        for batch in BATCHES:
            for kind, session in sessions.items():
                rate = measure_alone(
                    lambda pixels, session=session: session.run([LABEL, SCORES], {INPUT: pixels}), test, batch
                )
                found[kind].alone.setdefault(batch, []).append(rate)
    console.print(f"{name}: onnxruntime alone", style="dim")
    return found, {front: measure_served(front, version, found, rounds, seconds) for front in digits_server.fronts()}


def number_format(kind: Variant) -> NumberFormat:
    """The number format of a variant that is not the version itself."""
    assert kind
    return kind


def evaluate_variant(folder: VersionFolder, version: VersionFolder, test: Part) -> VariantResults:
    """Its card, its size, and the largest difference of its scores from the version's."""
    _, card = read_version(folder)
    scores = []
    for each in (version, folder):
        session = open_session(each.read_onnx(), (CPU, {}), threads=1)
        parts = np.array_split(test.pixels, 20)
        scores.append(np.concatenate([session.run([SCORES], {INPUT: part})[0] for part in parts]))
    return VariantResults(card, folder.onnx.stat().st_size / 1e6, float(np.abs(scores[0] - scores[1]).max()))


def measure_alone(run: Callable[[np.ndarray], Any], test: Part, batch: int, seconds: float = 0.3) -> float:
    """Images a second by one thread of onnxruntime, in this process."""
    pixels = test.pixels[:batch]
    run(pixels)
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        run(pixels)
        runs += 1
    return runs * batch / (time.perf_counter() - began)


def measure_served(
    front: str, version: VersionFolder, found: dict[Variant, VariantResults], rounds: int, seconds: float
) -> dict[int, Series]:
    """ModelInfer calls to one server for each variant, all running at once; results by images per call."""
    measured = {batch: Series() for batch in BATCHES}
    with ExitStack() as stack:
        up = {}
        for kind in VARIANTS:
            plain = digits_server.digits(front)
            told = [f"--models={version.models}", f"--default-model={version.name}"]
            command = (*plain.command, *told, *([f"--variant={version.name}={kind}"] if kind else []))
            probe = infer_request(version, found[kind].card, 1)
            server = ServerCommand(f"{version.name} {label(kind)} {front}", command)
            up[kind] = stack.enter_context(run_server(server, probe, digits_server.LOGS, "pinned"))
        for batch, series in measured.items():
            targets = [
                Target.check(server, infer_request(version, found[kind].card, batch), label(kind))
                for kind, server in up.items()
            ]
            for _ in range(rounds):
                one_round(series, targets, SHAPES, seconds)
    console.print(f"{version.name}: {front} front", style="dim")
    return measured


def infer_request(version: VersionFolder, card: Card, rows: int) -> LoadRequest:
    """A request with raw uint8 pixels, checked against the golden rows within the card's tolerance."""
    golden = version.read_golden()
    pixels = np.resize(golden.pixels, (rows, card.features))
    request = oip.ModelInferRequest(model_name=version.name, raw_input_contents=[pixels.tobytes()])
    request.inputs.add(name=INPUT, datatype="UINT8", shape=pixels.shape)
    wanted = np.resize(golden.scores, (rows, len(card.classes)))

    def check(body: bytes) -> None:
        scores = outputs(oip.ModelInferResponse.FromString(body))[SCORES]
        if scores.shape != wanted.shape or not np.abs(scores - wanted).max() <= card.tolerance[CPU]:
            raise WrongAnswerError(f"scores of shape {list(scores.shape)} are not those of {version.name}")

    return LoadRequest(INFER, request.SerializeToString(), rows, check)


def label(kind: Variant) -> str:
    """The displayed name."""
    return kind or "float32"


def result_tables(name: str, found: dict[Variant, VariantResults], served: dict[str, dict[int, Series]]) -> list[Table]:
    """Tables of accuracy, size and speed."""
    worth = Table(
        name,
        ["", "right on the test set", "greatest difference of a score", "allowed", "file"],
        [
            [
                label(kind),
                f"{each.card.accuracy:.2%}",
                f"{each.difference:.1e}" if kind else "–",
                f"{each.card.tolerance[CPU]:g}" if kind else "–",
                f"{each.megabytes:.1f} MB",
            ]
            for kind, each in found.items()
        ],
    )
    columns = ["images/s", *(f"{batch} in a run or call" for batch in BATCHES)]
    speed = Table(f"{name}: speed, and how many times float32's in the same round", columns)
    for kind, each in found.items():
        cells = []
        for batch in BATCHES:
            ratio = statistics.median(a / b for a, b in zip(each.alone[batch], found[""].alone[batch], strict=True))
            cells.append(f"{count(statistics.median(each.alone[batch]))} ({times(ratio)})")
        speed.rows.append([f"onnxruntime alone, {label(kind)}", *cells])
    for front, by_batch in served.items():
        for kind in VARIANTS:
            speed.rows.append([f"{front} front, {label(kind)}", *(served_cell(by_batch[b], kind, b) for b in BATCHES)])
    speed.notes.append(
        "onnxruntime alone: one thread, in one process. Fronts: ModelInfer, one core for the server and one for the "
        "client, which are all of them; float16 is for GPUs, processors have to widen it first."
    )
    return [worth, speed]


def served_cell(series: Series, kind: Variant, batch: int) -> str:
    """Images a second at the best of the shapes, and how many times float32's."""
    best = series.best(label(kind), batch)
    if best is None:
        return "–"
    ratio = series.ratio(best, replace(best, server=label("")))
    return f"{count(series.median(best) * batch)} ({times(ratio)})"


def as_json(found: dict[Variant, VariantResults], served: dict[str, dict[int, Series]]) -> dict[str, Any]:
    """Every round of everything."""
    return {
        "onnxruntime_images_per_second": {label(kind): each.alone for kind, each in found.items()},
        "served": {
            front: {batch: each.as_json() for batch, each in batches.items()} for front, batches in served.items()
        },
    }


if __name__ == "__main__":
    main()
