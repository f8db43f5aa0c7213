"""`digits.v1.DigitsService`: validate, prepare images, queue, and write the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.message import Message

from engine.decode_pool import DecodePool
from engine.errors import InvalidInput
from engine.explaining.explainer import Explainer
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from service.api.digits.explain import ExplainApi
from service.api.digits.fast_path import CLASSIFY, ClassifyFastPath
from service.api.digits.learning import LearningApi
from service.api.digits.models import ModelsApi
from service.api.digits.pixels import Rows, check_count, read_pixels
from service.api.digits.predictions import Warnings, write_response
from service.api.digits.read import ReadApi
from service.api.digits.wishes import read_wish
from service.api.errors import translate
from service.api.method import Context, Kind, LocalContext, Method
from service.api.middleware.metrics import count_message
from service.api.streaming import Admitted, answer_each

SERVICE = "digits.v1.DigitsService"
CLASSIFY_STREAM = f"/{SERVICE}/ClassifyStream"

# Pixels of a call from which on its activations are written in a thread: ten milliseconds' worth of work.
ASIDE_PIXELS = 100_000


class DigitsApi:
    """The handlers of the service."""

    def __init__(self, repository: Repository, decode_pool: DecodePool, models: ModelsApi, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._repository = repository
        self._decode_pool = decode_pool
        self._models = models
        self._max_rows = max_rows
        self._reader = ReadApi(repository, decode_pool)
        self._explainer = Explainer()
        self._explain = ExplainApi(repository, decode_pool, self._explainer)
        self._learning = LearningApi(repository, self._explainer)

    def methods(self) -> tuple[Method, ...]:
        """The RPCs of the service."""
        unary, models = Kind.UNARY, self._models
        return (
            replace(
                _method("Classify", pb.ClassifyRequest, pb.ClassifyResponse, unary, self.classify),
                fast_path=ClassifyFastPath(self._repository, self._max_rows).start,
            ),
            _method(
                "ClassifyStream",
                pb.ClassifyStreamRequest,
                pb.ClassifyStreamResponse,
                Kind.STREAM,
                self.classify_stream,
            ),
            _method("Read", pb.ReadRequest, pb.ReadResponse, unary, self._reader.read),
            _method("ListModels", pb.ListModelsRequest, pb.ListModelsResponse, unary, models.list_models),
            _method("GetModel", pb.GetModelRequest, pb.GetModelResponse, unary, models.get_model),
            _method("GetNetwork", pb.GetNetworkRequest, pb.GetNetworkResponse, unary, models.get_network),
            _method("GetLearning", pb.GetLearningRequest, pb.GetLearningResponse, unary, self._learning.get_learning),
            _method("Explain", pb.ExplainRequest, pb.ExplainResponse, unary, self._explain.explain),
        )

    def close(self) -> None:
        """Drop the explanations that wait, and let their thread end."""
        self._explainer.close()

    async def classify(
        self, request: pb.ClassifyRequest, context: Context, admitted: Admitted | None = None
    ) -> pb.ClassifyResponse:
        """One prediction for each image.

        With `admitted` it waits where it would refuse because a queue is full, and sets `admitted` once
        the images are in the queue.
        """
        version = await self._repository.find_loaded(request.model, request.version)
        context.calls = version.statistics.calls[CLASSIFY if admitted is None else CLASSIFY_STREAM]
        wish = read_wish(request, version.session.card)
        warnings: Warnings = ()
        if request.encoded_images:
            pixels, warnings = await self._decode(request, version, context, wait=admitted is not None)
        else:
            pixels = read_pixels(request.pixels, version.session.card, most=self._max_rows, other="encoded_images")
        hidden = request.include_activations
        # Megabytes of activations are written in a thread, so that the event loop gets its turns.
        aside = hidden and pixels.size > ASIDE_PIXELS
        write = partial(
            write_response,
            version,
            warnings=warnings,
            activations_of=pixels if hidden else None,
            wish=wish,
        )
        if admitted is not None:
            await version.batcher.wait_for_capacity(len(pixels), context.deadline)
        encode: Callable[[BatchSlice], Any] = _answer if aside else write
        if context.record is not None:
            encode = context.record.observed(version, len(pixels), encode)
        future: asyncio.Future[Any] = version.batcher.submit(
            pixels,
            encode,
            hidden=hidden,
            warnings=True,
            deadline=context.deadline,
        )
        if admitted is not None:
            admitted.set_result(None)
        result: pb.ClassifyResponse | BatchSlice = await future
        if isinstance(result, BatchSlice):
            return await asyncio.to_thread(write, result)
        return result

    def classify_stream(
        self, requests: AsyncIterator[pb.ClassifyStreamRequest], context: Context
    ) -> AsyncIterator[pb.ClassifyStreamResponse]:
        """One answer for each message, in their order; an error is the answer to its message alone."""

        async def answer(message: pb.ClassifyStreamRequest, admitted: Admitted) -> pb.ClassifyStreamResponse:
            try:
                own = LocalContext(deadline=context.deadline, calls=context.calls, record=context.record)
                response = await count_message(self.classify(message.request, own, admitted), own)
            except Exception as error:
                status = translate(error, CLASSIFY_STREAM).status()
                return pb.ClassifyStreamResponse(id=message.id, error=status)
            return pb.ClassifyStreamResponse(id=message.id, response=response)

        return answer_each(requests, answer)

    async def _decode(
        self, request: pb.ClassifyRequest, version: Version, context: Context, *, wait: bool
    ) -> tuple[Rows, Warnings]:
        """The same for encoded images, with what looks wrong; `wait` for room to decode instead of refusing."""
        if request.pixels:
            raise InvalidInput("pixels", "is set, and so is encoded_images; expected exactly one of the two")
        check_count("encoded_images", len(request.encoded_images), self._max_rows)
        if wait:
            await self._decode_pool.wait_for_capacity(len(request.encoded_images), context.deadline)
        pixels, warnings = await self._decode_pool.prepare(
            request.encoded_images, version.session.card, context.deadline
        )
        return pixels, [(row, warning) for row, each in enumerate(warnings) for warning in each]


def _method(name: str, request: type[Message], response: type[Message], kind: Kind, handler: object) -> Method:
    return Method(f"/{SERVICE}/{name}", request, response, kind, handler)  # type: ignore[arg-type]


def _answer(answer: BatchSlice) -> BatchSlice:
    return answer
