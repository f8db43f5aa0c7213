"""A model's card: its metadata.

The card rides inside `model.onnx` as one JSON string in the ONNX metadata, under the key
`CARD_KEY`, so the file can be copied anywhere and still be served. `card.json` beside the
model repeats it for people and adds the date.
"""

import dataclasses
import itertools
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from artifact.classes import are_names, class_numbers
from artifact.prediction_sets import COVERAGES

CARD_KEY = "digits.card"

Activation = Literal["identity", "logistic", "tanh", "relu"]
OutputActivation = Literal["softmax", "logistic"]
Preparation = Literal["mass", "blocks"]
Variant = Literal["", "int8", "fp16"]
"""Number format of the weights: float32 as trained (empty), or smaller."""

# A model's name is a folder, a health service and part of a metric: letters, digits, `.`, `_`, `-`.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_VERSION = 2**31 - 1
MAX_MEMBERS = 256

_Side = Annotated[StrictInt, Field(ge=1, le=4096)]
_Count = Annotated[StrictInt, Field(ge=0, lt=2**32)]
_Share = Annotated[StrictFloat, Field(ge=0, le=1)]

_FINITE = ConfigDict(allow_inf_nan=False)


class CardError(Exception):
    """A card cannot be read, or contradicts itself; the message names the field.

    It is no `ValueError`, because pydantic would wrap that into an error of its own.
    """


