"""The client for threads."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Self, Unpack, overload

import grpc
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client import health as health_messages
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
from digits_client.connection.channels import Channels
from digits_client.connection.endpoint import Endpoint
from digits_client.errors import Answer, DigitsError, InvalidInput, ModelNotFound, ServerError, read_answer
from digits_client.health import Health
from digits_client.images import File, Images, Several, read_images
from digits_client.models import ListedVersion, Listing, ModelCard, Network, read_card, read_layer, read_listing
from digits_client.results import Classification, Classifications, read_identity, read_response
from digits_client.stream import Answers, StreamResult


class DigitsClient:
    """Calls one digits server; to be shared between threads, and closed (or used with `with`).

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
        server_name: str = "",
    ) -> None:
        """A client of the server at `target`, e.g. `localhost:8001`; it connects with the first call.

        `model` and `version` are meant when a call names none; empty: the server's default model, its newest
        ready version. `channels` connections are used in turn. With `credentials` they use TLS; the server's
        certificate must carry `server_name`, empty: the host of `target`.
        `metadata` goes with every call. With `wait_for_ready` calls wait for a server that is still starting.

        Raises `ValueError` or `TypeError` for an option that cannot be what it should.
        """
        endpoint = Endpoint(target, credentials, server_name)
        self._defaults = Defaults(endpoint, model, version, timeout, tuple(metadata), channels)
        self._sent: dict[str, Any] = {"metadata": self._defaults.metadata, "wait_for_ready": wait_for_ready}
        self._channels = Channels(endpoint, channels)
        self._listing: Listing | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls in flight, and all later ones, end with `ClientClosed`."""
        self._channels.close()

    @overload
    def classify(self, images: Several, **options: Unpack[Options]) -> Classifications: ...
    @overload
    def classify(self, images: File, **options: Unpack[Options]) -> Classification: ...
    @overload
    def classify(self, images: NDArray[Any], **options: Unpack[Options]) -> Any: ...
    def classify(
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
        batch = read_images(images)
        request = self._defaults.request(model, version, activations, coverage)
        wanted = self._version(request, deadline) if batch.arrays else None
        single = batch.fill(request, wanted)
        read = partial(read_response, count=batch.count(wanted), activations=activations)
        try:
            results = self._call(CLASSIFY, request, deadline, read)
        except (InvalidInput, ModelNotFound, ServerError):
            self._listing = None
            raise
        if wanted is not None and results.model.version != wanted.version:
            self._listing = None  # a newer version answers by now
        return results[0] if single else results

    def classify_stream(
        self,
        images: Iterable[Images],
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        timeout: float = 600.0,
    ) -> Iterator[StreamResult]:
        """Classify as images come; yields what `classify` would return for each, in order.

        An item that fails yields its error (a `DigitsError`, `ValueError`, `TypeError` or `OSError`) in its
        place and the stream goes on. What ends the whole stream is raised, as is an error of the iterable.
        The deadline is for the whole stream. The iterable is read ahead of the answers, in another thread.

        Leaving the loop early, or closing the generator, cancels the call. The thread then ends as soon as
        the iterable gives its next item, or ends: one that blocks for good keeps its thread for good.
        """
        deadline = self._defaults.deadline(timeout)
        answers = Answers(activations, self._defaults.place)

        def requests() -> Iterator[bytes]:
            try:
                for item in images:
                    request = self._defaults.request(model, version, activations, coverage)
                    try:
                        batch = read_images(item)
                        wanted = self._version(request, deadline) if batch.arrays else None
                        single = batch.fill(request, wanted)
                    except Exception as error:  # told to the caller in its place
                        if answers.closed:
                            return
                        answers.failed(error)
                        continue
                    number = answers.sent(single, batch.count(wanted))
                    yield pb.ClassifyStreamRequest(id=number, request=request).SerializeToString()
            except Exception as error:  # gRPC would only log what the iterable raises
                answers.broken = error

        stream = stream_on(self._channels.next())
        with self._channels.calling(deadline):
            call = stream(requests(), timeout=deadline.left(), **self._sent)
            try:
                for data in call:
                    yield from answers.take(data)
            finally:
                answers.closed = True
                call.cancel()
        yield from answers.rest()

    def models(self, *, timeout: float | None = None) -> Listing:
        """All models of the server with their versions, and the limits of a call."""
        self._listing = self._call(LIST_MODELS, pb.ListModelsRequest(), self._defaults.deadline(timeout), read_listing)
        return self._listing

    def model(self, name: str | None = None, version: str | None = None, *, timeout: float | None = None) -> ModelCard:
        """What a model says of itself."""
        name, version = self._defaults.named(name, version)
        request = pb.GetModelRequest(model=name, version=version)
        return self._call(GET_MODEL, request, self._defaults.deadline(timeout), read_card)

    def network(
        self, name: str | None = None, version: str | None = None, *, member: int = 0, timeout: float | None = None
    ) -> Network:
        """The weights and biases of a model, or of one member of a committee."""
        deadline = self._defaults.deadline(timeout)
        name, version = self._defaults.named(name, version)
        request = pb.GetNetworkRequest(model=name, version=version, member=member)
        shapes: pb.GetNetworkResponse = self._call(GET_NETWORK, request, deadline, lambda answer: answer)
        # The layers are asked of the version that answered, so that all are of one network.
        asked: Any = {"model": shapes.model.name, "version": shapes.model.version, "member": member}
        layers = [
            self._call(GET_NETWORK, pb.GetNetworkRequest(**asked, layer=layer.layer), deadline, read_layer)
            for layer in shapes.layers
        ]
        return Network(read_identity(shapes.model), tuple(shapes.layer_widths), tuple(layers))

    def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """Whether the server, a service or a model serves; true when it does. Not repeated on failure."""
        deadline = self._defaults.deadline(timeout)
        check_text("service", service)
        check = self._channels.next().unary_unary(health_messages.PATH)
        try:
            with self._channels.calling(deadline):
                answer = check(health_messages.write_request(service), timeout=deadline.left(), **self._sent)
        except ModelNotFound:
            return Health.SERVICE_UNKNOWN
        return health_messages.read_response(answer)

    def _version(self, request: pb.ClassifyRequest, deadline: Deadline) -> ListedVersion:
        """What will answer the request, from the listing, which is asked for once."""
        listing = self._listing
        if listing is not None:
            try:
                return listing.find(request.model, request.version)
            except ModelNotFound:
                pass  # it may be there by now
        while not self._lock.acquire(timeout=deadline.left()):
            pass  # no time is left: the next turn says so
        try:
            if self._listing is listing:
                self._listing = self._call(LIST_MODELS, pb.ListModelsRequest(), deadline, read_listing)
            listing = self._listing
        finally:
            self._lock.release()
        assert listing is not None
        return listing.find(request.model, request.version)

    def _call(self, rpc: Rpc, request: Any, deadline: Deadline, read: Callable[[Any], Answer]) -> Answer:
        data = request.SerializeToString()
        while True:
            try:
                with self._channels.calling(deadline):
                    answer = rpc.on(self._channels.next())(data, timeout=deadline.left(), **self._sent)
            except DigitsError as error:
                pause = deadline.pause(error)
                if pause is None:
                    raise
            else:
                return read_answer(answer, rpc.response, read, self._defaults.place)
            time.sleep(pause)
