"""What a job comes to: counts that add up part by part, whatever order the parts come in."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imaging.pixels import WarningCode, describe
from scoring.chunk import FOREIGN, UNKNOWN
from scoring.scorers.scorer import Model

MARGIN_BINS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A finished job."""

    output: str
    model: Model
    how: str
    """How the scores came: in this process, or from which server."""
    rows: int
    """Of the output, those with an error included."""
    errors: dict[str, int]
    """Rows without scores, by what was wrong with them."""
    warnings: dict[str, int]
    """Scored rows with a warning, by its code, see `imaging.pixels.WarningCode`."""
    foreign_labels: int
    """Scored rows with a label that means no class of the model, passed over since labels were not asked for."""
    resumed_rows: int
    """Rows that an earlier run had scored."""
    seconds: float
    """From the first row that was read to the finished output."""
    digits: NDArray[np.int64]
    """int64 [classes]: rows by the class found."""
    mean_margin: float
    """Best score minus second best, mean of all rows with scores; NaN when there are none."""
    margins: NDArray[np.int64]
    """int64 [MARGIN_BINS]: rows by margin, equal steps from 0 to 1."""
    confusion: NDArray[np.int64] | None
    """int64 [classes, classes]: labelled rows by true (row) and found (column) class; None where no row has a label."""
    top_right: int | None
    """Labelled rows whose label is among the best of `top_k`; None without either."""
    top_k: int = 0

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
        """Share of the labelled rows that is classified right, 0..1; None when there are none."""
        return None if not self.labelled else int(np.trace(self.confusion)) / self.labelled  # type: ignore[arg-type]

    @property
    def top_k_accuracy(self) -> float | None:
        """Share of the labelled rows whose label is among the best `top_k`, 0..1; None when that was not asked."""
        return None if self.top_right is None or not self.labelled else self.top_right / self.labelled

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "output": self.output,
            "model": dict(self.model.identity),
            "how": self.how,
            "rows": self.rows,
            "errors": self.errors,
            "warnings": self.warnings,
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
        """How many rows have no scores, or a warning, and why; a line each."""
        top = self.model.card.pixel_max
        return [
            *(f"{count:,} without scores: {kind}" for kind, count in sorted(self.errors.items())),
            *(
                f"{count:,} with a warning: {describe(WarningCode(code), top).sentence}"
                for code, count in sorted(self.warnings.items())
            ),
            *(
                [f"{self.foreign_labels:,} labels passed over: they mean no class of the model"]
                * bool(self.foreign_labels)
            ),
        ]

    def lines(self) -> list[str]:
        """The same for people."""
        classes = self.model.card.classes
        lines = [
            f"{self.rows:,} rows by {self.model}, {self.how}, in {self.seconds:.1f} s: "
            f"{self.images_per_second:,.0f} images/s" + (f", {self.resumed_rows:,} resumed" * bool(self.resumed_rows))
        ]
        lines += self.flaws()
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


