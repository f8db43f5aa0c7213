"""Batch jobs: many images in files -> a table of scores, every row exactly once.

    from scoring import score

    summary = score("digits.npy", "scores.parquet")

`digits score` is the same on the command line.
"""

from scoring.api import score
from scoring.chunk import InputError
from scoring.journal.errors import JournalError
from scoring.readers.open import RULES
from scoring.reporting.summary import Summary
from scoring.scorers.scorer import ScorerError

__all__ = ["RULES", "InputError", "JournalError", "ScorerError", "Summary", "score"]
