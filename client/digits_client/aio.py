"""The client for asyncio."""
# ruff: noqa: ASYNC109  a timeout here becomes the deadline that the server is told

import asyncio
import copy
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Self, Unpack, overload

import grpc
import grpc.aio
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client import health as health_messages
from digits_client.coalescing import Coalescer, Kind
from digits_client.connection.channel import (
    CLASSIFY,
    GET_MODEL,
    GET_NETWORK,
    LIST_MODELS,
    Deadline,
    Defaults,
    Metadata,
    Options,
    Rpc,
    check_text,
    stream_on,
)
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.loops import Loops, OnLoop
from digits_client.errors import (
    Answer,
    DeadlineExceeded,
    DigitsError,
    InvalidInput,
    ModelNotFound,
    ServerError,
    read_answer,
)
from digits_client.health import Health
from digits_client.images import File, Images, Several, read_images_aside
from digits_client.models import ListedVersion, Listing, ModelCard, Network, read_card, read_layer, read_listing
from digits_client.results import Classification, Classifications, read_identity, read_response
from digits_client.stream import Answers, StreamResult, each

# Bytes of a request beside its pixels: names, field numbers, lengths.
_ROOM = 1024


class AsyncDigitsClient:
    """Calls one digits server; to be shared between tasks, and closed (or used with `async with`).

    Each event loop that it is used on, of another thread or one after the other, has connections of its own.

    Every method has a deadline of `timeout` seconds, at most a year, and raises a `DigitsError` when the call
    fails. Calls that find no server, or one that is going away, are repeated by gRPC up to three times; calls
    refused because a queue is full are repeated, as the server bids, as long as there is time.

    Where nobody listens a call fails with `Unavailable` within a second, whatever its timeout. With
    `wait_for_ready` it waits for a server until its deadline instead, and fails with `DeadlineExceeded`.
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
        """A client of the server at `target`, e.g. `localhost:8001`; it connects with the first call.

        `model` and `version` are meant when a call names none; empty: the server's default model, its newest
        ready version. `channels` connections are used in turn. With `credentials` they use TLS; the server's
        certificate must carry `server_name`, empty: the host of `target`.
        `metadata` goes with every call. With `coalesce` single arrays that are classified in the same turn
        of the event loop travel in one call; each still gets its own result or error. With `wait_for_ready`
        calls wait for a server that is still starting.

        Raises `ValueError` or `TypeError` for an option that cannot be what it should.
        """
        endpoint = Endpoint(target, credentials, server_name)
        self._defaults = Defaults(endpoint, model, version, timeout, tuple(metadata), channels)
        self._sent: dict[str, Any] = {"metadata": self._defaults.metadata, "wait_for_ready": wait_for_ready}
        self._loops = Loops(lambda: OnLoop(self._defaults, Coalescer(self._send) if coalesce else None), str(endpoint))
        self._listing: Listing | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls in flight, and all later ones, end with `ClientClosed`."""
        await self._loops.close()

    @overload
    async def classify(self, images: Several, **options: Unpack[Options]) -> Classifications: ...
    @overload
    async def classify(self, images: File, **options: Unpack[Options]) -> Classification: ...
    @overload
    async def classify(self, images: NDArray[Any], **options: Unpack[Options]) -> Any: ...
    async def classify(
        self,
        images: Images,
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        timeout: float | None = None,
    ) -> Classification | Classifications:
        """Classify one image, which gives a `Classification`, or several, which give `Classifications`.

        An image is an array of raw pixels, [rows, cols] or [rows*cols], whole numbers in the model's range,
        ink bright; or the path or bytes of an image file, or a PIL image, of any size, which the server
        prepares. Several are a list of these, or an array [N, rows, cols] or [N, rows*cols].

        With `activations` each result carries the values of every layer. `coverage`, between 0 and 1, says how
        often the true class shall be among a result's candidates, by default 0.99; a model that has no
        thresholds refuses it with `InvalidInput`. Raises `ValueError` or `TypeError` for an array that does not
        fit the model, `OSError` for a file that cannot be read.
        """
        deadline = self._defaults.deadline(timeout)
        batch = await read_images_aside(images)
        request = self._defaults.request(model, version, activations, coverage)
        wanted = await self._version(request, deadline) if batch.arrays else None
        single = batch.fill(request, wanted)
        coalescer = self._loops.current().coalescer
        if single and wanted is not None and coalescer is not None:
            kind = Kind(request.model, request.version, activations, coverage, deadline.seconds)
            return await coalescer.add(kind, request.pixels, self._most(wanted))
        results = await self._classify(request, deadline, batch.count(wanted), wanted)
        return results[0] if single else results

    async def classify_stream(
        self,
        images: Iterable[Images] | AsyncIterable[Images],
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        timeout: float = 600.0,
    ) -> AsyncIterator[StreamResult]:
        """Classify as images come; yields what `classify` would return for each, in order.

        An item that fails yields its error (a `DigitsError`, `ValueError`, `TypeError` or `OSError`) in its
        place and the stream goes on. What ends the whole stream is raised, as is an error of the iterable.
        The deadline is for the whole stream. The iterable is read ahead of the answers; one that is not
        asynchronous is read in the event loop, so it must not block. Closing the generator cancels the call
        and stops the reading.
        """
        deadline = self._defaults.deadline(timeout)
        answers = Answers(activations, self._defaults.place)

        async def requests() -> AsyncIterator[bytes]:
            try:
                async for item in each(images):
                    request = self._defaults.request(model, version, activations, coverage)
                    try:
                        batch = await read_images_aside(item)
                        wanted = await self._version(request, deadline) if batch.arrays else None
                        single = batch.fill(request, wanted)
                    except Exception as error:  # told to the caller in its place
                        answers.failed(error)
                        await asyncio.sleep(0)  # or endless bad items would never let go of the loop
                        continue
                    number = answers.sent(single, batch.count(wanted))
                    yield pb.ClassifyStreamRequest(id=number, request=request).SerializeToString()
            except Exception as error:  # gRPC would only log what the iterable raises
                answers.broken = error

        stream = stream_on(self._loops.current().channel())
        with self._loops.calling(deadline):
            call = stream(requests(), timeout=deadline.left(), **self._sent)
            try:
                async for data in call:
                    for result in answers.take(data):
                        yield result
            finally:
                call.cancel()
        for result in answers.rest():
            yield result

    async def models(self, *, timeout: float | None = None) -> Listing:
        """All models of the server with their versions, and the limits of a call."""
        self._listing = await self._list(self._defaults.deadline(timeout))
        return self._listing

    async def model(
        self, name: str | None = None, version: str | None = None, *, timeout: float | None = None
    ) -> ModelCard:
        """What a model says of itself."""
        name, version = self._defaults.named(name, version)
        request = pb.GetModelRequest(model=name, version=version)
        return await self._call(GET_MODEL, request, self._defaults.deadline(timeout), read_card)

    async def network(
        self, name: str | None = None, version: str | None = None, *, member: int = 0, timeout: float | None = None
    ) -> Network:
        """The weights and biases of a model, or of one member of a committee."""
        deadline = self._defaults.deadline(timeout)
        name, version = self._defaults.named(name, version)
        request = pb.GetNetworkRequest(model=name, version=version, member=member)
        shapes: pb.GetNetworkResponse = await self._call(GET_NETWORK, request, deadline, lambda answer: answer)
        # The layers are asked of the version that answered, so that all are of one network.
        asked: Any = {"model": shapes.model.name, "version": shapes.model.version, "member": member}
        layers = [
            await self._call(GET_NETWORK, pb.GetNetworkRequest(**asked, layer=layer.layer), deadline, read_layer)
            for layer in shapes.layers
        ]
        return Network(read_identity(shapes.model), tuple(shapes.layer_widths), tuple(layers))

    async def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """Whether the server, a service or a model serves; true when it does. Not repeated on failure."""
        deadline = self._defaults.deadline(timeout)
        check_text("service", service)
        check = self._loops.current().channel().unary_unary(health_messages.PATH)
        try:
            with self._loops.calling(deadline):
                answer = await check(health_messages.write_request(service), timeout=deadline.left(), **self._sent)
        except ModelNotFound:
            return Health.SERVICE_UNKNOWN
        return health_messages.read_response(answer)

    async def _version(self, request: pb.ClassifyRequest, deadline: Deadline) -> ListedVersion:
        """What will answer the request, from the listing, which is asked for once."""
        listing = self._listing
        if listing is not None:
            try:
                return listing.find(request.model, request.version)
            except ModelNotFound:
                pass  # it may be there by now
        # Whoever comes while the question is open shares the answer, and wakes in the same turn as the others.
        # Nobody's haste ends it for the others: it has the client's own timeout, each waits as long as it may.
        while True:
            here = self._loops.current()
            if here.asking is None:
                patience = Deadline(max(self._defaults.timeout, deadline.seconds), self._defaults.place)
                here.asking = asyncio.get_running_loop().create_task(self._list(patience))
                here.asking.add_done_callback(partial(self._listed, here))
            asking = here.asking
            await asyncio.wait([asking], timeout=deadline.left())
            if asking.done() and not asking.cancelled():
                try:
                    return asking.result().find(request.model, request.version)
                except DeadlineExceeded:
                    pass  # who has time left asks again
                except DigitsError as error:
                    own = copy.copy(error)  # or the callers' tracebacks would grow into each other
                    raise own from error.__cause__

    async def _list(self, deadline: Deadline) -> Listing:
        return await self._call(LIST_MODELS, pb.ListModelsRequest(), deadline, read_listing)

    def _listed(self, here: OnLoop, task: asyncio.Task[Listing]) -> None:
        here.asking = None
        if not task.cancelled() and task.exception() is None:
            self._listing = task.result()

    def _most(self, version: ListedVersion) -> int:
        """Images of that version that one call may carry."""
        listing = self._listing
        if listing is None:
            return 1
        return max(1, min(listing.max_rows, (listing.max_message_bytes - _ROOM) // version.features))

    async def _send(self, kind: Kind, pixels: bytes, count: int) -> Classifications:
        """Classify images that were coalesced."""
        request = self._defaults.request(kind.model, kind.version, kind.activations, kind.coverage)
        request.pixels = pixels
        return await self._classify(request, self._defaults.deadline(kind.timeout), count, None)

    async def _classify(
        self, request: pb.ClassifyRequest, deadline: Deadline, count: int, wanted: ListedVersion | None
    ) -> Classifications:
        read = partial(read_response, count=count, activations=request.include_activations)
        try:
            results = await self._call(CLASSIFY, request, deadline, read)
        except (InvalidInput, ModelNotFound, ServerError):
            self._listing = None
            raise
        if wanted is not None and results.model.version != wanted.version:
            self._listing = None  # a newer version answers by now
        return results

    async def _call(self, rpc: Rpc, request: Any, deadline: Deadline, read: Callable[[Any], Answer]) -> Answer:
        data = request.SerializeToString()
        while True:
            method = self._loops.current().method(rpc)
            try:
                with self._loops.calling(deadline):
                    answer = await method(data, timeout=deadline.left(), **self._sent)
            except DigitsError as error:
                pause = deadline.pause(error)
                if pause is None:
                    raise
            else:
                return read_answer(answer, rpc.response, read, self._defaults.place)
            await asyncio.sleep(pause)
