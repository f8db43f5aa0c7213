"""ModelInfer and ModelStreamInfer: read the tensors, queue the rows, write the answer."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import INPUT
from engine.decode_pool import DecodePool
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.shared_memory import SharedMemory
from service.api.errors import translate
from service.api.method import Context, LocalContext
from service.api.middleware.metrics import count_message
from service.api.open_inference.inputs import THREAD_BYTES, only_input, read_form, read_pixels
from service.api.open_inference.outputs import Plan, Warnings, read_plan, write_response
from service.api.open_inference.pictures import read_pictures
from service.api.open_inference.terms import end_in_time, find_version, hasten, read_timeout
from service.api.streaming import Admitted, answer_each

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"


class InferApi:
    """The handlers that score images."""

    def __init__(self, repository: Repository, decode_pool: DecodePool, memory: SharedMemory, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._repository = repository
        self._decode_pool = decode_pool
        self._memory = memory
        self._max_rows = max_rows

    async def model_infer(
        self, request: pb.ModelInferRequest, context: Context, admitted: Admitted | None = None
    ) -> pb.ModelInferResponse:
        """All images of one request, in order.

        With `admitted` it waits where it would refuse because the queue is full, and sets `admitted` once
        the images are in the queue.
        """
        version = await find_version(self._repository, request.model_name, request.model_version, "model_version")
        context.calls = version.statistics.calls[INFER if admitted is None else STREAM_INFER]
        timeout = read_timeout(request.parameters)
        hasten(context, timeout)
        card = version.session.card
        plan = read_plan(request, card, self._memory)
        pixels, warnings = await self._read(request, card, context, wait=admitted is not None)
        if plan.windows:
            plan.check_windows(card, len(pixels))
        if admitted is not None:
            await version.batcher.wait_for_capacity(len(pixels), context.deadline)
        id_ = request.id

        def encode(answer: BatchSlice) -> tuple[BatchSlice, pb.ModelInferResponse]:
            return answer, write_response(version, plan, id_, answer, warnings)

        future = version.batcher.submit(
            pixels,
            encode if context.record is None else context.record.observed(version, len(pixels), encode),
            hidden=plan.hidden,
            warnings=plan.warnings,
            deadline=context.deadline,
        )
        end_in_time(future, context, timeout)
        if admitted is not None:
            admitted.set_result(None)
        answer, response = await future
        if plan.windows:
            await _write_windows(plan, answer)
        return response

    async def _read(
        self, request: pb.ModelInferRequest, card: Card, context: Context, *, wait: bool
    ) -> tuple[NDArray[np.uint8], Warnings]:
        """The pixels of a request, uint8 [N, rows*cols], and what looks wrong with pictures.

        `wait` for room to decode pictures instead of refusing.
        """
        if only_input(request).name == INPUT:
            return await read_pixels(request, read_form(request, card, self._max_rows, self._memory), card), ()
        pictures = read_pictures(request, self._max_rows)
        if wait:
            await self._decode_pool.wait_for_capacity(len(pictures), context.deadline)
        names = [f"inputs[0][{index}]" for index in range(len(pictures))]
        pixels, warnings = await self._decode_pool.prepare(pictures, card, context.deadline, names)
        return pixels, [(row, warning) for row, each in enumerate(warnings) for warning in each]

    def model_stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """One answer for each request, in their order; an error is the answer to its request alone."""

        async def answer(request: pb.ModelInferRequest, admitted: Admitted) -> pb.ModelStreamInferResponse:
            try:
                own = LocalContext(deadline=context.deadline, calls=context.calls, record=context.record)
                response = await count_message(self.model_infer(request, own, admitted), own)
            except Exception as error:
                failure = translate(error, STREAM_INFER)
                return pb.ModelStreamInferResponse(
                    error_message=failure.message, infer_response=pb.ModelInferResponse(id=request.id)
                )
            response.parameters["triton_final_response"].bool_param = True
            return pb.ModelStreamInferResponse(infer_response=response)

        return answer_each(requests, answer)


async def _write_windows(plan: Plan, answer: BatchSlice) -> None:
    """Write to shared memory what is wanted there. Raises `InvalidInput`."""

    def write() -> None:
        for index, output in enumerate(plan.outputs):
            if output.window is not None:
                output.window.region.write(output.window.offset, output.of(answer.result), f"outputs[{index}]")

    if sum(output.of(answer.result).nbytes for output in plan.windows) < THREAD_BYTES:
        write()
    else:
        await asyncio.to_thread(write)
