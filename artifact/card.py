"""A model's card: what the model says of itself.

The card rides inside `model.onnx` as one JSON string in the ONNX metadata, under the key
`CARD_KEY`, so the file can be copied anywhere and still be served. `card.json` beside the
model repeats it for people and adds the date.
"""

import dataclasses
import itertools
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from artifact.classes import class_numbers
from artifact.prediction_sets import COVERAGES

CARD_KEY = "digits.card"

Activation = Literal["identity", "logistic", "tanh", "relu"]
OutputActivation = Literal["softmax", "logistic"]
Preparation = Literal["mass", "blocks"]
Variant = Literal["", "int8", "fp16"]
"""How a version's weights are held: as they were trained, in float32, or smaller."""

# A model's name is a folder, a health service and part of a metric: letters, digits, `.`, `_`, `-`.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_VERSION = 2**31 - 1
MAX_MEMBERS = 256


class CardError(ValueError):
    """A card cannot be read, or contradicts itself; the message names the field."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose best score lies in one range, and how often it was right."""

    images: int
    mean_score: float
    """Mean of their best scores, 0..1; 0 without images."""
    accuracy: float
    """Share of them that is classified right, 0..1; 0 without images."""

    @property
    def sound(self) -> bool:
        """Whether a card may hold it."""
        return 0 <= self.images < 2**32 and 0 <= self.mean_score <= 1 and 0 <= self.accuracy <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One version of one model.

    The network's input for a pixel `p` is `(p - pixel_offset) * pixel_scale`; both are folded into
    the first layer of the ONNX graph, whose input is the raw uint8 pixel.
    """

    name: str
    """Name of the model, see `NAME`."""
    version: int
    """Positive; the greatest is the newest."""
    rows: int
    """Height of an image in pixels."""
    cols: int
    """Width of an image in pixels."""
    pixel_max: int
    """Pixels lie in 0..pixel_max, at most 255; ink is bright."""
    pixel_scale: float
    pixel_offset: float = 0.0
    preparation: Preparation
    """How a picture of any size becomes pixels, see `imaging.prepare`."""
    classes: tuple[str, ...]
    """Names of the classes, in score order."""
    labels: tuple[int, ...]
    """What the output `label` and `Prediction.digit` hold for each class, in score order: the class where its name
    is a whole number, see `artifact.classes`."""
    layer_widths: tuple[int, ...]
    """Neurons per layer from input to output, e.g. (784, 16, 16, 10)."""
    activation: Activation
    """Of the hidden layers."""
    output_activation: OutputActivation = "softmax"
    """`logistic` only for a model of two classes, which has one output neuron."""
    members: int = 1
    """Networks in the committee whose scores are averaged."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How it was trained; empty when unknown."""
    seed: int | None = None
    dataset: str
    dataset_sha256: str
    """Over the pixels (uint8) and labels of the data set, see `training.data.datasets`."""
    test_rows: int
    """Images in the test set."""
    accuracy: float
    """Share of the test set that is classified right, 0..1."""
    confusion: tuple[tuple[int, ...], ...]
    """Test images by true class (outer) and predicted class (inner)."""
    tolerance: dict[str, float]
    """Largest absolute difference of a golden score that is accepted, by execution provider."""
    libraries: dict[str, str] = field(default_factory=dict)
    """Versions of the libraries that trained and exported the model."""
    temperature: float | None = None
    """By which the values before the softmax were divided, so that scores are chances; already in the weights."""
    calibration_error: float | None = None
    """Expected calibration error on the test set, 0..1, see `training.evaluate.calibration`."""
    reliability: tuple[Bin, ...] = ()
    """The test images by their best score, in bins of equal width from 0 to 1."""
    thresholds: tuple[float, ...] = ()
    """1 - the least score of a candidate for each of `artifact.prediction_sets.COVERAGES`; empty if unknown."""
    outlier_auc: dict[str, float] = field(default_factory=dict)
    """How well `not_a_digit` tells the test images from those without a digit, by their kind: the area under the
    curve, 0..1. Empty for a model that does not have this output."""
    variant: Variant = ""
    """Of a file that holds the version's weights in another form; its accuracy and tolerance are its own."""

    def __post_init__(self) -> None:
        numbers = class_numbers(self.classes)
        for name, wanted, holds in (
            ("name", "1 to 64 letters, digits, '.', '_' or '-'", NAME.fullmatch(self.name)),
            ("version", f"1..{MAX_VERSION}", 1 <= self.version <= MAX_VERSION),
            ("rows", "1..4096", 1 <= self.rows <= 4096),
            ("cols", "1..4096", 1 <= self.cols <= 4096),
            ("pixel_max", "1..255", 1 <= self.pixel_max <= 255),
            ("preparation", f"one of {get_args(Preparation)}", self.preparation in get_args(Preparation)),
            ("classes", "at least two names", len(self.classes) >= 2),
            ("pixel_scale", "a finite number, not 0", math.isfinite(self.pixel_scale) and self.pixel_scale != 0),
            ("pixel_offset", "a finite number", math.isfinite(self.pixel_offset)),
            (
                "labels",
                "one for each class, each of 32 bits",
                len(self.labels) == len(self.classes) and all(-(2**31) <= label < 2**31 for label in self.labels),
            ),
            (
                "labels",
                f"{numbers}, for so the classes are called; export the model again",
                numbers is None or self.labels == numbers,
            ),
            ("seed", "a whole number of 64 bits, or none", self.seed is None or -(2**63) <= self.seed < 2**63),
            ("test_rows", "0 or more", 0 <= self.test_rows < 2**32),
            (
                "confusion",
                "counts, a row for each class",
                not self.confusion
                or (
                    [len(row) for row in self.confusion] == [len(self.classes)] * len(self.classes)
                    and all(0 <= count < 2**32 for row in self.confusion for count in row)
                ),
            ),
            ("activation", f"one of {get_args(Activation)}", self.activation in get_args(Activation)),
            (
                "output_activation",
                f"one of {get_args(OutputActivation)}",
                self.output_activation in get_args(OutputActivation),
            ),
            (
                "layer_widths",
                "input = rows*cols, at least two layers, output = number of classes (1 for logistic)",
                len(self.layer_widths) >= 2
                and self.layer_widths[0] == self.features
                and self.layer_widths[-1] == (1 if self.output_activation == "logistic" else len(self.classes)),
            ),
            ("members", f"1..{MAX_MEMBERS}", 1 <= self.members <= MAX_MEMBERS),
            ("accuracy", "0..1", 0 <= self.accuracy <= 1),
            (
                "tolerance",
                "a number of 0 or more for each execution provider, CPUExecutionProvider among them",
                "CPUExecutionProvider" in self.tolerance
                and all(isinstance(value, (int, float)) and value >= 0 for value in self.tolerance.values()),
            ),
            ("libraries", "text for each library", all(isinstance(text, str) for text in self.libraries.values())),
            (
                "temperature",
                "a finite number above 0, or none",
                self.temperature is None or 0 < self.temperature < math.inf,
            ),
            ("calibration_error", "0..1, or none", self.calibration_error is None or 0 <= self.calibration_error <= 1),
            ("reliability", "bins with shares in 0..1", all(each.sound for each in self.reliability)),
            (
                "thresholds",
                f"{len(COVERAGES)} numbers in 0..1 that do not fall, or none",
                not self.thresholds
                or (
                    len(self.thresholds) == len(COVERAGES)
                    and all(a <= b for a, b in itertools.pairwise((0, *self.thresholds, 1)))
                ),
            ),
            (
                "outlier_auc",
                "a number in 0..1 for each kind",
                all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in self.outlier_auc.values()),
            ),
            ("variant", f"one of {get_args(Variant)}", self.variant in get_args(Variant)),
        ):
            if not holds:
                raise CardError(f"card: {name} is {getattr(self, name)!r}, expected {wanted}")

    @property
    def features(self) -> int:
        """Input neurons: rows * cols."""
        return self.rows * self.cols

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers, of all members one after the other."""
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

        What came to cards later is left out where there is none, so that older ones keep their bytes.
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
            raw = json.loads(text)
            json.dumps(raw, ensure_ascii=False).encode()  # half of a surrogate pair is text to JSON, but to nobody else
        except (ValueError, RecursionError) as error:
            raise CardError(f"card: not JSON ({error})") from None
        if not isinstance(raw, dict):
            raise CardError(f"card: expected a JSON object, got {type(raw).__name__}")
        values = {}
        for spec in dataclasses.fields(cls):
            if spec.name in raw:
                values[spec.name] = _read(spec.name, raw[spec.name])
            elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                raise CardError(f"card: {spec.name} is missing")
        return cls(**values)


_LATER = ("temperature", "calibration_error", "reliability", "thresholds", "outlier_auc", "variant")
_LISTS = {"classes": str, "labels": int, "layer_widths": int}
_NUMBERS = ("pixel_scale", "pixel_offset", "accuracy", "temperature", "calibration_error")
_WHOLE = ("version", "rows", "cols", "pixel_max", "members", "test_rows")
_OBJECTS = ("recipe", "tolerance", "libraries", "outlier_auc")


def _read(name: str, value: Any) -> Any:
    """`value` of the field `name` as the dataclass holds it, or a `CardError`."""

    def expect(kind: type | tuple[type, ...], wanted: str, item: Any = value) -> Any:
        if not isinstance(item, kind) or isinstance(item, bool):
            raise CardError(f"card: {name} is {item!r}, expected {wanted}")
        return item

    if name in _LISTS:
        kind = _LISTS[name]
        return tuple(expect(kind, f"a list of {kind.__name__}", item) for item in expect(list, "a list"))
    if name == "confusion":
        rows = expect(list, "a list of lists of int")
        return tuple(
            tuple(expect(int, "a list of lists of int", cell) for cell in expect(list, "a list of lists of int", row))
            for row in rows
        )

    def number(item: Any = value) -> float:
        try:
            return float(expect((int, float), "a number", item))
        except OverflowError:
            raise CardError(f"card: {name} is out of range, expected a number of 64 bits") from None

    if name == "reliability":
        return tuple(
            Bin(
                expect(int, "a whole number", each.get("images")),
                number(each.get("mean_score")),
                number(each.get("accuracy")),
            )
            for each in (expect(dict, "a list of objects", item) for item in expect(list, "a list"))
        )
    if name == "thresholds":
        return tuple(number(item) for item in expect(list, "a list of numbers"))
    if name in _NUMBERS:
        return number()
    if name in _WHOLE:
        return expect(int, "a whole number")
    if name in _OBJECTS:
        return expect(dict, "an object")
    if name == "seed":
        return value if value is None else expect(int, "a whole number or null")
    return expect(str, "a string")
