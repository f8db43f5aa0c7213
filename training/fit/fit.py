"""Fits an `MLPClassifier` to a recipe's images, epoch by epoch. A fit can be interrupted and resumed."""

import hashlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.snapshots import Snapshots, snapshot_epochs
from training.data.dataset import Dataset, Part
from training.data.inputs import scale_pixels
from training.fit.checkpoint import Checkpoint
from training.fit.epochs import epoch_images
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit gives."""

    classifier: Any
    """The `MLPClassifier`. Its inputs are float32, `(pixel - pixel_offset) * pixel_scale`."""
    losses: list[float]
    """Cross-entropy of each epoch on the fitted images, augmentation and weight penalty included."""
    validation_losses: list[float]
    """Cross-entropy after each epoch on the validation rows; empty without validation rows."""
    snapshots: Snapshots | None = None
    """None without validation rows, and for a recipe without them."""


OnEpoch = Callable[[int, float], None]
"""Called after each epoch with the number of finished epochs and the training loss."""


def fit(
    recipe: Recipe,
    dataset: Dataset,
    part: Part,
    *,
    seed: int,
    checkpoint: Path,
    validation: Part | None = None,
    on_epoch: OnEpoch = lambda epoch, loss: None,
) -> FitResult:
    """Fit `recipe` to `part` of `dataset`.

    The state is written to the file `checkpoint` after each epoch. Ctrl-C raises KeyboardInterrupt at the end of
    the current epoch. If the file holds an earlier state of the same fit, the fit continues from it. The result
    has the same bits as that of an uninterrupted fit, because every random number depends only on the seed and
    the epoch. Raises `CheckpointError`, `ChildError` and `OSError`.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    fingerprint = {"recipe": recipe.to_dict(), "seed": seed, "rows": len(part), "data": _sha256(part)}
    state = Checkpoint.read(checkpoint, fingerprint)
    run = _Run(recipe, dataset, part, validation, seed, state)
    # One thread: narrow layers gain nothing from more, wide ones share the cores with the process that distorts
    # the next epoch, and the sums have the same order on every machine.
    with threadpool_limits(1), _deferred_interrupt() as interrupted, run.epochs_left() as epochs:
        for ink in epochs:
            run.one_epoch(ink)
            on_epoch(run.epoch, run.losses[-1])
            run.state().write(checkpoint, fingerprint)
            if interrupted.is_set():
                raise KeyboardInterrupt
    return FitResult(run.finished(), run.losses, run.validation_losses, run.taken())


