"""The client for threads."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Self, Unpack, overload

import grpc
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
from digits_client.connection.channels import Channels
from digits_client.errors import DigitsError, ModelNotFound, Result, read_answer
from digits_client.images import ImageFile, ImageList, Images, read_images, read_picture
from digits_client.stream import StreamResult, StreamResults


class DigitsClient(BaseClient):
    """A client of one digits server, for any number of threads. Close it, or use it with `with`.

    Each method has a deadline of `timeout` seconds, at most a year, and raises a `DigitsError` if the call fails.
    gRPC repeats a call up to three times if the server is unreachable or shuts down. The client repeats a call
    that a full queue rejected, after the delay that the server asks for, until the deadline, and up to twice a call
    whose connection was lost during the answer.

    If no server listens, a call fails with `Unavailable` within a second. With `wait_for_ready` it waits for a
    server until the deadline and then fails with `DeadlineExceeded`.
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
        """A client of the server at `target`, e.g. `localhost:8001`. It connects at the first call.

        `model` and `version` apply to calls that name none; empty means the server's default model and its newest
        ready version. Calls alternate between `channels` connections. With `credentials` these use TLS; the
        server's certificate must carry `server_name`, or if that is empty the host of `target`. `metadata` is sent
        with each call. With `wait_for_ready` calls wait for a server that is starting.

        Raises `ValueError` or `TypeError` for an invalid option.
        """
        super().__init__(target, credentials, server_name, model, version, timeout, channels, metadata, wait_for_ready)
        self._channels = Channels(self._endpoint, channels)
        self._listing_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Calls in flight and later calls raise `ClientClosed`."""
        self._channels.close()

    @overload
    def classify(self, images: ImageList, **options: Unpack[ClassifyOptions]) -> Classifications: ...
    @overload
    def classify(self, images: ImageFile, **options: Unpack[ClassifyOptions]) -> Classification: ...
    @overload
    def classify(self, images: NDArray[Any], **options: Unpack[ClassifyOptions]) -> Any: ...
    def classify(
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
        """Classify one image into a `Classification`, or several images into `Classifications`.

        An image is an array of raw pixels, [rows, cols] or [rows*cols], whole numbers in 0..pixel_max of the model,
        ink bright. Or it is the path or the bytes of an image file, or a PIL image, of any size; the server prepares
        these. Several images are a list, or an array [N, rows, cols] or [N, rows*cols].

        With `activations` each result carries the values of every layer. `coverage`, between 0 and 1, is how often
        the true class is among the candidates of a result, by default 0.99; a model without thresholds rejects it
        with `InvalidInput`. An image that shows no digit with a probability above `reject_above`, between 0 and 1, is
        `rejected`; a model that does not compute this probability rejects it with `InvalidInput`.

        Raises `ValueError` or `TypeError` for an array that does not fit the model, and `OSError` for a file that
        cannot be read.
        """
        deadline = self._deadline(timeout)
        batch = read_images(images)
        request = self._classify_request(model, version, activations, coverage, reject_above)
        listed = self._find_version(request, deadline) if batch.arrays else None
        single = batch.fill(request, listed)
        read = partial(self._read_results, count=batch.count(listed), activations=activations, version=listed)
        with self._discard_listing_on_error():
            results = self._call(CLASSIFY, request, deadline, read)
        return results[0] if single else results

    def read(
        self,
        picture: ImageFile,
        *,
        model: str | None = None,
        version: str | None = None,
        coverage: float | None = None,
        reject_above: float | None = None,
        timeout: float | None = None,
    ) -> Reading:
        """Read all digits of one picture: several side by side, lines of them, the fields of a grid.

        The picture is the path or the bytes of an image file, or a PIL image, of any size. `coverage` and
        `reject_above` apply to each digit, as in `classify`; a rejected one is a `?` in the text. Raises `TypeError`
        for what is no picture, and `OSError` for a file that cannot be read.
        """
        deadline = self._deadline(timeout)
        request = self._read_request(model, version, coverage, reject_above)
        request.encoded_image = read_picture(picture)
        return self._call(READ, request, deadline, read_reading)

    def explain(
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
        """Why one image, as in `classify`, gets the score of a class: what each pixel and each neuron adds to it.

        `explained_class` is the position of the class, by default that of the best score. With `find_change` the
        server also looks for a small change that makes the image another class, the one at `changed_class` if that
        is given, and tries it on the model. That may take seconds for a large model.

        Raises what `classify` raises, and `ValueError` for several images.
        """
        deadline = self._deadline(timeout)
        batch = read_images(image)
        request = self._classify_request(model, version, False, None, None)
        listed = self._find_version(request, deadline) if batch.arrays else None
        explained = self._explain_request(batch, listed, request, explained_class, find_change, changed_class)
        with self._discard_listing_on_error():
            return self._call(EXPLAIN, explained, deadline, read_explanation)

    def classify_stream(
        self,
        images: Iterable[Images],
        *,
        model: str | None = None,
        version: str | None = None,
        activations: bool = False,
        coverage: float | None = None,
        reject_above: float | None = None,
        timeout: float = 600.0,
    ) -> Iterator[StreamResult]:
        """Classify a stream of items; yields the result of `classify` for each, in order.

        An item that fails yields its error (a `DigitsError`, `ValueError`, `TypeError` or `OSError`), and the stream
        continues. An error of the stream or of the iterable is raised. The deadline applies to the whole stream.
        Another thread reads the iterable, ahead of the results.

        Leaving the loop or closing the generator cancels the call. The thread ends at the next item of the
        iterable, so an iterable that blocks forever keeps its thread.
        """
        deadline = self._deadline(timeout)
        results = StreamResults(activations, self._place)

        def requests() -> Iterator[bytes]:
            try:
                for item in images:
                    request = self._classify_request(model, version, activations, coverage, reject_above)
                    try:
                        batch = read_images(item)
                        listed = self._find_version(request, deadline) if batch.arrays else None
                        single = batch.fill(request, listed)
                    except Exception as error:  # yielded in the place of its result
                        if results.closed:
                            return
                        results.add_failed(error)
                        continue
                    number = results.add_sent(single, batch.count(listed))
                    yield pb.ClassifyStreamRequest(id=number, request=request).SerializeToString()
            except Exception as error:  # gRPC would only log it
                results.broken = error

        stream = stream_on(self._channels.next())
        with self._channels.calling(deadline):
            call = stream(requests(), timeout=deadline.left(), **self._options)
            try:
                for data in call:
                    yield from results.take(data)
            finally:
                results.closed = True
                call.cancel()
        yield from results.take_rest()

    def models(self, *, timeout: float | None = None) -> Listing:
        """All models of the server with their versions, and the limits of a call."""
        self._listing = self._call(LIST_MODELS, pb.ListModelsRequest(), self._deadline(timeout), read_listing)
        return self._listing

    def model(self, name: str | None = None, version: str | None = None, *, timeout: float | None = None) -> ModelCard:
        """The card of a model."""
        name, version = self._select(name, version)
        request = pb.GetModelRequest(model=name, version=version)
        return self._call(GET_MODEL, request, self._deadline(timeout), read_card)

    def network(
        self, name: str | None = None, version: str | None = None, *, member: int = 0, timeout: float | None = None
    ) -> Network:
        """The weights and biases of a model, or of one member of an ensemble."""
        deadline = self._deadline(timeout)
        name, version = self._select(name, version)
        request = pb.GetNetworkRequest(model=name, version=version, member=member)
        response: pb.GetNetworkResponse = self._call(GET_NETWORK, request, deadline, lambda message: message)
        # The version that answered, so that all layers are of one network.
        pinned: Any = {"model": response.model.name, "version": response.model.version, "member": member}
        layers = [
            self._call(GET_NETWORK, pb.GetNetworkRequest(**pinned, layer=each.layer), deadline, read_layer)
            for each in response.layers
        ]
        return Network(read_identity(response.model), tuple(response.layer_widths), tuple(layers))

    def learning(
        self, name: str | None = None, version: str | None = None, *, timeout: float | None = None
    ) -> Learning:
        """How a network became what it is: its curves, and its weights after some epochs of its training.

        A version without snapshots raises `InvalidInput`.
        """
        deadline = self._deadline(timeout)
        name, version = self._select(name, version)
        request = pb.GetLearningRequest(model=name, version=version, layer=1)
        first: pb.GetLearningResponse = self._call(GET_LEARNING, request, deadline, lambda message: message)
        answers = [first]
        for layer in range(2, len(first.layer_widths)):
            request = pb.GetLearningRequest(model=first.model.name, version=first.model.version, layer=layer)
            answers.append(self._call(GET_LEARNING, request, deadline, lambda message: message))
        return read_learning(answers)

    def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """The health of the server, a service or a model; true if it serves. A failed call is not repeated."""
        deadline = self._deadline(timeout)
        check_text("service", service)
        check = self._channels.next().unary_unary(health_messages.PATH)
        try:
            with self._channels.calling(deadline):
                answer = check(health_messages.write_request(service), timeout=deadline.left(), **self._options)
        except ModelNotFound:
            return Health.SERVICE_UNKNOWN
        return health_messages.read_response(answer)

    def _find_version(self, request: pb.ClassifyRequest, deadline: Deadline) -> ListedVersion:
        """The version that serves the request, by the listing, which is requested once."""
        listing = self._listing
        if cached := self._find_cached(request):
            return cached
        while not self._listing_lock.acquire(timeout=deadline.left()):
            pass  # `left` raises in the next turn
        try:
            if self._listing is listing:
                self._listing = self._call(LIST_MODELS, pb.ListModelsRequest(), deadline, read_listing)
            listing = self._listing
        finally:
            self._listing_lock.release()
        assert listing is not None
        return listing.find(request.model, request.version)

    def _call(self, rpc: Rpc, request: Any, deadline: Deadline, read: Callable[[Any], Result]) -> Result:
        data = request.SerializeToString()
        while True:
            try:
                with self._channels.calling(deadline):
                    answer = rpc.on(self._channels.next())(data, timeout=deadline.left(), **self._options)
            except DigitsError as error:
                pause = deadline.pause(error)
                if pause is None:
                    raise
            else:
                return read_answer(answer, rpc.response, read, self._place)
            time.sleep(pause)