@dataclass(frozen=True, slots=True, config=_FINITE)
class Bin:
    """The images whose best score is in one range."""

    images: _Count
    mean_score: _Share
    """Mean of their best scores, 0..1; 0 without images."""
    accuracy: _Share
    """Accuracy on them, 0..1; 0 without images."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_FINITE)
class Card:
    """One version of one model. Raises `CardError` for a field of a wrong type or out of bounds.

    The network's input for a pixel `p` is `(p - pixel_offset) * pixel_scale`; both are folded into
    the first layer of the ONNX graph, whose input is the raw uint8 pixel.
    """

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    """Name of the model, see `NAME`."""
    version: Annotated[StrictInt, Field(ge=1, le=MAX_VERSION)]
    """The highest is the newest."""
    rows: _Side
    """Height of an image in pixels."""
    cols: _Side
    """Width of an image in pixels."""
    pixel_max: Annotated[StrictInt, Field(ge=1, le=255)]
    """Pixels lie in 0..pixel_max; ink is bright."""
    pixel_scale: StrictFloat
    """Not 0."""
    pixel_offset: StrictFloat = 0.0
    preparation: Preparation
    """The preparation of image files to pixels, see `imaging.prepare`."""
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of the classes, in score order."""
    labels: tuple[Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)], ...]
    """Values of the output `label` and of `Prediction.digit` for each class, in score order: the class if its name
    is an integer, see `artifact.classes`."""
    layer_widths: Annotated[tuple[StrictInt, ...], Field(min_length=2)]
    """Neurons per layer from input to output, e.g. (784, 16, 16, 10)."""
    activation: Activation
    """Of the hidden layers."""
    output_activation: OutputActivation = "softmax"
    """`logistic` only for a model of two classes, which has one output neuron."""
    members: Annotated[StrictInt, Field(ge=1, le=MAX_MEMBERS)] = 1
    """Number of networks whose scores are averaged."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it was trained; empty when unknown."""
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    dataset: str
    dataset_sha256: str
    """Over the pixels (uint8) and labels of the data set, see `training.data.dataset.Dataset`."""
    attributions: tuple[str, ...] = ()
    """Authors, origins and licences of the images that it learned from beside the data set."""
    test_rows: _Count
    """Images in the test set."""
    accuracy: _Share
    """Accuracy on the test set, 0..1."""
    confusion: tuple[tuple[_Count, ...], ...]
    """Test images by true class (outer) and predicted class (inner)."""
    tolerance: dict[str, Annotated[StrictFloat, Field(ge=0)]]
    """Largest absolute difference of a golden score that is accepted, by execution provider."""
    libraries: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries that trained and exported the model."""
    temperature: Annotated[StrictFloat, Field(gt=0)] | None = None
    """Divisor of the logits that calibrates the scores; included in the weights."""
    calibration_error: _Share | None = None
    """Expected calibration error on the test set, see `training.evaluate.calibration`."""
    reliability: tuple[Bin, ...] = ()
    """The test images by their best score, in bins of equal width from 0 to 1."""
    thresholds: tuple[_Share, ...] = ()
    """1 - the least score of a candidate for each of `artifact.prediction_sets.COVERAGES`; empty if unknown."""
    outlier_auc: dict[str, _Share] = Field(default_factory=dict)
    """Area under the ROC curve of `not_a_digit` for each family of images without a digit; empty for a model
    without this output."""
    variant: Variant = ""
    """Number format of a variant's file, which has its own accuracy and tolerance; empty for the version itself."""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            card = build(values)
        except ValidationError as error:
            raise CardError(_sentence(error)) from None
        numbers, classes = class_numbers(card.classes), len(card.classes)
        outputs = 1 if card.output_activation == "logistic" else classes
        for name, wanted, holds in (
            ("classes", "different names, not blank, of printable characters", are_names(card.classes)),
            ("pixel_scale", "another number than 0", card.pixel_scale != 0),
            ("labels", "one for each class", len(card.labels) == classes),
            (
                "labels",
                f"{numbers}, the numbers that the classes are called; export the model again",
                numbers is None or card.labels == numbers,
            ),
            (
                "confusion",
                "a row and a column for each class",
                not card.confusion or [len(row) for row in card.confusion] == [classes] * classes,
            ),
            (
                "layer_widths",
                f"{card.features} (rows * cols) inputs and {outputs} outputs",
                (card.layer_widths[0], card.layer_widths[-1]) == (card.features, outputs),
            ),
            ("tolerance", "CPUExecutionProvider among the providers", "CPUExecutionProvider" in card.tolerance),
            (
                "thresholds",
                f"{len(COVERAGES)} numbers that do not fall, or none",
                len(card.thresholds) in (0, len(COVERAGES))
                and all(a <= b for a, b in itertools.pairwise(card.thresholds)),
            ),
        ):
            if not holds:
                raise CardError(f"card: {name} is {getattr(card, name)!r}, expected {wanted}")
        return card

    @property
    def features(self) -> int:
        """Input neurons: rows * cols."""
        return self.rows * self.cols

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers of all members in turn."""
        return self.layer_widths[1:-1] * self.members

    @property
    def hidden_names(self) -> tuple[str, ...]:
        """Names of the ONNX outputs that give the hidden layers: hidden_1, hidden_2, …"""
        return tuple(f"hidden_{i + 1}" for i in range(len(self.hidden_widths)))

    @property
    def detects_outliers(self) -> bool:
        """Whether it has the output `not_a_digit`."""
        return bool(self.outlier_auc)

    @property
    def parameters(self) -> int:
        """Weights and biases of all members together."""
        pairs = zip(self.layer_widths[:-1], self.layer_widths[1:], strict=True)
        return self.members * sum(a * b + b for a, b in pairs)

    def to_json(self, **extra: Any) -> str:
        """The card as JSON with sorted keys (same card, same bytes), `extra` keys added.

        Fields that cards did not always have are left out where they are empty, so that older cards keep their bytes.
        """
        values = dataclasses.asdict(self)
        for name in _LATER:
            if not values[name] and values[name] != 0:
                del values[name]
        return json.dumps(values | extra, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """The inverse of `to_json`; keys it does not know are ignored.

        Raises `CardError` naming the field that is missing, of a wrong type or out of bounds.
        """
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            raise CardError(_sentence(error)) from None


_LATER = ("temperature", "calibration_error", "reliability", "thresholds", "outlier_auc", "variant", "attributions")
_ADAPTER = TypeAdapter(Card)


def _sentence(error: ValidationError) -> str:
    """The first error of pydantic as the message of a `CardError`."""
    found = error.errors(include_url=False)[0]
    if found["type"] == "json_invalid":
        return f"card: not JSON ({found['msg']})"
    where = "".join(f"[{key!r}]" if place else str(key) for place, key in enumerate(found["loc"])) or "it"
    if found["type"] == "missing":
        return f"card: {where} is missing"
    wanted = found["msg"].partition(" should ")[2] or found["msg"]
    return f"card: {where} is {found['input']!r}, expected to {wanted}"
