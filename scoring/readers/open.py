"""Several inputs as one: what each is, is found out by its content."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

from scoring.chunk import Chunk, Shape
from scoring.readers.reader import Reader


class Inputs:
    """The rows of all inputs, one after the other, in chunks that never cross from one input into the next."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        """Rows go by names when those of any of `readers` do."""
        self.readers = readers
        self.named = any(reader.named for reader in readers)
        """Whether ids are text rather than row numbers."""
        self.labelled: bool
        """Whether chunks come with labels."""
        self.rows: int | None
        """How many there are, where that is cheap to know."""
        self.replayable: bool
        """Whether they can be read a second time, as a resumed job does; standard input cannot."""

    def fingerprint(self) -> list[dict[str, Any]]:
        """What stays the same as long as the inputs do, for JSON: path, size, time and SHA-256 of samples."""
        return [reader.fingerprint() for reader in self.readers]

    def chunks(self, chunk_rows: int, done: Container[int] = ()) -> Iterator[Chunk]:
        """The chunks whose index is not among `done`, in order; each is free memory once it is let go of.

        Raises `InputError` when an input turns out damaged. After the last one `count` says how many there are.
        """
        raise NotImplementedError

    count: int | None = None
    """How many chunks there are altogether, `done` included; known once `chunks` has come to its end."""


def open_inputs(
    inputs: Sequence[str],
    shape: Shape,
    *,
    pixels: str | None = None,
    labels: str | None = None,
    threads: int = 1,
) -> Inputs:
    """What `inputs` name: files, folders, globs, archives, `-` for JSON lines on standard input.

    `pixels` names the column, the columns (with a `*`) or the array that holds them, where there are several
    candidates. `labels` is a column, an array or a file of labels; see RULES for both. Images are decoded
    by `threads` at once. Raises `InputError`.
    """
    raise NotImplementedError


RULES = ""
"""What is taken as pixels, as labels and as ids, for people: `--help` shows it."""