@dataclass(eq=False)
class Tally:
    """Adds up the parts; from any thread."""

    model: Model
    labelled: bool
    top_k: int = 0
    rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        labels = np.array(self.model.card.labels)
        self._order = np.argsort(labels)
        self._sorted = labels[self._order]
        size = len(labels)
        self._plain = bool((labels == np.arange(size)).all())
        self._digits = np.zeros(size, np.int64)
        self._confusion = np.zeros((size, size), np.int64)
        self._margins = np.zeros(MARGIN_BINS, np.int64)
        self._margin, self._top_right, self._foreign = 0.0, 0, 0
        self._lock = threading.Lock()

    def add(self, batch: pa.RecordBatch) -> None:
        """One part, with the columns of `Columns.part`."""
        errors: Counter[str] = Counter()
        if batch.column("kind").null_count < len(batch):
            for each in pc.value_counts(batch.column("kind").drop_null()).to_pylist():
                errors[each["values"]] += each["counts"]
            batch = batch.filter(pc.is_null(batch.column("kind")))
        warnings = _count_codes(batch.column("codes"))
        margin = batch.column("margin").to_numpy(zero_copy_only=False)
        found = self._classes(batch.column("digit").to_numpy(zero_copy_only=False))
        digits = np.bincount(found, minlength=len(self._digits))
        margins = np.bincount((margin * MARGIN_BINS).astype(np.int64), minlength=MARGIN_BINS + 1)
        margins[MARGIN_BINS - 1] += margins[MARGIN_BINS]  # a margin of 1 is in the last
        total = float(margin.sum(dtype=np.float64))
        confusion, top_right, foreign = self._compare(batch, found) if self.labelled else (0, 0, 0)
        with self._lock:
            self.rows += len(batch) + errors.total()
            self.errors += errors
            self.warnings += warnings
            self._digits += digits
            self._margins += margins[:MARGIN_BINS]
            self._margin += total
            self._confusion += confusion
            self._top_right += top_right
            self._foreign += foreign

    def _compare(self, batch: pa.RecordBatch, found: NDArray[np.int64]) -> tuple[NDArray[np.int64], int, int]:
        labels = batch.column("label").fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
        known = labels > FOREIGN
        size = len(self._digits)
        pairs = self._classes(labels[known]) * size + found[known]
        confusion = np.bincount(pairs, minlength=size * size).reshape(size, size)
        top = [batch.column(f"top_{place + 1}").to_numpy(zero_copy_only=False) for place in range(self.top_k)]
        right = sum(int((column[known] == labels[known]).sum()) for column in top)
        return confusion, right, int((labels == FOREIGN).sum())

    def _classes(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Positions of labels among the classes."""
        if self._plain:
            return labels
        places: NDArray[np.int64] = self._order[np.searchsorted(self._sorted, labels)]
        return places

    def as_json(self) -> dict[str, Any]:
        """All that was added, for `load`."""
        return {
            "rows": self.rows,
            "errors": dict(self.errors),
            "warnings": dict(self.warnings),
            "digits": self._digits.tolist(),
            "confusion": self._confusion.tolist(),
            "margins": self._margins.tolist(),
            "margin": self._margin,
            "top_right": self._top_right,
            "foreign": self._foreign,
        }

    def load(self, counts: Mapping[str, Any]) -> None:
        """Take the counts of a run before, see `as_json`, in place of all there are."""
        self.rows, self.errors = counts["rows"], Counter(counts["errors"])
        self.warnings = Counter(counts["warnings"])
        self._margin, self._top_right, self._foreign = counts["margin"], counts["top_right"], counts["foreign"]
        self._digits, self._confusion = np.array(counts["digits"]), np.array(counts["confusion"])
        self._margins = np.array(counts["margins"])

    def summary(self, output: str, how: str, *, resumed_rows: int, seconds: float) -> Summary:
        """All that was added."""
        scored = self.rows - self.errors.total()
        return Summary(
            output=output,
            model=self.model,
            how=how,
            rows=self.rows,
            errors=dict(self.errors),
            warnings=dict(self.warnings),
            foreign_labels=self._foreign,
            resumed_rows=resumed_rows,
            seconds=seconds,
            digits=self._digits,
            mean_margin=self._margin / scored if scored else float("nan"),
            margins=self._margins,
            confusion=self._confusion if self.labelled and self._confusion.any() else None,
            top_right=self._top_right if self.labelled and self.top_k else None,
            top_k=self.top_k,
        )


def _count_codes(codes: pa.Array) -> Counter[str]:
    """How many rows have each code, of a column with the codes of a row and blanks between."""
    counts: Counter[str] = Counter()
    if codes.null_count < len(codes):
        for each in pc.value_counts(codes.drop_null()).to_pylist():
            counts.update(dict.fromkeys(each["values"].split(), each["counts"]))
    return counts
