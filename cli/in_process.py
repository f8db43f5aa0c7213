"""The handlers of the service in this process, for `digits classify --local` and `digits read --local`."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from digits_client import Classifications, DigitsError, InvalidInput, Listing, ModelNotFound, Reading
from digits_client.answers.models import ModelCard, Network, read_card, read_layer, read_listing
from digits_client.answers.reading import read_reading
from digits_client.answers.results import read_identity, read_response
from digits_protocol.digits.v1 import digits_pb2 as pb

from engine.errors import InvalidInput as EngineInvalidInput
from engine.errors import NotFound, ServiceError
from engine.models.repository import RepositoryError
from service.api.method import LocalContext
from service.app import App
from service.config import Settings, SettingsError, read_settings
from service.telemetry.logs import configure_logs

_STEM = "/digits.v1.DigitsService/"
# Settings that apply without a server: the models, what they run on, and the limits of images.
_SETTINGS = (
    *("models", "default_model", "variant", "provider", "require_provider", "cuda_device", "cuda_memory_mb", "threads"),
    *("max_image_megapixels", "max_message_mb"),
)


class LocalDigits:
    """Has methods of `DigitsClient`, without a server; a context manager."""

    def __init__(self, models: Path | None, *, model: str, version: str) -> None:
        """Raises `DigitsError` for an invalid setting in the environment."""
        try:
            self._settings: Settings = read_settings({} if models is None else {"models": models}, only=_SETTINGS)
        except SettingsError as error:
            raise DigitsError(str(error)) from None
        configure_logs("error", "auto")
        self._model, self._version = model, version
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._app = self._run(self._stack.enter_async_context(App.open(self._settings)))
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self._stack.aclose())
        self._runner.close()

    def models(self) -> Listing:
        """The models in the models folder."""
        return read_listing(self._call("ListModels", pb.ListModelsRequest()))

    def classify(
        self,
        images: list[bytes],
        *,
        activations: bool,
        coverage: float | None = None,
        reject_above: float | None = None,
    ) -> Classifications:
        """Classify image files."""
        request = pb.ClassifyRequest(
            model=self._model,
            version=self._version,
            encoded_images=images,
            include_activations=activations,
            coverage=coverage,
            reject_above=reject_above,
        )
        return read_response(self._call("Classify", request), count=len(images), activations=activations)

    def read(self, picture: bytes, *, reject_above: float | None = None) -> Reading:
        """Read the digits of an image file."""
        request = pb.ReadRequest(
            model=self._model,
            version=self._version,
            encoded_image=picture,
            reject_above=reject_above,
        )
        return read_reading(self._call("Read", request))

    def model(self, name: str, version: str) -> ModelCard:
        """The card of a model."""
        return read_card(self._call("GetModel", pb.GetModelRequest(model=name, version=version)))

    def network(self, name: str, version: str) -> Network:
        """The weights and biases of a model; of an ensemble, those of its first member."""
        selected: dict[str, Any] = {"model": name, "version": version}
        shapes = self._call("GetNetwork", pb.GetNetworkRequest(**selected))
        layers = [
            read_layer(self._call("GetNetwork", pb.GetNetworkRequest(**selected, layer=layer.layer)))
            for layer in shapes.layers
        ]
        return Network(read_identity(shapes.model), tuple(shapes.layer_widths), tuple(layers))

    def _call(self, method: str, request: Any) -> Any:
        handler: Any = self._app.methods[_STEM + method].handler
        return self._run(handler(request, LocalContext()))

    def _run(self, work: Any) -> Any:
        found = []

        async def keep() -> None:
            found.append(await work)

        try:
            # The task returns nothing: Python 3.11 would format its result in a hidden error message, which takes
            # seconds for the weights of a wide network.
            self._runner.run(keep())
            return found[0]
        except EngineInvalidInput as error:
            raise InvalidInput(str(error)) from error
        except NotFound as error:
            raise ModelNotFound(str(error)) from error
        except (ServiceError, RepositoryError) as error:
            raise DigitsError(str(error)) from error
