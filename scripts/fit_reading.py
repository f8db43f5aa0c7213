"""Fits the costs by which Read divides lines: python -m scripts.fit_reading MODEL… [--lines N].

MODEL is a version's folder, as models/mnist-256x128/1; all take images of one form. The lines are of digits that no
model of the recipes learned from; the last fifth of them is not learned from here either and says how many are right.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import INPUT, LABEL, NOT_A_DIGIT, SCORES
from artifact.store import VersionFolder
from imaging.reading import costs as costs_of_read
from imaging.reading.choose import best_way
from imaging.reading.costs import COSTS, Costs, features
from imaging.reading.segment import segment
from training.data.dataset import Part
from training.data.datasets import load, with_sources
from training.data.sources.more_digits import ATTRIBUTIONS
from training.reading.field import Example, fit_costs
from training.reading.lines import PastedLine, paste_line
from training.variants.variants import read_version

_HELD_OUT = 5000  # as many last images of MNIST, and a like share of each other source, as the recipes hold out
_SIDE = 28


def main(arguments: Sequence[str] | None = None) -> int:
    """Fits, says the share of lines that are right before and after, and writes `imaging/reading/costs.json`."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fit_reading", description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="folder of a version")
    parser.add_argument("--lines", type=int, default=6000, help="lines to paste, a fifth of them to evaluate")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    models = [_Model(path) for path in options.models]
    sources = _held_out(models[0].card)
    random = np.random.default_rng(options.seed)
    examples: list[list[Example]] = []
    for number in range(options.lines):
        examples.append(list(_examples(paste_line(sources, _SIDE, random), models)))
        if number % 500 == 499:
            sys.stderr.write(f"{number + 1} of {options.lines} lines\n")
    learned = examples[: options.lines * 4 // 5]
    unseen = examples[len(learned) :]
    fitted = fit_costs([each for line in learned for each in line], COSTS)
    for name, costs in (("before", COSTS), ("after", fitted)):
        right = [_is_right(each, costs) for line in unseen for each in line]
        sys.stdout.write(f"{name}: {sum(right)} of {len(unseen) * len(models)} unseen lines right\n")
    fitted.save(Path(costs_of_read.__file__).with_name("costs.json"))
    return 0


class _Model:
    """A version by its folder, run with onnxruntime."""

    def __init__(self, path: Path) -> None:
        model, self.card = read_version(VersionFolder(path.parent.parent, path.parent.name, int(path.name)))
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._outputs = [LABEL, SCORES, *([NOT_A_DIGIT] if self.card.detects_outliers else [])]

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        labels, scores, *chances = self._session.run(self._outputs, {INPUT: pixels})
        return labels, scores, chances[0].reshape(-1) if chances else np.zeros(len(pixels), np.float32)


def _held_out(form: Card) -> dict[str, Part]:
    """The digits by source that no model of the recipes learned from."""
    dataset = with_sources(load("mnist"), tuple(ATTRIBUTIONS), form)
    return dataset.split(_HELD_OUT)[1]


def _examples(line: PastedLine, models: Sequence[_Model]) -> Iterator[Example]:
    """The line as each model sees it; none if it is not one chain, whoever divides it."""
    segmented = segment(line.grey, models[0].card)
    chains = [chain for each in segmented.lines for chain in each.chains]
    if len(chains) == 1 and chains[0].candidates:
        chain = chains[0]
        rows = [candidate.row for candidate in chain.candidates]
        for model in models:
            labels, scores, chances = model(segmented.pixels)
            found = features(chain.candidates, chain.height, scores[rows], chances[rows])
            yield Example(chain, found, labels[rows], line.labels)


def _is_right(example: Example, costs: Costs) -> bool:
    weights = costs.weigh(example.features, example.read).tolist()
    rows = {candidate.row: place for place, candidate in enumerate(example.chain.candidates)}
    way = best_way(example.chain, weights, costs)
    return tuple(int(example.read[rows[each.row]]) for each in way) == example.labels


if __name__ == "__main__":
    sys.exit(main())
