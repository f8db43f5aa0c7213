"""The report of a model: the folder `report/` with a page and its pictures."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from training.data.dataset import Part
from training.data.sources.more_digits import REAL_LETTERS
from training.evaluate.calibration import Calibration
from training.evaluate.conformal import evaluate_sets
from training.evaluate.detector import Curve
from training.evaluate.ensemble_evaluation import REPORTED_COVERAGES, EnsembleEvaluation
from training.recipe import Recipe
from training.report.pictures import (
    STYLE,
    draw_confusion,
    draw_curves,
    draw_loss,
    draw_mistakes,
    draw_reliability,
    draw_weights,
)

_DPI = 110
_COVERAGES = (0.9, 0.95, 0.99, 0.995)

_CAPTIONS = {
    "confusion.png": ("Confusion matrix", "On the test set. Mistakes are coloured by their number."),
    "loss.png": ("Loss", "The training images are distorted again in each epoch, so they are harder than they look."),
    "mistakes.png": (
        "The worst mistakes",
        "Blue: the score of what it was. Red: the score of what the network said.",
    ),
    "outliers.png": (
        "Is it a digit at all?",
        "ROC curves of `not_a_digit`: further left, fewer digits count as outliers; further up, more outliers are "
        "found. The detector was fitted on other images of noise, letters and scribbles. It was not fitted on printed "
        "letters, some of which have the shape of a digit.",
    ),
    "reliability.png": (
        "Reliability",
        "The test images by their best score. On the line, scores are probabilities: of the images with a score of "
        "90%, 90% are right. Bars: one standard error up and down. Small numbers: images.",
    ),
    "weights.png": ("First layer", "Red: ink here excites the neuron. Blue: ink here inhibits it."),
}


def write_report(
    folder: Path,
    card: Card,
    *,
    test: Part,
    scores: NDArray[Any],
    first_weights: NDArray[Any],
    losses: Mapping[str, Sequence[float]],
    recipe: Recipe | None = None,
    held_out: EnsembleEvaluation | None = None,
    untempered: Calibration | None = None,
    curves: Mapping[str, Curve] = MappingProxyType({}),
) -> None:
    """Write report.md and its pictures to `folder`; the same model gives the same bytes.

    `scores` [N, classes] are the model's for the `test` rows; `first_weights` [rows*cols, neurons] belong to the
    first layer, of an ensemble to that of the first network. `losses` are curves by name, with one value for each
    epoch. An ensemble has `held_out` results, and `untempered` is the calibration of its scores for the `test` rows
    at temperature 1. `curves` are those of `detector_curves`. Empty `losses` and `curves` get no picture.
    """
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        pictures = {
            "confusion.png": draw_confusion(card),
            **({"loss.png": draw_loss(losses)} if losses else {}),
            "mistakes.png": draw_mistakes(card, test, scores),
            **({"outliers.png": draw_curves(curves)} if curves else {}),
            **({"reliability.png": draw_reliability(card, untempered)} if untempered is not None else {}),
            "weights.png": draw_weights(card, first_weights),
        }
        for name, figure in pictures.items():
            # Neither a date nor the library's version goes into the file.
            figure.savefig(folder / name, dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    (folder / "report.md").write_text(
        _page(card, test, scores, recipe, pictures, held_out, untempered), encoding="utf-8"
    )


def _page(
    card: Card,
    test: Part,
    scores: NDArray[Any],
    recipe: Recipe | None,
    pictures: Iterable[str],
    held_out: EnsembleEvaluation | None,
    untempered: Calibration | None,
) -> str:
    widths = "-".join(map(str, card.layer_widths))
    each = f"{card.members} networks, each " if card.members > 1 else ""
    lines = [
        f"# {card.name}, version {card.version}",
        "",
        f"{each}{widths}, {card.activation}, {card.parameters:,} weights and biases. "
        f"**{card.accuracy:.2%}** of the {card.test_rows:,} test images of `{card.dataset}` right, "
        f"{round(card.test_rows * (1 - card.accuracy)):,} wrong.",
        "",
    ]
    if recipe is not None and recipe.trials:
        lines += [
            f"What was tried, judged by {recipe.chosen_on}, none of which the fit in question had learned "
            "from. The recipe was then fitted to the whole training set. The exported model was then evaluated on "
            "the test set, once, for the figures on this page. No choice was made on it.",
            "",
            "| tried | epochs | right |",
            "|---|---|---|",
        ]
        lines += [f"| {trial.what} | {trial.epochs} | {trial.accuracy:.2%} |" for trial in recipe.trials]
        lines += [""]
    if held_out is not None and untempered is not None:
        lines += _ensemble(card, held_out, untempered)
    if recipe is not None and recipe.evaluations:
        lines += ["The test set was evaluated for the figures on this page, and also:", ""]
        lines += [f"- {evaluation}" for evaluation in recipe.evaluations] + [""]
    if card.detects_outliers:
        lines += _outliers(card)
    if card.thresholds:
        lines += _candidates(card, test, scores)
    elif "validation_accuracy" in card.recipe:
        epochs = card.recipe["epochs"]
        validation_epochs = card.recipe.get("rehearsal_epochs", epochs)
        lines += [
            f"Validation run of the recipe: {validation_epochs} epochs without the validation images, "
            f"{card.recipe['validation_accuracy']:.2%} of which it has right."
            + (f" The final fit took {epochs} epochs." if epochs != validation_epochs else ""),
            "",
        ]
    if "lines_read" in card.recipe:
        lines += _lines_read(card)
    if card.attributions:
        lines += ["It learned from images of these sources as well:", ""]
        lines += [f"- {attribution}" for attribution in card.attributions] + [""]
    for name in pictures:
        title, caption = _CAPTIONS[name]
        lines += [f"## {title}", "", caption, "", f"![{title}]({name})", ""]
    return "\n".join(lines)


def _ensemble(card: Card, held_out: EnsembleEvaluation, untempered: Calibration) -> list[str]:
    """Accuracy and calibration of the ensemble on its held-out images."""
    before, after = held_out.before, held_out.after
    by_source = card.recipe.get("validation_by_source", {})
    left_out = card.recipe.get("left_out_accuracy", {})
    lines = [
        f"{_learned(card, held_out.images, by_source)} Those are held out, and the table is about them. No choice was "
        "made on the test set.",
        "",
        "| networks | right, their scores averaged | right, each by itself (mean) |",
        "|---|---|---|",
    ]
    for size, together in enumerate(held_out.together, start=1):
        lines += [f"| {size} | {together:.2%} | {np.mean(held_out.alone[:size]):.2%} |"]
    if by_source:
        lines += _by_source(by_source)
    if left_out:
        lines += ["", "| sources left out of the training | right |", "|---|---|"]
        lines += [f"| {source} | {accuracy:.2%} |" for source, accuracy in left_out.items()]
    return [
        *lines,
        "",
        f"Every network's values before the softmax are divided by one temperature, {held_out.temperature:g}: that "
        "with the least Brier score of the averaged scores on the held-out images. Log loss there: "
        f"{before.log_loss:.4f} without it, {after.log_loss:.4f} with it. Expected calibration error (how far scores "
        f"are from the shares that are right, in {len(after.bins)} bins) there: {before.error:.2%} without, "
        f"{after.error:.2%} with it; on the test set: {untempered.error:.2%} without, {card.calibration_error:.2%} "
        "with it.",
        "",
    ]


def _by_source(figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What stands on the card about the held-out images of each source."""
    coverages = ", ".join(f"{coverage:.0%}" for coverage in REPORTED_COVERAGES)
    lines = [
        "",
        f"| held-out images of | images | right | calibration error | true class among the candidates: {coverages} |",
        "|---|---|---|---|---|",
    ]
    for source, found in figures.items():
        covered = ", ".join(f"{found[f'covered_at_{coverage}']:.1%}" for coverage in REPORTED_COVERAGES)
        error = f"{found['calibration_error']:.2%}"
        lines += [f"| {source} | {found['images']:,} | {found['accuracy']:.2%} | {error} | {covered} |"]
    return [*lines, "", "For the last column the thresholds of one half of the images come from the other half."]


