"""The part of a client without I/O: options, requests and the cached listing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import grpc
from digits_protocol.digits.v1 import digits_pb2 as pb

from digits_client.answers.models import ListedVersion, Listing
from digits_client.answers.results import Classifications, read_response
from digits_client.connection.channel import (
    Deadline,
    Metadata,
    check_metadata,
    check_position,
    check_share,
    check_text,
    check_timeout,
)
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.trace import trace_metadata
from digits_client.errors import InvalidInput, ModelNotFound, ServerError
from digits_client.images import Batch


class ClassifyOptions(TypedDict, total=False):
    """The options of `classify`."""

    model: str | None
    version: str | None
    activations: bool
    coverage: float | None
    reject_above: float | None
    timeout: float | None


class BaseClient:
    """What the clients for threads and for asyncio share; subclasses do the I/O."""

    def __init__(
        self,
        target: str,
        credentials: grpc.ChannelCredentials | None,
        server_name: str,
        model: str,
        version: str,
        timeout: float,
        channels: int,
        metadata: Metadata,
        wait_for_ready: bool,
    ) -> None:
        """Check and keep the options. Raises `ValueError` or `TypeError`."""
        self._endpoint = Endpoint(target, credentials, server_name)
        self._place = str(self._endpoint)
        self._metadata = tuple(metadata)
        self._wait_for_ready = wait_for_ready
        check_metadata(self._metadata)
        if isinstance(channels, bool) or not isinstance(channels, int):
            raise TypeError(f"channels is {channels!r}, expected a whole number")
        if channels < 1:
            raise ValueError(f"channels is {channels}, expected at least 1")
        check_text("model", model)
        check_text("version", version)
        self._model, self._version = model, version
        self._timeout = check_timeout(timeout)
        self._listing: Listing | None = None

    @property
    def _options(self) -> dict[str, Any]:
        """What every call of gRPC is given; the trace context changes from call to call."""
        return {"metadata": trace_metadata(self._metadata), "wait_for_ready": self._wait_for_ready}

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout, self._place)

    def _select(self, model: str | None, version: str | None) -> tuple[str, str]:
        """The model and version of a request; the client's version applies only to the client's model."""
        for name, value in (("model", model), ("version", version)):
            if value is not None:
                check_text(name, value)
        if model is None:
            return self._model, self._version if version is None else version
        return model, version or ""

    def _classify_request(
        self,
        model: str | None,
        version: str | None,
        activations: bool,
        coverage: float | None,
        reject_above: float | None,
    ) -> pb.ClassifyRequest:
        """A request without images."""
        wishes = self._wishes(model, version, coverage, reject_above)
        return pb.ClassifyRequest(**wishes, include_activations=activations)

    def _read_request(
        self, model: str | None, version: str | None, coverage: float | None, reject_above: float | None
    ) -> pb.ReadRequest:
        """A request without a picture."""
        return pb.ReadRequest(**self._wishes(model, version, coverage, reject_above))

    def _wishes(
        self, model: str | None, version: str | None, coverage: float | None, reject_above: float | None
    ) -> dict[str, Any]:
        """The fields that both requests have."""
        name, number = self._select(model, version)
        if coverage is not None:
            check_share("the coverage", coverage)
        if reject_above is not None:
            check_share("reject_above", reject_above)
        return {"model": name, "version": number, "coverage": coverage, "reject_above": reject_above}

    def _explain_request(
        self,
        batch: Batch,
        listed: ListedVersion | None,
        which: pb.ClassifyRequest,
        explained_class: int | None,
        find_change: bool,
        changed_class: int | None,
    ) -> pb.ExplainRequest:
        """The request for the one image of `batch` and the model of `which`.

        Raises `ValueError` for several images, and for a class that cannot be one.
        """
        for name, position in (("explained_class", explained_class), ("changed_class", changed_class)):
            if position is not None:
                check_position(name, position)
        if not batch.fill(which, listed):
            raise ValueError("the images are a list, or an array of several, expected one image to explain")
        request = pb.ExplainRequest(
            model=which.model,
            version=which.version,
            pixels=which.pixels,
            explained_class=explained_class,
            find_change=find_change,
            changed_class=changed_class,
        )
        if which.encoded_images:
            request.encoded_image = which.encoded_images[0]
        return request

    def _find_cached(self, request: pb.ClassifyRequest) -> ListedVersion | None:
        """The version that serves the request, by the cached listing; None if it has no such version."""
        listing = self._listing  # another thread may discard it
        try:
            return listing.find(request.model, request.version) if listing else None
        except ModelNotFound:
            return None

    @contextmanager
    def _discard_listing_on_error(self) -> Iterator[None]:
        """Discard the cached listing after errors that an outdated listing can cause."""
        try:
            yield
        except (InvalidInput, ModelNotFound, ServerError):
            self._listing = None
            raise

    def _read_results(
        self, response: pb.ClassifyResponse, *, count: int, activations: bool, version: ListedVersion | None
    ) -> Classifications:
        """The results of `count` images; another version than the listed `version` outdates the cached listing."""
        results = read_response(response, count=count, activations=activations)
        if version is not None and results.model.version != version.version:
            self._listing = None
        return results
