"""A recipe and its images become a fitted `MLPClassifier`, epoch by epoch, in a way that can be cut off."""

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

from training.data.dataset import Dataset, Part
from training.data.inputs import scaled
from training.fit.checkpoint import Checkpoint
from training.fit.epochs import epoch_images
from training.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit gives."""

    classifier: Any
    """The `MLPClassifier`; it was given float32 `(pixel - pixel_offset) * pixel_scale`."""
    losses: list[float]
    """Cross-entropy of each epoch on what was learned from, warps and weight penalty included."""
    validation_losses: list[float]
    """Cross-entropy after each epoch on the validation rows; empty where there were none."""


OnEpoch = Callable[[int, float], None]
"""Told after each epoch: how many are done, and the training loss."""


def fit(
    recipe: Recipe,
    dataset: Dataset,
    part: Part,
    *,
    seed: int,
    checkpoint: Path,
    validation: Part | None = None,
    on_epoch: OnEpoch = lambda epoch, loss: None,
) -> Fitted:
    """Fit `recipe` to `part` of `dataset`.

    The state goes to the file `checkpoint` after each epoch; at Ctrl-C the running epoch is ended before
    KeyboardInterrupt is raised. When the file holds an earlier state of the same fit, it goes on from there,
    and ends with the same bits as a fit that was never cut off: every random number depends on the seed and
    the epoch alone. Raises `EpochError`.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    fingerprint = {"recipe": recipe.to_dict(), "seed": seed, "rows": len(part), "data": _sha256(part)}
    state = Checkpoint.read(checkpoint, fingerprint)
    run = _Run(recipe, dataset, part, validation, seed, state)
    # One thread: narrow layers gain nothing from more, beside wide ones the next epoch is being distorted, and
    # the sums stay in the same order everywhere.
    with threadpool_limits(1), _deferred_interrupt() as interrupted, run.epochs_left() as epochs:
        for ink in epochs:
            run.one_epoch(ink)
            on_epoch(run.epoch, run.losses[-1])
            run.state().write(checkpoint, fingerprint)
            if interrupted.is_set():
                raise KeyboardInterrupt
    return Fitted(run.finished(), run.losses, run.validation_losses)


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
        """The images of each epoch that is still to come."""
        return epoch_images(
            self._ink,
            self._recipe.warp,
            rows=self._dataset.rows,
            cols=self._dataset.cols,
            seed=self._seed,
            epochs=range(self.epoch, self._recipe.epochs),
        )

    def one_epoch(self, ink: NDArray[np.float32]) -> None:
        recipe, classifier = self._recipe, self._classifier
        rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * self.epoch / recipe.epochs))
        if self.epoch:  # before the first epoch there is no optimizer yet
            classifier._optimizer.learning_rate_init = rate
        # The order of the images; as a number of its own, for with one fixed seed each call shuffles alike.
        classifier.random_state = int(np.random.SeedSequence([self._seed, self.epoch]).generate_state(1)[0])
        classifier.partial_fit(self._inputs(ink), self._labels, classes=self._classes)
        if not classifier.n_iter_:  # scikit-learn swallowed a second Ctrl-C; the epoch is not whole
            raise KeyboardInterrupt
        self.epoch += 1
        self.losses.append(float(classifier.loss_))
        if self._validation is not None:
            scores = classifier.predict_proba(self._validation_inputs)
            right = scores[np.arange(len(scores)), self._validation.labels]
            self.validation_losses.append(float(-np.log(np.maximum(right, 1e-12)).mean()))

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
        )

    def _restore(self, state: Checkpoint) -> None:
        """One step on a few rows makes every attribute of the classifier; then the state goes over it."""
        few = slice(0, self._classifier.batch_size)
        self._classifier.partial_fit(self._inputs(self._ink[few]), self._labels[few], classes=self._classes)
        layers = len(self._classifier.coefs_)
        self._classifier.coefs_ = state.parameters[:layers]
        self._classifier.intercepts_ = state.parameters[layers:]
        optimizer = self._classifier._optimizer
        optimizer.ms, optimizer.vs, optimizer.t = state.first_moments, state.second_moments, state.steps
        self.epoch = state.epoch
        self.losses, self.validation_losses = list(state.losses), list(state.validation_losses)

    def finished(self) -> Any:
        """The classifier without what only further fitting needs, and without a trace of where it was cut off."""
        classifier = self._classifier
        classifier.random_state = self._seed
        classifier.n_iter_, classifier.t_ = self.epoch, self.epoch * len(self._labels)
        classifier.loss_curve_, classifier.loss_ = list(self.losses), self.losses[-1]
        classifier.best_loss_, classifier._no_improvement_count = min(self.losses), 0
        for leftover in ("_optimizer", "_random_state", "_best_coefs", "_best_intercepts"):
            if hasattr(classifier, leftover):
                delattr(classifier, leftover)
        return classifier

    def _inputs(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return scaled(
            pixels,
            pixel_scale=self._recipe.pixel_scale,
            pixel_offset=self._recipe.pixel_offset,
            dtype=np.float32,
        )


def _sha256(part: Part) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(part.pixels).data)
    digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Inside, Ctrl-C sets an event: scikit-learn swallows a KeyboardInterrupt and would lose the epoch.

    A second Ctrl-C acts at once.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