class _Run:
    """The classifier between two epochs."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        part: Part,
        validation: Part | None,
        seed: int,
        state: Checkpoint | None,
    ) -> None:
        from sklearn.neural_network import MLPClassifier

        self._recipe, self._dataset, self._seed = recipe, dataset, seed
        self._ink = part.pixels.astype(np.float32)
        self._labels = part.labels
        self._validation = validation
        self._validation_inputs = self._inputs(validation.pixels) if validation else None
        self._classes = np.arange(len(dataset.classes))
        self.epoch = 0
        self.losses: list[float] = []
        self.validation_losses: list[float] = []
        self.validation_accuracies: list[float] = []
        self._snapshots: list[NDArray[np.float16]] = []
        self._averages: list[NDArray[np.float32]] = []
        wanted = recipe.snapshots and validation is not None
        self._snapshot_epochs = snapshot_epochs(recipe.epochs, recipe.snapshots) if wanted else []
        self._classifier = MLPClassifier(
            hidden_layer_sizes=recipe.hidden,
            activation=recipe.activation,
            alpha=recipe.alpha,
            batch_size=min(recipe.batch, len(part)),
            learning_rate_init=recipe.learning_rate,
            random_state=seed,
        )
        if state is not None:
            self._restore(state)

    def epochs_left(self) -> AbstractContextManager[Iterator[NDArray[np.float32]]]:
        """The images of each remaining epoch."""
        return epoch_images(
            self._ink,
            self._recipe.augmentation,
            rows=self._dataset.rows,
            cols=self._dataset.cols,
            seed=self._seed,
            epochs=range(self.epoch, self._recipe.epochs),
            strokes=self._recipe.strokes,
            pixel_max=self._dataset.pixel_max,
        )

    def one_epoch(self, ink: NDArray[np.float32]) -> None:
        recipe, classifier = self._recipe, self._classifier
        rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * self.epoch / recipe.epochs))
        if self.epoch:  # the first epoch creates the optimizer
            classifier._optimizer.learning_rate_init = rate
        classifier.random_state = self._epoch_seed(self.epoch)
        classifier.partial_fit(self._inputs(ink), self._labels, classes=self._classes)
        if not classifier.n_iter_:  # scikit-learn swallowed a second Ctrl-C, so the epoch is incomplete
            raise KeyboardInterrupt
        self.epoch += 1
        self.losses.append(float(classifier.loss_))
        if self._validation is not None:
            loss, accuracy = self._validate(classifier, self._validation)
            self.validation_losses.append(loss)
            self.validation_accuracies.append(accuracy)
        if self.epoch in self._snapshot_epochs:
            self._snapshots = _appended(self._snapshots, classifier)
        averaged = self.epoch - round(recipe.epochs * (1 - recipe.averaged))
        if averaged > 0:
            present = [*classifier.coefs_, *classifier.intercepts_]
            before = self._averages or [np.zeros_like(array) for array in present]
            self._averages = [mean + (array - mean) / averaged for mean, array in zip(before, present, strict=True)]

    def _epoch_seed(self, epoch: int) -> int:
        """The seed of the order of the images. With one fixed seed every epoch would shuffle alike."""
        return int(np.random.SeedSequence([self._seed, epoch]).generate_state(1)[0])

    def _validate(self, classifier: Any, validation: Part) -> tuple[float, float]:
        """Cross-entropy and accuracy on the validation rows."""
        scores = classifier.predict_proba(self._validation_inputs)
        right = scores[np.arange(len(scores)), validation.labels]
        accuracy = np.mean(scores.argmax(axis=1) == validation.labels)
        return float(-np.log(np.maximum(right, 1e-12)).mean()), float(accuracy)

    def taken(self) -> Snapshots | None:
        """The snapshots of the whole fit, with the network before it."""
        if not self._snapshot_epochs or self._validation is None:
            return None
        start = self._untrained()
        loss, accuracy = self._validate(start, self._validation)
        arrays = [np.concatenate(pair) for pair in zip(_appended([], start), self._snapshots, strict=True)]
        layers = len(arrays) // 2

        def at(first: float, values: list[float]) -> NDArray[np.float32]:
            return np.array([first, *values], np.float32)[self._snapshot_epochs]

        return Snapshots(
            np.array(self._snapshot_epochs, np.int32),
            at(math.nan, self.losses),
            at(loss, self.validation_losses),
            at(accuracy, self.validation_accuracies),
            tuple(arrays[:layers]),
            tuple(arrays[layers:]),
        )

    def _untrained(self) -> Any:
        """A classifier with the initial weights of this fit, which a step of next to no length leaves as they are."""
        from sklearn.base import clone

        classifier = clone(self._classifier).set_params(learning_rate_init=1e-30)
        few = slice(0, classifier.batch_size)
        classifier.random_state = self._epoch_seed(0)
        return classifier.partial_fit(self._inputs(self._ink[few]), self._labels[few], classes=self._classes)

    def state(self) -> Checkpoint:
        optimizer = self._classifier._optimizer
        return Checkpoint(
            epoch=self.epoch,
            parameters=[*self._classifier.coefs_, *self._classifier.intercepts_],
            first_moments=optimizer.ms,
            second_moments=optimizer.vs,
            steps=optimizer.t,
            losses=self.losses,
            validation_losses=self.validation_losses,
            validation_accuracies=self.validation_accuracies,
            snapshots=self._snapshots,
            averages=self._averages,
        )

    def _restore(self, state: Checkpoint) -> None:
        """Create every attribute of the classifier by one step on a few rows, then overwrite them with the state."""
        few = slice(0, self._classifier.batch_size)
        self._classifier.partial_fit(self._inputs(self._ink[few]), self._labels[few], classes=self._classes)
        layers = len(self._classifier.coefs_)
        self._classifier.coefs_ = state.parameters[:layers]
        self._classifier.intercepts_ = state.parameters[layers:]
        optimizer = self._classifier._optimizer
        optimizer.ms, optimizer.vs, optimizer.t = state.first_moments, state.second_moments, state.steps
        self.epoch = state.epoch
        self.losses, self.validation_losses = list(state.losses), list(state.validation_losses)
        self.validation_accuracies, self._snapshots = list(state.validation_accuracies), state.snapshots
        self._averages = list(state.averages)

    def finished(self) -> Any:
        """The classifier without attributes that only fitting needs, independent of where the fit was interrupted."""
        classifier = self._classifier
        if self._averages:
            layers = len(classifier.coefs_)
            classifier.coefs_, classifier.intercepts_ = self._averages[:layers], self._averages[layers:]
        classifier.random_state = self._seed
        classifier.n_iter_, classifier.t_ = self.epoch, self.epoch * len(self._labels)
        classifier.loss_curve_, classifier.loss_ = list(self.losses), self.losses[-1]
        classifier.best_loss_, classifier._no_improvement_count = min(self.losses), 0
        for leftover in ("_optimizer", "_random_state", "_best_coefs", "_best_intercepts"):
            if hasattr(classifier, leftover):
                delattr(classifier, leftover)
        return classifier

    def _inputs(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return scale_pixels(
            pixels,
            pixel_scale=self._recipe.pixel_scale,
            pixel_offset=self._recipe.pixel_offset,
            dtype=np.float32,
        )


def _appended(snapshots: list[NDArray[np.float16]], classifier: Any) -> list[NDArray[np.float16]]:
    """`snapshots` with the present weights of all layers, then biases of all layers."""
    present = [array.astype(np.float16)[None] for array in (*classifier.coefs_, *classifier.intercepts_)]
    return [np.concatenate(pair) for pair in zip(snapshots, present, strict=True)] if snapshots else present


def _sha256(part: Part) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(part.pixels).data)
    digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C sets the event inside: scikit-learn would swallow a KeyboardInterrupt and lose the epoch.

    A second Ctrl-C takes effect immediately.
    """
    event = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread may set handlers; and Ctrl-C may be ignored, as in the background of a script.
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield event
        return

    def note(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
