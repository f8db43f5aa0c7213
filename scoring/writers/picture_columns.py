"""The columns of the output, and of the chunks in the journal, of a job that reads pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from scoring.chunk import Chunk, ErrorKind, PictureText, RowError
from scoring.writers.columns import CODES, KIND, REJECTED, error_columns


@dataclass(frozen=True, slots=True)
class PictureColumns:
    """id, text, score, digits, quarter_turns, rejected on request, warning_codes, error."""

    rejecting: bool
    """Whether digits may be rejected."""

    @property
    def table(self) -> pa.Schema:
        """The columns of the output. In rows with an error all but `id` are null, in other rows `error` is.

        `warning_codes` are separated by blanks, null where nothing looks wrong.
        """
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("text", pa.string()),
                pa.field("score", pa.float32()),
                pa.field("digits", pa.int32()),
                pa.field("quarter_turns", pa.int32()),
                *([pa.field(REJECTED, pa.int32())] if self.rejecting else []),
                pa.field("warning_codes", pa.string()),
                pa.field("error", pa.string()),
            ]
        )

    @property
    def part(self) -> pa.Schema:
        """The same with `kind` and `codes` for the summary, see `Columns`."""
        kinds = pa.dictionary(pa.int8(), pa.string())
        return pa.unify_schemas([self.table, pa.schema([pa.field(KIND, kinds), pa.field(CODES, pa.string())])])

    def batch(self, chunk: Chunk, texts: Sequence[PictureText | str | None]) -> pa.RecordBatch:
        """A chunk of pictures: what each says, or why it cannot be read; None for a row with an error already."""
        errors = dict(chunk.errors)
        for row, text in enumerate(texts):
            if isinstance(text, str):
                errors[row] = RowError(ErrorKind.IMAGE, f"{chunk.ids[row]}: {text}")
        found = [text if isinstance(text, PictureText) else None for text in texts]
        sentences, kinds = error_columns(errors, len(chunk))
        codes = pa.array([" ".join(each.codes) or None if each else None for each in found], pa.string())

        def column(name: str, kind: pa.DataType) -> pa.Array:
            return pa.array([None if each is None else getattr(each, name) for each in found], kind)

        return pa.RecordBatch.from_arrays(
            [
                pa.array(chunk.ids, pa.string()),
                column("text", pa.string()),
                column("score", pa.float32()),
                column("digits", pa.int32()),
                column("quarter_turns", pa.int32()),
                *([column(REJECTED, pa.int32())] if self.rejecting else []),
                codes,
                sentences,
                kinds,
                codes,
            ],
            schema=self.part,
        )
