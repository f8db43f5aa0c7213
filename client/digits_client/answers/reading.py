"""The digits of one picture."""

from dataclasses import dataclass

from digits_protocol.digits.v1 import digits_pb2 as pb

from digits_client.answers.results import (
    Classification,
    ModelIdentity,
    Timings,
    read_identity,
    read_prediction,
    read_timings,
)


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, in pixels, from the left and the top of the picture as it was read."""

    left: int
    """The first column."""
    top: int
    """The first row."""
    width: int
    """Columns, at least 1."""
    height: int
    """Rows, at least 1."""


@dataclass(frozen=True, slots=True)
class GridField:
    """One field of a grid."""

    row: int
    """From 0, from the top."""
    column: int
    """From 0, from the left."""


@dataclass(frozen=True, slots=True)
class ReadDigit:
    """One digit of a picture."""

    box: Box
    """Where it stands."""
    prediction: Classification
    """What it is, as from `classify`, without activations."""
    field: GridField | None
    """The field of the grid that it stands in; None in a line."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """One line of digits, or one row of a grid."""

    text: str
    """One character a digit, `?` for a rejected one.

    Of a row of a grid one character for each field, `.` for an empty one; the fields' digits separated by blanks where
    a field has several."""
    score: float
    """The product of its digits' best scores, each times the chance that it is a digit; 0..1."""
    digits: tuple[ReadDigit, ...]
    """From the left."""
    columns: int
    """Fields in each row of the grid; 0 for a line."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The digits of one picture."""

    text: str
    """The texts of all lines, separated by line feeds; empty where no ink was found."""
    score: float
    """The product of the scores of all lines, 0..1; 0 without lines."""
    lines: tuple[ReadLine, ...]
    """In reading order."""
    width: int
    """Of the picture in pixels, as it was read: upright by its EXIF data, and turned by `quarter_turns`."""
    height: int
    quarter_turns: int
    """By how many quarter turns clockwise the picture was turned until its digits stood upright, 0..3."""
    warnings: tuple[str, ...]
    """One sentence for each thing that looks wrong with the picture."""
    warning_codes: tuple[str, ...]
    """The code of each of `warnings`, as in `Classification`."""
    model: ModelIdentity
    timings: Timings
    """Summed over all batches that the picture's parts were in."""

    @property
    def digits(self) -> tuple[ReadDigit, ...]:
        """The digits of all lines, in reading order."""
        return tuple(digit for line in self.lines for digit in line.digits)


def read_reading(response: pb.ReadResponse) -> Reading:
    """The message as a value."""
    model, timings = read_identity(response.model), read_timings(response.timings)

    def digit(message: pb.ReadDigit) -> ReadDigit:
        return ReadDigit(
            box=Box(message.box.left, message.box.top, message.box.width, message.box.height),
            prediction=read_prediction(message.prediction, model, timings),
            field=GridField(message.field.row, message.field.column) if message.HasField("field") else None,
        )

    return Reading(
        text=response.text,
        score=response.score,
        lines=tuple(
            ReadLine(line.text, line.score, tuple(map(digit, line.digits)), line.columns) for line in response.lines
        ),
        width=response.width,
        height=response.height,
        quarter_turns=response.quarter_turns,
        warnings=tuple(response.warnings),
        warning_codes=tuple(response.warning_codes),
        model=model,
        timings=timings,
    )
