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
from benchmarks.load.load import Shape
from benchmarks.load.requests import INFER, Request, WrongAnswerError, outputs
from benchmarks.load.rounds import Target, one_round
from benchmarks.load.series import Series
from benchmarks.report.tables import Table, count, document, setting, times
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import Neighbours, sentence
from benchmarks.servers.process import Server, end_on_sigterm, running
from engine.models.providers import CPU, open_session
from training.data.dataset import Part
from training.data.mnist import read_part
from training.variants.variants import NumberFormat, make_variant, read_version

OUT = Path(__file__).parent / "results"
MODELS = ("mnist-large", "mnist-committee")
VARIANTS: tuple[Variant, ...] = ("", "int8", "fp16")
BATCHES = (1, 32, 256)
SHAPES = (Shape(2, 4), Shape(4, 8))
MNIST = digits_server.ROOT / "tests" / "data" / "mnist"

console = Console()


@dataclass
class Figures:
    """Of one variant of one model."""

    card: Card
    megabytes: float
    difference: float
    """Greatest of a score from the version's own on the test set."""
    alone: dict[int, list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second by images in a run, a figure for each round."""


def main() -> None:
    """Measure, print, and write `variants.md` and `variants.json`."""
    parser = argparse.ArgumentParser(prog="make bench-variants")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of load, for each figure in each round")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for what is written")
    chosen = parser.parse_args()
    end_on_sigterm()
    neighbours = Neighbours()
    tables, everything = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            found, served = measure(name, Path(folder), chosen.rounds, chosen.seconds)
            tables += shown(name, found, served)
            everything[name] = as_json(found, served)
    for table in tables:
        table.show(console)
    busy = sentence(neighbours.share())
    console.print(busy)
    (chosen.out / "variants.json").write_text(
        json.dumps({"setting": f"{setting()} {busy}", "models": everything}, indent=1) + "\n"
    )
    (chosen.out / "variants.md").write_text(document("Variants", "make bench-variants", tables, busy))
    console.print(f"written to {chosen.out}")


def measure(
    name: str, folder: Path, rounds: int, seconds: float
) -> tuple[dict[Variant, Figures], dict[str, dict[int, Series]]]:
    """The variants of one model in turn, round by round; those that are not beside it are made first."""
    test = read_part(MNIST, "t10k")
    version = VersionFolder(folder, name, 1)
    shutil.copytree(digits_server.ROOT / "models" / name, folder / name)
    for kind in VARIANTS:
        if kind and not replace(version, variant=kind).onnx.exists():
            make_variant(version, as_kind(kind), test.pixels, test)
    found = {kind: figures(replace(version, variant=kind), version, test) for kind in VARIANTS}
    sessions = {
        kind: open_session(replace(version, variant=kind).read_onnx(), (CPU, {}), threads=1) for kind in VARIANTS
    }
    for _ in range(rounds):
        for batch in BATCHES:
            for kind, session in sessions.items():
                rate = alone(lambda pixels, session=session: session.run([LABEL, SCORES], {INPUT: pixels}), test, batch)
                found[kind].alone.setdefault(batch, []).append(rate)
    console.print(f"{name}: onnxruntime alone", style="dim")
    return found, {front: serve(front, version, found, rounds, seconds) for front in digits_server.fronts()}


def as_kind(kind: Variant) -> NumberFormat:
    """One that is made."""
    assert kind
    return kind


def figures(folder: VersionFolder, version: VersionFolder, test: Part) -> Figures:
    """What its card says, how large it is, and how far its scores are from the version's own."""
    _, card = read_version(folder)
    scores = []
    for each in (version, folder):
        session = open_session(each.read_onnx(), (CPU, {}), threads=1)
        parts = np.array_split(test.pixels, 20)
        scores.append(np.concatenate([session.run([SCORES], {INPUT: part})[0] for part in parts]))
    return Figures(card, folder.onnx.stat().st_size / 1e6, float(np.abs(scores[0] - scores[1]).max()))


def alone(run: Callable[[np.ndarray], Any], test: Part, batch: int, seconds: float = 0.3) -> float:
    """Images a second by one thread of onnxruntime, in this process."""
    pixels = test.pixels[:batch]
    run(pixels)
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        run(pixels)
        runs += 1
    return runs * batch / (time.perf_counter() - began)


def serve(
    front: str, version: VersionFolder, found: dict[Variant, Figures], rounds: int, seconds: float
) -> dict[int, Series]:
    """Calls of ModelInfer to a server for each variant, all of them up; by images a call."""
    measured = {batch: Series() for batch in BATCHES}
    with ExitStack() as stack:
        up = {}
        for kind in VARIANTS:
            plain = digits_server.digits(front)
            told = [f"--models={version.models}", f"--default-model={version.name}"]
            command = (*plain.command, *told, *([f"--variant={version.name}={kind}"] if kind else []))
            probe = infer(version, found[kind].card, 1)
            server = Server(f"{version.name} {label(kind)} {front}", command)
            up[kind] = stack.enter_context(running(server, probe, digits_server.LOGS, "pinned"))
        for batch, series in measured.items():
            targets = [
                Target.checked(server, infer(version, found[kind].card, batch), label(kind))
                for kind, server in up.items()
            ]
            for _ in range(rounds):
                one_round(series, targets, SHAPES, seconds)
    console.print(f"{version.name}: {front} front", style="dim")
    return measured


def infer(version: VersionFolder, card: Card, rows: int) -> Request:
    """Raw uint8 pixels; right is what the receipt says within the card's tolerance."""
    golden = version.read_golden()
    pixels = np.resize(golden.pixels, (rows, card.features))
    request = oip.ModelInferRequest(model_name=version.name, raw_input_contents=[pixels.tobytes()])
    request.inputs.add(name=INPUT, datatype="UINT8", shape=pixels.shape)
    wanted = np.resize(golden.scores, (rows, len(card.classes)))

    def check(body: bytes) -> None:
        scores = outputs(oip.ModelInferResponse.FromString(body))[SCORES]
        if scores.shape != wanted.shape or not np.abs(scores - wanted).max() <= card.tolerance[CPU]:
            raise WrongAnswerError(f"scores of shape {list(scores.shape)} are not those of {version.name}")

    return Request(INFER, request.SerializeToString(), rows, check)


def label(kind: Variant) -> str:
    """Its name for people."""
    return kind or "float32"


def shown(name: str, found: dict[Variant, Figures], served: dict[str, dict[int, Series]]) -> list[Table]:
    """What each variant is worth, and what it costs."""
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


def as_json(found: dict[Variant, Figures], served: dict[str, dict[int, Series]]) -> dict[str, Any]:
    """Every round of everything."""
    return {
        "onnxruntime_images_per_second": {label(kind): each.alone for kind, each in found.items()},
        "served": {
            front: {batch: each.as_json() for batch, each in batches.items()} for front, batches in served.items()
        },
    }


if __name__ == "__main__":
    main()
