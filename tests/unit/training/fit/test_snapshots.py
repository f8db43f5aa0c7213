"""A fit with snapshots keeps them, whether it was cut off or not."""

import dataclasses

import numpy as np
import pytest

from training.data.datasets import digits
from training.fit.fit import fit
from training.recipes import find

TINY = dataclasses.replace(find("digits-8x8")[0], hidden=(6, 5), epochs=6, batch=32, augmentation=None, snapshots=4)


def fitted(file, **named):
    data = digits()
    return fit(TINY, data, data.learning, seed=1, checkpoint=file, validation=data.validation, **named)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("whole") / "a")


def test_snapshots_begin_untrained_and_end_with_the_fit(whole):
    taken = whole.snapshots
    assert taken.epochs.tolist() == [0, 1, 2, 6]
    assert [each.shape for each in taken.weights] == [(4, 64, 6), (4, 6, 5), (4, 5, 10)]
    for layer, (weights, biases) in enumerate(zip(taken.weights, taken.biases, strict=True)):
        np.testing.assert_array_equal(weights[-1], whole.classifier.coefs_[layer].astype(np.float16))
        np.testing.assert_array_equal(biases[-1], whole.classifier.intercepts_[layer].astype(np.float16))
    first, second = (taken.weights[0][row].ravel().astype(float) for row in (0, 1))
    assert np.abs(first).max() <= (6 / 70) ** 0.5  # X. Glorot's bound
    assert np.corrcoef(first, second)[0, 1] > 0.5
    assert np.isnan(taken.losses[0])
    assert taken.losses[1:].tolist() == np.float32([whole.losses[0], whole.losses[1], whole.losses[5]]).tolist()
    assert taken.validation_losses[0] > 2
    assert taken.validation_losses[-1] == np.float32(whole.validation_losses[-1])
    assert taken.validation_accuracies[0] < 0.3 < taken.validation_accuracies[-1]


def test_a_resumed_fit_has_the_same_snapshots(whole, tmp_path):
    def stop(epoch: int, loss: float) -> None:
        if epoch == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fitted(tmp_path / "a", on_epoch=stop)
    epochs = []
    again = fitted(tmp_path / "a", on_epoch=lambda epoch, loss: epochs.append(epoch))
    assert epochs == [4, 5, 6]
    for field in dataclasses.fields(whole.snapshots):
        for got, wanted in zip(getattr(again.snapshots, field.name), getattr(whole.snapshots, field.name), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_without_validation_rows_there_are_none(tmp_path):
    data = digits()
    recipe = dataclasses.replace(TINY, epochs=1)
    assert fit(recipe, data, data.train, seed=1, checkpoint=tmp_path / "a").snapshots is None
