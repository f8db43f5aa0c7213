"""The client for asyncio."""
# ruff: noqa: ASYNC109  a timeout becomes the deadline of the RPC

import asyncio
import copy
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Self, Unpack, overload

import grpc
import grpc.aio
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client.answers import health as health_messages
from digits_client.answers.explanations import Explanation, read_explanation
from digits_client.answers.health import Health
from digits_client.answers.models import (
    Learning,
    ListedVersion,
    Listing,
    ModelCard,
    Network,
    read_card,
    read_layer,
    read_learning,
    read_listing,
)
from digits_client.answers.reading import Reading, read_reading
from digits_client.answers.results import Classification, Classifications, read_identity
from digits_client.base import BaseClient, ClassifyOptions
from digits_client.coalescing import BatchKey, Coalescer
from digits_client.connection.channel import (
    CLASSIFY,
    EXPLAIN,
    GET_LEARNING,
    GET_MODEL,
    GET_NETWORK,
    LIST_MODELS,
    READ,
    Deadline,
    Metadata,
    Rpc,
    check_text,
    stream_on,
)
from digits_client.connection.loops import Loops, LoopState
from digits_client.errors import DeadlineExceeded, DigitsError, ModelNotFound, Result, read_answer
from digits_client.images import ImageFile, ImageList, Images, read_images_in_thread, read_picture
from digits_client.stream import StreamResult, StreamResults, each

# Bytes of a request beside its pixels: names, field numbers, lengths.
_REQUEST_OVERHEAD = 1024


