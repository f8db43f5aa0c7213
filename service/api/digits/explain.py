"""Explain: what each pixel and neuron adds to a score, and what would make an image another class."""

from dataclasses import dataclass

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from artifact.card import Card
from engine.decode_pool import DecodePool
from engine.errors import InvalidInput
from engine.explaining.change import find_change
from engine.explaining.contributions import Contributions, explain
from engine.explaining.explainer import Explainer, Stop
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from imaging.pixels import ImageWarning
from service.api.digits.models import identity
from service.api.digits.pixels import Rows, read_pixels
from service.api.digits.predictions import write_predictions
from service.api.method import Context

EXPLAIN = "/digits.v1.DigitsService/Explain"


@dataclass(frozen=True, slots=True)
class _Found:
    contributions: list[Contributions]
    """Of each member."""
    changed: NDArray[np.uint8] | None
    """[rows*cols]"""


class ExplainApi:
    """The handler of Explain."""

    def __init__(self, repository: Repository, decode_pool: DecodePool, explainer: Explainer) -> None:
        self._repository = repository
        self._decode_pool = decode_pool
        self._explainer = explainer

    async def explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """The parts of one class's logit for one image, and on request a changed image, tried on the model."""
        version = await self._repository.find_loaded(request.model, request.version)
        context.calls = version.statistics.calls[EXPLAIN]
        card = version.session.card
        _check_classes(request, card)
        pixels, warnings = await self._image(request, card, context)
        answer = await _submit(pixels, version, context)
        scores = answer.result.scores[0]
        best = int(scores.argmax())
        if request.HasField("changed_class") and request.changed_class == best:
            raise InvalidInput("changed_class", f"is {best}, whose score is the best already, expected another")
        position = request.explained_class if request.HasField("explained_class") else best
        wanted = [request.changed_class] if request.HasField("changed_class") else np.argsort(-scores)[1:4].tolist()

        def work(stop: Stop) -> _Found:
            networks = self._explainer.networks(version)
            contributions = [explain(network, pixels[0], position) for network in networks]
            changed = None
            if request.find_change:
                lead = 0.1 if card.variant else 1e-3  # a variant also rounds the values of its neurons
                changed = find_change(networks, pixels[0], wanted, card.pixel_max, stop, lead=lead)
            return _Found(contributions, changed)

        found = await self._explainer.run(work, context.deadline)
        response = pb.ExplainResponse(pixels=pixels.tobytes(), explained_class=position)
        response.model.CopyFrom(identity(version))
        timings = response.timings
        timings.queue_us, timings.inference_us, timings.batch_rows = (
            answer.queue_us,
            answer.inference_us,
            answer.batch_rows,
        )
        write_predictions([response.prediction], answer.result, card)
        for warning in dict.fromkeys((*warnings, *(each for _, each in answer.result.warnings))):
            response.prediction.warnings.append(warning.sentence)
            response.prediction.warning_codes.append(warning.code)
        response.members.extend(_explanation(each, card) for each in found.contributions)
        if found.changed is not None:
            await _write_change(response, found.changed, wanted, version, context)
        return response

    async def _image(
        self, request: pb.ExplainRequest, card: Card, context: Context
    ) -> tuple[Rows, tuple[ImageWarning, ...]]:
        """The one image of a request, uint8 [1, rows*cols], and what is odd about its file."""
        if request.encoded_image:
            if request.pixels:
                raise InvalidInput("pixels", "is set, and so is encoded_image; expected exactly one of the two")
            pixels, [warnings] = await self._decode_pool.prepare(
                [request.encoded_image], card, context.deadline, fields=["encoded_image"]
            )
            return pixels, warnings
        pixels = read_pixels(request.pixels, card, most=1, other="encoded_image")
        return pixels, ()


def _check_classes(request: pb.ExplainRequest, card: Card) -> None:
    classes = len(card.classes)
    for field in ("explained_class", "changed_class"):
        if request.HasField(field) and getattr(request, field) >= classes:
            raise InvalidInput(
                field, f"is {getattr(request, field)}, expected 0..{classes - 1}, the position of a class"
            )
    if request.HasField("changed_class") and not request.find_change:
        raise InvalidInput("changed_class", "is set, and find_change is not; expected both, or neither")


async def _submit(pixels: Rows, version: Version, context: Context) -> BatchSlice:
    await version.batcher.wait_for_capacity(len(pixels), context.deadline)
    encode = _answer if context.record is None else context.record.observed(version, len(pixels), _answer)
    return await version.batcher.submit(pixels, encode, deadline=context.deadline)


def _answer(answer: BatchSlice) -> BatchSlice:
    return answer


def _explanation(found: Contributions, card: Card) -> pb.Explanation:
    message = pb.Explanation(logit=found.logit, exact=found.exact)
    names = ("pixels", *card.hidden_names[: len(card.layer_widths) - 2])
    for name, layer in zip(names, found.layers, strict=True):
        message.layers.add(name=name, contributions=layer.values.tolist(), rest=layer.rest)
    return message


async def _write_change(
    response: pb.ExplainResponse, changed: NDArray[np.uint8], wanted: list[int], version: Version, context: Context
) -> None:
    """Write `changed` if the served model gives it one of the classes `wanted`; a variant may not."""
    answer = await _submit(changed[None], version, context)
    if int(answer.result.scores[0].argmax()) in wanted:
        change = response.change
        change.pixels = changed.tobytes()
        change.changed_pixels = int((changed != np.frombuffer(response.pixels, np.uint8)).sum())
        write_predictions([change.prediction], answer.result, version.session.card)
