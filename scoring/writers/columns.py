"""The columns of the table that a job makes, and of the parts it is made from."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Columns:
    """id, digit, score_0, score_1, …, margin, top_1, … where asked for, error."""

    named: bool
    """Whether ids are text rather than row numbers."""
    classes: int
    """How many scores a row has."""
    top_k: int = 0
    """How many of the best digits a row names, beside all scores."""

    @property
    def table(self) -> pa.Schema:
        """What the finished table holds; all but `id` is null where there is an error, and `error` where none is."""
        raise NotImplementedError

    @property
    def part(self) -> pa.Schema:
        """The same with `kind` (of the error) and `label` (what the input says the image shows), for the summary."""
        raise NotImplementedError