def _learned(card: Card, held_out: int, sources: Collection[str]) -> str:
    """Two sentences at most about what the networks learned from."""
    learned = f"learned for {card.recipe['epochs']} epochs from"
    if sources:
        images = f"the images of {', '.join(sources)} but {held_out:,}, the same share of each."
    else:
        images = f"the training images but the last {held_out:,}."
    if card.members == 1:
        return f"The network {learned} {images}"
    seeds = ", ".join(map(str, card.recipe["member_seeds"]))
    return f"The networks differ in their seeds alone: {seeds}. All {learned} {images}"


def _outliers(card: Card) -> list[str]:
    """How well the detector separates digits from other images."""
    width = card.recipe.get("detector_width", 0)
    source = "all hidden layers" if card.recipe.get("detector_reads_hidden") else "the pixels"
    reads = f"{width} neurons of its own that read {source}" if width else "the last hidden layers of all networks"
    lines = [
        f"`not_a_digit` is one more neuron, which reads {reads}. How well it tells the "
        "test images from images without a digit (area under the curve):",
        "",
        "| images without a digit | area |",
        "|---|---|",
    ]
    lines += [*(f"| {kind} | {area:.4f} |" for kind, area in card.outlier_auc.items()), ""]
    if REAL_LETTERS in card.outlier_auc:
        lines += [
            "It was also fitted on other real letters and operators of the same people, but on no slashes and dots.",
            "",
        ]
    return lines


def _lines_read(card: Card) -> list[str]:
    """How many lines of test images it reads."""
    lines = [
        f"It also learned the digits cut out of {card.recipe['lines']:,} drawn lines of its training images. Lines of "
        "two to eight test images, drawn in the same way, on plain, ruled and squared paper, that it reads without a "
        "mistake:",
        "",
        "| digits | lines | right |",
        "|---|---|---|",
    ]
    for kind, found in card.recipe["lines_read"].items():
        lines += [f"| {kind} | {found['lines']:,} | {found['right'] / found['lines']:.1%} |"]
    return [*lines, ""]


def _candidates(card: Card, test: Part, scores: NDArray[Any]) -> list[str]:
    """The candidates on the test set for each coverage."""
    lines = [
        "The candidates of an image are the classes that cannot be ruled out, by thresholds from the held-out images"
        + (
            ", the larger of those from the data set and of those from all other sources. "
            if card.attributions
            else ". "
        )
        + "Of the test images:",
        "",
        "| coverage asked for | true class among the candidates | candidates (mean) | none | several |",
        "|---|---|---|---|---|",
    ]
    for coverage in _COVERAGES:
        found = evaluate_sets(scores, test.labels, card.thresholds, coverage)
        lines += [
            f"| {coverage:.1%} | {found.covered:.2%} | {found.size:.3f} | {found.empty:.2%} | {found.several:.2%} |"
        ]
    return [
        *lines,
        "",
        "No candidate: the image is less typical than the share of all digits that was asked for. A network that is "
        "right more often than that has to have such images. The share that was asked for is kept for images like "
        "those held out; how nearly it is kept here says how much the test images are like them.",
        "",
    ]
