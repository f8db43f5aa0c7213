"""What a request asks of its predictions beyond the scores."""

from typing import Protocol

from artifact.card import Card
from artifact.prediction_sets import DEFAULT_COVERAGE
from engine.errors import InvalidInput
from service.api.digits.predictions import Wish


class WishingRequest(Protocol):
    """The fields that ClassifyRequest and ReadRequest share."""

    coverage: float
    reject_above: float


def read_wish(request: WishingRequest, card: Card) -> Wish:
    """The wishes of a request to a model with this card. Raises `InvalidInput` that names the field."""
    return Wish(_coverage(request.coverage, card), _reject_above(request.reject_above, card))


def _coverage(coverage: float, card: Card) -> float:
    if not coverage:
        return DEFAULT_COVERAGE
    if not 0 < coverage < 1:
        raise InvalidInput("coverage", f"is {coverage:g}, expected more than 0 and less than 1, or 0 for the default")
    if not card.thresholds:
        raise InvalidInput(
            "coverage", f"is {coverage:g}, and model {card.name} has no thresholds to rule out classes by"
        )
    return coverage


def _reject_above(chance: float, card: Card) -> float:
    if not chance:
        return 1.0
    if not 0 < chance < 1:
        raise InvalidInput("reject_above", f"is {chance:g}, expected more than 0 and less than 1, or 0 to reject none")
    if not card.detects_outliers:
        raise InvalidInput("reject_above", f"is {chance:g}, and model {card.name} cannot tell digits from other images")
    return chance
