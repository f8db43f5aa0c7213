"""What the user of `digits classify` may do about a doubtful answer."""

from functools import cached_property
from typing import TYPE_CHECKING

from imaging.pixels import WarningCode

if TYPE_CHECKING:
    from digits_client import Classification, Listing, ModelCard

    from cli.server.source import Source

# Best score minus second best below which an answer is unsure.
_UNSURE = 0.5


class Hints:
    """Hints for the answers of one command."""

    def __init__(self, source: "Source", listing: "Listing", model: str) -> None:
        """`model` is what the user named; empty for the default model."""
        self._source, self._listing, self._named = source, listing, bool(model)

    def of(self, result: "Classification") -> list[str]:
        """A line for each hint. Raises a `DigitsError` if the source does not know its models any more."""
        hints = []
        if WarningCode.SEVERAL_MARKS in result.warning_codes:
            hints.append("`digits read` reads the digits of a picture that has several")
        doubt = "" if self._named else _doubt(result)
        if doubt and self._larger:
            hints.append(f"unsure, {doubt}: a larger model may know, --model {self._larger}")
        return hints

    @cached_property
    def _larger(self) -> str:
        """The largest model with the classes of the default one that learned from the same people at least.

        Empty if that is the default one itself: a model that saw fewer hands knows less, however large it is.
        """
        default = self._listing.find()
        names = [
            model.name
            for model in self._listing.models
            if any(version.state == "ready" and version.classes == default.classes for version in model.versions)
        ]
        if len(names) < 2:
            return ""
        cards = {name: self._source.model(name, "") for name in names}
        people = _sources(cards[self._listing.default_model])
        largest = max(
            (name for name, card in cards.items() if people <= _sources(card)), key=lambda name: cards[name].parameters
        )
        return "" if largest == self._listing.default_model else largest


def _sources(card: "ModelCard") -> set[str]:
    """Whose images a model learned from beside its data set's."""
    return set(card.recipe.get("sources", ()))


def _doubt(result: "Classification") -> str:
    """Why an answer is unsure; empty if it is not."""
    if len(result.candidates) > 1:
        return f"{len(result.candidates)} digits cannot be ruled out"
    return f"margin {result.margin:.2f}" if result.margin < _UNSURE else ""
