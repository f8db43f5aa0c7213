"""The summary of a job: counts that are summed over its chunks in any order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.pixels import WarningCode, describe
from scoring.scorers.scorer import Model

MARGIN_BINS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A finished job."""

    output: str
    model: Model
    how: str
    """Where the rows were scored: in this process or on which server."""
    rows: int
    """Rows of the output, including those with an error."""
    errors: dict[str, int]
    """Rows without scores by the kind of their error."""
    warnings: dict[str, int]
    """Scored rows with a warning, by its code, see `imaging.pixels.WarningCode`."""
    rejected: int | None
    """Rejected rows, or rejected digits of pictures; None without `reject_above`."""
    foreign_labels: int
    """Scored rows whose label is not a class of the model, which are ignored unless labels were requested."""
    resumed_rows: int
    """Rows that an earlier run scored."""
    seconds: float
    """From the first row that was read to the finished output."""
    digits: NDArray[np.int64]
    """int64 [classes]: rows by the class found; of pictures their digits, without the rejected ones."""
    mean_margin: float
    """Best score minus second best, mean of all rows with scores; NaN when there are none, and for pictures."""
    margins: NDArray[np.int64]
    """int64 [MARGIN_BINS]: rows by margin, equal steps from 0 to 1."""
    confusion: NDArray[np.int64] | None
    """int64 [classes, classes]: labelled rows by true (row) and found (column) class; None where no row has a label."""
    top_right: int | None
    """Labelled rows whose label is among the best of `top_k`; None without either."""
    top_k: int = 0
    read: bool = False
    """Whether the rows are pictures of several digits."""

    @property
    def failed(self) -> int:
        """Rows without scores."""
        return sum(self.errors.values())

    @property
    def images_per_second(self) -> float:
        """Of this run, from file to file."""
        return (self.rows - self.resumed_rows) / self.seconds if self.seconds else 0.0

    @property
    def labelled(self) -> int:
        """Rows with scores and a label."""
        return 0 if self.confusion is None else int(self.confusion.sum())

    @property
    def accuracy(self) -> float | None:
        """Accuracy on the labelled rows, 0..1; None without such rows."""
        return None if not self.labelled else int(np.trace(self.confusion)) / self.labelled  # type: ignore[arg-type]

    @property
    def top_k_accuracy(self) -> float | None:
        """Share of the labelled rows whose label is among the best `top_k`, 0..1; None if not requested."""
        return None if self.top_right is None or not self.labelled else self.top_right / self.labelled

    def as_json(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "output": self.output,
            "model": dict(self.model.identity),
            "how": self.how,
            "rows": self.rows,
            "errors": self.errors,
            "warnings": self.warnings,
            "rejected": self.rejected,
            "foreign_labels": self.foreign_labels,
            "resumed_rows": self.resumed_rows,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "classes": list(self.model.card.classes),
            "digits": self.digits.tolist(),
            "mean_margin": None if np.isnan(self.mean_margin) else self.mean_margin,
            "labelled": self.labelled,
            "accuracy": self.accuracy,
            "top_k_accuracy": self.top_k_accuracy,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
        }

    def flaws(self) -> list[str]:
        """A line for each kind of error and each warning with the number of its rows."""
        top = self.model.card.pixel_max
        return [
            *(f"{count:,} without scores: {kind}" for kind, count in sorted(self.errors.items())),
            *(
                f"{count:,} with a warning: {describe(WarningCode(code), top).sentence}"
                for code, count in sorted(self.warnings.items())
            ),
            *([f"{self.rejected:,} {'digits' if self.read else 'rows'} rejected"] if self.rejected else []),
            *(
                [f"{self.foreign_labels:,} labels passed over: they mean no class of the model"]
                * bool(self.foreign_labels)
            ),
        ]

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        classes = self.model.card.classes
        lines = [
            f"{self.rows:,} row{'s' * (self.rows != 1)} by {self.model}, {self.how}, in {self.seconds:.1f} s: "
            f"{self.images_per_second:,.0f} images/s" + (f", {self.resumed_rows:,} resumed" * bool(self.resumed_rows))
        ]
        lines += self.flaws()
        if self.read:
            lines.append(f"{int(self.digits.sum()):,} digits read")
        if not np.isnan(self.mean_margin):
            lines.append(f"mean margin {self.mean_margin:.4f}")
        if self.accuracy is not None:
            assert self.confusion is not None
            right = int(np.trace(self.confusion))
            lines.append(f"accuracy {self.accuracy:.2%}: {right:,} of {self.labelled:,} labelled rows")
            if self.top_k_accuracy is not None:
                lines.append(f"label among the best {self.top_k}: {self.top_k_accuracy:.2%}")
            width = max(6, *(len(f"{count:,}") for count in self.confusion.ravel()), *map(len, classes))
            lines.append("true \\ found" + "".join(f" {name:>{width}}" for name in classes))
            lines += [
                f"{name:>12}" + "".join(f" {count:>{width},}" for count in row)
                for name, row in zip(classes, self.confusion, strict=True)
            ]
        return lines
