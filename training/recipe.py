"""A recipe: how one version of a model is trained."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from artifact.card import Activation, Preparation
from training.data.augment import Distortion, SharedDistortion
from training.data.strokes import StrokeChanges


class RecipeError(ValueError):
    """No such recipe, or one that contradicts itself; the message says what is possible."""


# Fields whose JSON key is another.
_JSON_KEYS = {"augmentation": "warp", "validation_epochs": "rehearsal_epochs"}
# Keys that recipes did not always have. They are left out where they are empty, so that older cards keep their bytes.
_LATER = (
    "rehearsal_epochs",
    "member_seeds",
    "calibration",
    "strokes",
    "sources",
    "real_outliers",
    "detector_width",
    "detector_reads_hidden",
    "snapshots",
    "averaged",
    "lines",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant of the recipe that was tried before the recipe was fixed."""

    what: str
    epochs: int
    accuracy: float
    """Accuracy, 0..1, on images that this fit did not learn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one version of one model is trained: an `MLPClassifier` fitted by Adam, epoch by epoch.

    The learning rate falls as a half cosine from `learning_rate` to 0 over the epochs (I. Loshchilov,
    F. Hutter, "SGDR", 2017).
    """

    name: str
    version: int
    dataset: str
    """See `training.data.datasets.load`."""
    preparation: Preparation
    pixel_scale: float
    pixel_offset: float
    hidden: tuple[int, ...]
    activation: Activation
    epochs: int
    batch: int
    """Images in a step."""
    learning_rate: float
    """Adam's, at the start."""
    alpha: float
    """`MLPClassifier.alpha`: weight of the squared weights in the loss."""
    augmentation: SharedDistortion | Distortion | None
    """How images are distorted in each epoch; JSON key `warp`."""
    seed: int
    strokes: StrokeChanges | None = None
    """How strokes are changed in each epoch, after the distortion."""
    sources: tuple[str, ...] = ()
    """Sources of digits to learn from beside `dataset`, see `training.data.sources`."""
    real_outliers: bool = False
    """Whether the detector is fitted on real letters and operators beside drawn images."""
    detector_width: int = 0
    """Neurons of the hidden layer that the detector has of its own; 0 if it reads those of the networks."""
    detector_reads_hidden: bool = False
    """Whether that layer reads all hidden layers of the networks, and not the pixels."""
    lines: int = 0
    """Pictures of lines of digits (see `training.data.lines`) that are drawn to learn from: the networks learn the
    digits that are cut out of them, and a third as many of held-out digits teach the detector what none is."""
    snapshots: int = 0
    """Greatest number of snapshots of the network, of an ensemble of the first one, see `artifact.snapshots`. It
    needs `calibration`."""
    averaged: float = 0.0
    """The weights are the mean of those after each epoch of this last part, 0..1, of the fit; 0: after the last one."""
    validation_epochs: int | None = None
    """Epochs of the validation run, where they differ from the final fit; JSON key `rehearsal_epochs`."""
    member_seeds: tuple[int, ...] = ()
    """The seed of each network of an ensemble, which may be a single one; without `calibration` it is empty, and the
    seed of the one network is `seed`."""
    calibration: int = 0
    """Of an ensemble: the number of last training images, and a like share of each source, that no network learns
    from. The temperature, the thresholds of the candidates, the detector and the validation figures come from them."""
    chosen_on: str = ""
    """The images on which the trials were evaluated; never those of the test set."""
    trials: tuple[Trial, ...] = ()
    """What was tried before; has no effect on the fit."""
    evaluations: tuple[str, ...] = ()
    """Each evaluation on the test set beside the one for this model's figures, and its reason."""

    def __post_init__(self) -> None:
        if not self.member_seeds and (self.sources or self.real_outliers or self.lines):
            raise RecipeError(f"{self.key}: sources, real_outliers and lines need member_seeds")
        if self.lines and not self.detector_width:
            raise RecipeError(f"{self.key}: lines need a detector_width")

    @property
    def key(self) -> str:
        """The version as users write it: `name:version`."""
        return f"{self.name}:{self.version}"

    @property
    def validation_run(self) -> "Recipe":
        """The recipe of the validation run."""
        return replace(self, epochs=self.validation_epochs or self.epochs, validation_epochs=None)

    def with_seed(self, seed: int) -> "Recipe":
        """The same with other seeds: the networks of an ensemble get `seed`, `seed + 1`, …."""
        return replace(self, seed=seed, member_seeds=tuple(seed + place for place in range(len(self.member_seeds))))

    def member(self, seed: int) -> "Recipe":
        """The recipe of one network of an ensemble. Only its seed differs between networks and ensembles."""
        return replace(
            self,
            seed=seed,
            member_seeds=(),
            calibration=0,
            sources=(),
            real_outliers=False,
            lines=0,
            detector_width=0,
            detector_reads_hidden=False,
        )

    def to_dict(self) -> dict[str, Any]:
        """How to fit, for the JSON of the card and the fingerprint of a checkpoint. Both keep their keys."""
        values = asdict(self)
        values |= {name: list(values[name]) for name in ("hidden", "member_seeds", "sources")}
        del values["trials"], values["chosen_on"], values["evaluations"]
        values = {_JSON_KEYS.get(name, name): value for name, value in values.items()}
        for name in _LATER:
            if not values[name]:
                del values[name]
        return values