class AsyncDigitsClient(BaseClient):
    """`DigitsClient` for asyncio, with the same deadlines, errors and retries.

    Any number of tasks and event loops may share it; each event loop has connections of its own. Close it, or use it
    with `async with`.
    """

    def __init__(
        self,
        target: str,
        *,
        model: str = "",
        version: str = "",
        timeout: float = 5.0,
        channels: int = 1,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        wait_for_ready: bool = False,
        coalesce: bool = False,
        server_name: str = "",
    ) -> None:
        """As `DigitsClient`, with one more option.

        With `coalesce`, single arrays that are classified in the same turn of the event loop share one call; each
        gets its own result or error.
        """
        super().__init__(target, credentials, server_name, model, version, timeout, channels, metadata, wait_for_ready)
        self._loops = Loops(
            lambda: LoopState(self._endpoint, channels, Coalescer(self._send) if coalesce else None), self._place
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Calls in flight and later calls raise `ClientClosed`."""
        await self._loops.close()

    @overload
    async def classify(self, images: ImageList, **options: Unpack[ClassifyOptions]) -> Classifications: ...
    @overload
    async def classify(self, images: ImageFile, **options: Unpack[ClassifyOptions]) -> Classification: ...
    @overload
    async def classify(self, images: NDArray[Any], **options: Unpack[ClassifyOptions]) -> Any: ...
    async def classify(
        self,
        images: Images,
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        reject_above: float | None = None,
        timeout: float | None = None,
    ) -> Classification | Classifications:
        """As `DigitsClient.classify`."""
        deadline = self._deadline(timeout)
        batch = await read_images_in_thread(images)
        request = self._classify_request(model, version, activations, coverage, reject_above)
        listed = await self._find_version(request, deadline) if batch.arrays else None
        single = batch.fill(request, listed)
        coalescer = self._loops.current().coalescer
        if single and listed is not None and coalescer is not None:
            key = BatchKey(request.model, request.version, activations, coverage, reject_above, deadline.seconds)
            return await coalescer.add(key, request.pixels, self._max_images(listed))
        results = await self._classify(request, deadline, batch.count(listed), listed)
        return results[0] if single else results

    async def read(
        self,
        picture: ImageFile,
        *,
        model: str | None = None,
        version: str | None = None,
        coverage: float | None = None,
        reject_above: float | None = None,
        timeout: float | None = None,
    ) -> Reading:
        """As `DigitsClient.read`."""
        deadline = self._deadline(timeout)
        request = self._read_request(model, version, coverage, reject_above)
        request.encoded_image = await asyncio.to_thread(read_picture, picture)
        return await self._call(READ, request, deadline, read_reading)

    async def explain(
        self,
        image: Images,
        *,
        model: str | None = None,
        version: str | None = None,
        explained_class: int | None = None,
        find_change: bool = False,
        changed_class: int | None = None,
        timeout: float | None = None,
    ) -> Explanation:
        """As `DigitsClient.explain`."""
        deadline = self._deadline(timeout)
        batch = await read_images_in_thread(image)
        request = self._classify_request(model, version, False, None, None)
        listed = await self._find_version(request, deadline) if batch.arrays else None
        explained = self._explain_request(batch, listed, request, explained_class, find_change, changed_class)
        with self._discard_listing_on_error():
            return await self._call(EXPLAIN, explained, deadline, read_explanation)

    async def classify_stream(
        self,
        images: Iterable[Images] | AsyncIterable[Images],
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        reject_above: float | None = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[StreamResult]:
        """As `DigitsClient.classify_stream`, but the event loop reads the iterable.

        An iterable that is not asynchronous must not block. Closing the generator cancels the call and the reading.
        """
        deadline = self._deadline(timeout)
        results = StreamResults(activations, self._place)

        async def requests() -> AsyncIterator[bytes]:
            try:
                async for item in each(images):
                    request = self._classify_request(model, version, activations, coverage, reject_above)
                    try:
                        batch = await read_images_in_thread(item)
                        listed = await self._find_version(request, deadline) if batch.arrays else None
                        single = batch.fill(request, listed)
                    except Exception as error:  # yielded in the place of its result
                        results.add_failed(error)
                        await asyncio.sleep(0)  # endless bad items would block the loop
                        continue
                    number = results.add_sent(single, batch.count(listed))
                    yield pb.ClassifyStreamRequest(id=number, request=request).SerializeToString()
            except Exception as error:  # gRPC would only log it
                results.broken = error

        stream = stream_on(self._loops.current().channel())
        with self._loops.calling(deadline):
            call = stream(requests(), timeout=deadline.left(), **self._options)
            try:
                async for data in call:
                    for result in results.take(data):
                        yield result
            finally:
                call.cancel()
        for result in results.take_rest():
            yield result

    async def models(self, *, timeout: float | None = None) -> Listing:
        """As `DigitsClient.models`."""
        self._listing = await self._list(self._deadline(timeout))
        return self._listing

    async def model(
        self, name: str | None = None, version: str | None = None, *, timeout: float | None = None
    ) -> ModelCard:
        """As `DigitsClient.model`."""
        name, version = self._select(name, version)
        request = pb.GetModelRequest(model=name, version=version)
        return await self._call(GET_MODEL, request, self._deadline(timeout), read_card)

    async def network(
        self, name: str | None = None, version: str | None = None, *, member: int = 0, timeout: float | None = None
    ) -> Network:
        """As `DigitsClient.network`."""
        deadline = self._deadline(timeout)
        name, version = self._select(name, version)
        request = pb.GetNetworkRequest(model=name, version=version, member=member)
        response: pb.GetNetworkResponse = await self._call(GET_NETWORK, request, deadline, lambda message: message)
        # The version that answered, so that all layers are of one network.
        pinned: Any = {"model": response.model.name, "version": response.model.version, "member": member}
        layers = [
            await self._call(GET_NETWORK, pb.GetNetworkRequest(**pinned, layer=each.layer), deadline, read_layer)
            for each in response.layers
        ]
        return Network(read_identity(response.model), tuple(response.layer_widths), tuple(layers))

    async def learning(
        self, name: str | None = None, version: str | None = None, *, timeout: float | None = None
    ) -> Learning:
        """As `DigitsClient.learning`."""
        deadline = self._deadline(timeout)
        name, version = self._select(name, version)
        request = pb.GetLearningRequest(model=name, version=version, layer=1)
        first: pb.GetLearningResponse = await self._call(GET_LEARNING, request, deadline, lambda message: message)
        answers = [first]
        for layer in range(2, len(first.layer_widths)):
            request = pb.GetLearningRequest(model=first.model.name, version=first.model.version, layer=layer)
            answers.append(await self._call(GET_LEARNING, request, deadline, lambda message: message))
        return read_learning(answers)

    async def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """As `DigitsClient.health`."""
        deadline = self._deadline(timeout)
        check_text("service", service)
        check = self._loops.current().channel().unary_unary(health_messages.PATH)
        try:
            with self._loops.calling(deadline):
                answer = await check(health_messages.write_request(service), timeout=deadline.left(), **self._options)
        except ModelNotFound:
            return Health.SERVICE_UNKNOWN
        return health_messages.read_response(answer)

    async def _find_version(self, request: pb.ClassifyRequest, deadline: Deadline) -> ListedVersion:
        """The version that serves the request, by the listing, which is requested once."""
        if cached := self._find_cached(request):
            return cached
        # Concurrent callers share one ListModels call and wake in the same turn of the loop. A caller with a short
        # timeout does not end it for the others: the call has at least the client's timeout, each caller its own.
        while True:
            state = self._loops.current()
            if state.listing_task is None:
                shared = Deadline(max(self._timeout, deadline.seconds), self._place)
                state.listing_task = asyncio.get_running_loop().create_task(self._list(shared))
                state.listing_task.add_done_callback(partial(self._store_listing, state))
            task = state.listing_task
            await asyncio.wait([task], timeout=deadline.left())
            if task.done() and not task.cancelled():
                try:
                    return task.result().find(request.model, request.version)
                except DeadlineExceeded:
                    pass  # this caller may have time left
                except DigitsError as error:
                    own = copy.copy(error)  # a shared error would collect the tracebacks of all callers
                    raise own from error.__cause__

    async def _list(self, deadline: Deadline) -> Listing:
        return await self._call(LIST_MODELS, pb.ListModelsRequest(), deadline, read_listing)

    def _store_listing(self, state: LoopState, task: asyncio.Task[Listing]) -> None:
        state.listing_task = None
        if not task.cancelled() and task.exception() is None:
            self._listing = task.result()

    def _max_images(self, version: ListedVersion) -> int:
        """The most images of that version in one call."""
        listing = self._listing
        if listing is None:
            return 1
        return max(1, min(listing.max_rows, (listing.max_message_bytes - _REQUEST_OVERHEAD) // version.features))

    async def _send(self, key: BatchKey, pixels: bytes, count: int) -> Classifications:
        """Classify coalesced images."""
        request = self._classify_request(key.model, key.version, key.activations, key.coverage, key.reject_above)
        request.pixels = pixels
        return await self._classify(request, self._deadline(key.timeout), count, None)

    async def _classify(
        self, request: pb.ClassifyRequest, deadline: Deadline, count: int, version: ListedVersion | None
    ) -> Classifications:
        read = partial(self._read_results, count=count, activations=request.include_activations, version=version)
        with self._discard_listing_on_error():
            return await self._call(CLASSIFY, request, deadline, read)

    async def _call(self, rpc: Rpc, request: Any, deadline: Deadline, read: Callable[[Any], Result]) -> Result:
        data = request.SerializeToString()
        while True:
            method = self._loops.current().method(rpc)
            try:
                with self._loops.calling(deadline):
                    answer = await method(data, timeout=deadline.left(), **self._options)
            except DigitsError as error:
                pause = deadline.pause(error)
                if pause is None:
                    raise
            else:
                return read_answer(answer, rpc.response, read, self._place)
            await asyncio.sleep(pause)
