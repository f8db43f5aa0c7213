"""The client for asyncio."""
# ruff: noqa: ASYNC109  a timeout here becomes the deadline that the server is told

import asyncio
import copy
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Self, Unpack, overload

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from digits_client import health as health_messages
from digits_client.channel import (
    CLASSIFY,
    GET_MODEL,
    GET_NETWORK,
    LIST_MODELS,
    OPTIONS,
    Deadline,
    Defaults,
    Metadata,
    Options,
    Rpc,
    stream_on,
)
from digits_client.coalescing import Coalescer, Kind
from digits_client.errors import DeadlineExceeded, DigitsError, InvalidInput, ModelNotFound, from_rpc
from digits_client.health import Health
from digits_client.images import Batch, File, Images, Several, read_images
from digits_client.models import ListedVersion, Listing, ModelCard, Network, read_card, read_layer, read_listing
from digits_client.results import Classification, Classifications, read_identity, read_response
from digits_client.stream import Answers, StreamResult
from stubs.digits.v1 import digits_pb2 as pb

# Bytes of a request beside its pixels: names, field numbers, lengths.
_ROOM = 1024


class AsyncDigitsClient:
    """Calls one digits server from one event loop; to be shared between tasks, and closed (or used with `async with`).

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
    ) -> None:
        """A client of the server at `target`, e.g. `localhost:8001`; it connects with the first call.

        `model` and `version` are meant when a call names none; empty: the server's default model, its newest
        ready version. `channels` connections are used in turn. With `credentials` they use TLS.
        `metadata` goes with every call. With `coalesce` single arrays that are classified in the same turn
        of the event loop travel in one call; each still gets its own result or error. With `wait_for_ready`
        calls wait for a server that is still starting.

        Raises `ValueError` or `TypeError` for an address, a name or a timeout that cannot be one.
        """
        if channels < 1:
            raise ValueError(f"channels is {channels}, expected at least 1")
        self._defaults = Defaults(target, model, version, timeout)
        self._sent: dict[str, Any] = {"metadata": tuple(metadata), "wait_for_ready": wait_for_ready}
        self._credentials = credentials
        self._count = channels
        self._coalescer = Coalescer(self._send) if coalesce else None
        self._channels: list[Any] = []
        self._methods: dict[Rpc, list[Any]] = {}
        self._turn = itertools.count()
        self._listing: Listing | None = None
        self._asking: asyncio.Task[Listing] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls in flight end with an error."""
        channels, self._channels = self._channels, []
        self._methods = {}
        for channel in channels:
            await channel.close()

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
        batch = await _read(images)
        request = self._defaults.request(model, version, activations, coverage)
        wanted = await self._version(request, deadline) if batch.arrays else None
        single = batch.fill(request, wanted)
        if single and wanted is not None and self._coalescer is not None:
            kind = Kind(request.model, request.version, activations, coverage, deadline.seconds)
            return await self._coalescer.add(kind, request.pixels, self._most(wanted))
        results = await self._classify(request, deadline, wanted)
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
        answers = Answers(activations)

        async def requests() -> AsyncIterator[pb.ClassifyStreamRequest]:
            try:
                async for item in _each(images):
                    request = self._defaults.request(model, version, activations, coverage)
                    try:
                        batch = await _read(item)
                        wanted = await self._version(request, deadline) if batch.arrays else None
                        single = batch.fill(request, wanted)
                    except Exception as error:  # told to the caller in its place
                        answers.failed(error)
                        await asyncio.sleep(0)  # or endless bad items would never let go of the loop
                        continue
                    yield pb.ClassifyStreamRequest(id=answers.sent(single), request=request)
            except Exception as error:  # gRPC would only log what the iterable raises
                answers.broken = error

        stream = stream_on(self._channel())
        call = stream(requests(), timeout=deadline.left(), **self._sent)
        try:
            async for response in call:
                for result in answers.take(response):
                    yield result
        except grpc.RpcError as error:
            raise from_rpc(error, self._defaults.target, deadline.seconds) from error
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
        return read_card(await self._call(GET_MODEL, request, self._defaults.deadline(timeout)))

    async def network(
        self, name: str | None = None, version: str | None = None, *, member: int = 0, timeout: float | None = None
    ) -> Network:
        """The weights and biases of a model, or of one member of a committee."""
        deadline = self._defaults.deadline(timeout)
        name, version = self._defaults.named(name, version)
        shapes = await self._call(
            GET_NETWORK, pb.GetNetworkRequest(model=name, version=version, member=member), deadline
        )
        # The layers are asked of the version that answered, so that all are of one network.
        asked = {"model": shapes.model.name, "version": shapes.model.version, "member": member}
        layers = [
            read_layer(await self._call(GET_NETWORK, pb.GetNetworkRequest(**asked, layer=layer.layer), deadline))
            for layer in shapes.layers
        ]
        return Network(read_identity(shapes.model), tuple(shapes.layer_widths), tuple(layers))

    async def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """Whether the server, a service or a model serves; true when it does. Not repeated on failure."""
        deadline = self._defaults.deadline(timeout)
        if not isinstance(service, str):
            raise TypeError(f"service is {service!r}, expected text")
        try:
            status: Health = await self._channel().unary_unary(
                health_messages.PATH,
                request_serializer=health_messages.write_request,
                response_deserializer=health_messages.read_response,
            )(service, timeout=deadline.left(), **self._sent)
            return status
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return Health.SERVICE_UNKNOWN
            raise from_rpc(error, self._defaults.target, deadline.seconds) from error

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
            if self._asking is None:
                patience = Deadline(max(self._defaults.timeout, deadline.seconds), self._defaults.target)
                self._asking = asyncio.get_running_loop().create_task(self._list(patience))
                self._asking.add_done_callback(self._listed)
            asking = self._asking
            done, _ = await asyncio.wait([asking], timeout=deadline.left())
            if done:
                try:
                    return asking.result().find(request.model, request.version)
                except DeadlineExceeded:
                    pass  # who has time left asks again
                except DigitsError as error:
                    own = copy.copy(error)  # or the callers' tracebacks would grow into each other
                    raise own from error.__cause__

    async def _list(self, deadline: Deadline) -> Listing:
        return read_listing(await self._call(LIST_MODELS, pb.ListModelsRequest(), deadline))

    def _listed(self, task: asyncio.Task[Listing]) -> None:
        self._asking = None
        if not task.cancelled() and task.exception() is None:
            self._listing = task.result()

    def _most(self, version: ListedVersion) -> int:
        """Images of that version that one call may carry."""
        listing = self._listing
        if listing is None:
            return 1
        return max(1, min(listing.max_rows, (listing.max_message_bytes - _ROOM) // version.features))

    async def _send(self, kind: Kind, pixels: bytes) -> Classifications:
        """Classify images that were coalesced."""
        request = self._defaults.request(kind.model, kind.version, kind.activations, kind.coverage)
        request.pixels = pixels
        return await self._classify(request, self._defaults.deadline(kind.timeout), None)

    async def _classify(
        self, request: pb.ClassifyRequest, deadline: Deadline, wanted: ListedVersion | None
    ) -> Classifications:
        try:
            response = await self._call(CLASSIFY, request, deadline)
        except (InvalidInput, ModelNotFound):
            self._listing = None
            raise
        if wanted is not None and response.model.version != wanted.version:
            self._listing = None  # a newer version answers by now
        return read_response(response, activations=request.include_activations)

    def _channel(self) -> Any:
        """The next channel; they are opened by the first call, for they belong to the loop that runs then."""
        if not self._channels:
            rpcs = (CLASSIFY, LIST_MODELS, GET_MODEL, GET_NETWORK)
            self._channels = [
                grpc.aio.secure_channel(self._defaults.target, self._credentials, OPTIONS)
                if self._credentials is not None
                else grpc.aio.insecure_channel(self._defaults.target, OPTIONS)
                for _ in range(self._count)
            ]
            self._methods = {rpc: [rpc.on(channel) for channel in self._channels] for rpc in rpcs}
        return self._channels[next(self._turn) % self._count]

    async def _call(self, rpc: Rpc, request: Any, deadline: Deadline) -> Any:
        while True:
            try:
                method = (
                    self._methods[rpc][next(self._turn) % self._count] if self._channels else rpc.on(self._channel())
                )
                return await method(request, timeout=deadline.left(), **self._sent)
            except grpc.RpcError as cause:
                error = from_rpc(cause, self._defaults.target, deadline.seconds)
                pause = deadline.pause(error)
                if pause is None:
                    raise error from cause
            await asyncio.sleep(pause)


async def _read(images: Images) -> Batch:
    """`read_images`, in a thread where files are read or images encoded."""
    items = images if isinstance(images, list | tuple) else (images,)
    if all(isinstance(item, np.ndarray | bytes) for item in items):
        return read_images(images)
    return await asyncio.to_thread(read_images, images)


async def _each(images: Iterable[Images] | AsyncIterable[Images]) -> AsyncIterator[Images]:
    """The items of an iterable of either kind."""
    if isinstance(images, AsyncIterable):
        async for item in images:
            yield item
    else:
        for item in images:
            yield item
