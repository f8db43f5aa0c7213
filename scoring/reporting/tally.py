"""Sums the counts of a job over its chunks, in any order."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scoring.chunk import FOREIGN, UNKNOWN
from scoring.reporting.summary import MARGIN_BINS, Summary
from scoring.scorers.scorer import Model
from scoring.writers.columns import REJECTED


@dataclass(eq=False)
class Tally:
    """Sums the counts of chunks; thread-safe."""

    model: Model
    labelled: bool
    top_k: int = 0
    rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    read: bool = False
    """Whether the rows are pictures: then its digits are counted, not its rows, and it has no margins."""
    rejected: int | None = None
    """Rejected rows, or digits of pictures; None where none may be."""

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
        """Add a chunk with the columns of `Columns.part`."""
        errors: Counter[str] = Counter()
        if batch.column("kind").null_count < len(batch):
            for each in pc.value_counts(batch.column("kind").drop_null()).to_pylist():
                errors[each["values"]] += each["counts"]
            batch = batch.filter(pc.is_null(batch.column("kind")))
        warnings = _count_codes(batch.column("codes"))
        with self._lock:
            self.rows += len(batch) + errors.total()
            self.errors += errors
            self.warnings += warnings
            if REJECTED in batch.schema.names:
                self.rejected = (self.rejected or 0) + (pc.sum(batch.column(REJECTED)).as_py() or 0)
        if self.read:
            self._add_texts(batch)
        else:
            self._add_digits(batch)

    def _add_texts(self, batch: pa.RecordBatch) -> None:
        counts = Counter("".join(batch.column("text").to_pylist()))
        digits = np.array([counts[str(label)] for label in self.model.card.labels], np.int64)
        with self._lock:
            self._digits += digits

    def _add_digits(self, batch: pa.RecordBatch) -> None:
        margin = batch.column("margin").to_numpy(zero_copy_only=False)
        found = self._classes(batch.column("digit").to_numpy(zero_copy_only=False))
        digits = np.bincount(found, minlength=len(self._digits))
        margins = np.bincount((margin * MARGIN_BINS).astype(np.int64), minlength=MARGIN_BINS + 1)
        margins[MARGIN_BINS - 1] += margins[MARGIN_BINS]  # a margin of 1 is in the last
        total = float(margin.sum(dtype=np.float64))
        confusion, top_right, foreign = self._compare(batch, found) if self.labelled else (0, 0, 0)
        with self._lock:
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
        """The counts as JSON, for `load`."""
        return {
            "rows": self.rows,
            "errors": dict(self.errors),
            "warnings": dict(self.warnings),
            "digits": self._digits.tolist(),
            "confusion": self._confusion.tolist(),
            "margins": self._margins.tolist(),
            "margin": self._margin,
            "rejected": self.rejected,
            "top_right": self._top_right,
            "foreign": self._foreign,
        }

    def load(self, counts: Mapping[str, Any]) -> None:
        """Replace the counts by those of an earlier run, see `as_json`."""
        self.rows, self.errors = counts["rows"], Counter(counts["errors"])
        self.warnings = Counter(counts["warnings"])
        self.rejected = counts.get("rejected")
        self._margin, self._top_right, self._foreign = counts["margin"], counts["top_right"], counts["foreign"]
        self._digits, self._confusion = np.array(counts["digits"]), np.array(counts["confusion"])
        self._margins = np.array(counts["margins"])

    def summary(self, output: str, how: str, *, resumed_rows: int, seconds: float) -> Summary:
        """The summary of the counts."""
        scored = self.rows - self.errors.total()
        return Summary(
            output=output,
            model=self.model,
            how=how,
            rows=self.rows,
            errors=dict(self.errors),
            warnings=dict(self.warnings),
            rejected=self.rejected,
            foreign_labels=self._foreign,
            resumed_rows=resumed_rows,
            seconds=seconds,
            digits=self._digits,
            mean_margin=self._margin / scored if scored and not self.read else float("nan"),
            margins=self._margins,
            confusion=self._confusion if self.labelled and self._confusion.any() else None,
            top_right=self._top_right if self.labelled and self.top_k else None,
            top_k=self.top_k,
            read=self.read,
        )


def _count_codes(codes: pa.Array) -> Counter[str]:
    """Number of rows for each code, from a column of codes separated by blanks."""
    counts: Counter[str] = Counter()
    if codes.null_count < len(codes):
        for each in pc.value_counts(codes.drop_null()).to_pylist():
            counts.update(dict.fromkeys(each["values"].split(), each["counts"]))
    return counts
