"""`inference.GRPCInferenceService`, the Open Inference Protocol v2: its methods, and what describes the server."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.metadata import version as installed_version
from typing import Any

from digits_protocol.inference import model_config_pb2 as config_pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import model_statistics_pb2 as statistics_pb
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.inference import server_settings_pb2 as settings_pb
from digits_protocol.inference import shared_memory_pb2 as memory_pb
from google.protobuf.message import Message

from engine.decode_pool import DecodePool
from engine.errors import InvalidInput, NotFound, NotSupported
from engine.models.repository import Repository
from engine.models.version import State, Version
from engine.shared_memory import SharedMemory
from service.api.health import SERVING, HealthApi
from service.api.method import Context, Kind, Method, Mutation, UnaryHandler
from service.api.open_inference import metadata as described
from service.api.open_inference import model_control, shared_memory
from service.api.open_inference.fast_path import InferFastPath
from service.api.open_inference.infer import InferApi
from service.api.open_inference.model_control import ModelControlApi
from service.api.open_inference.shared_memory import SharedMemoryApi
from service.api.open_inference.statistics import summarize
from service.api.open_inference.terms import check_version, find_version
from service.telemetry.metrics import Snapshot

SERVICE = "inference.GRPCInferenceService"

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
NO_CUDA = "this server has no CUDA shared memory; system shared memory it may have"
NO_TRACES = "this server writes no traces"
NO_LOG_SETTINGS = "logging is set when the server starts, by --log-level and --log-format"


class OpenInferenceApi:
    """The handlers of the service."""

    def __init__(
        self,
        repository: Repository,
        health: HealthApi,
        decode_pool: DecodePool,
        memory: SharedMemory,
        max_rows: int,
        snapshot: Callable[[], Awaitable[Snapshot]],
    ) -> None:
        """`max_rows` is the most images in one call; `snapshot` gives what all processes of the server have counted."""
        self._snapshot = snapshot
        self._repository = repository
        self._health = health
        self._decode_pool = decode_pool
        self._memory = memory
        self._max_rows = max_rows

    def methods(self) -> tuple[Method, ...]:
        """The RPCs of the service."""
        infer = InferApi(self._repository, self._decode_pool, self._memory, self._max_rows)
        control = ModelControlApi(self._repository)
        memory = SharedMemoryApi(self._memory)
        stream = Method(
            f"/{SERVICE}/ModelStreamInfer",
            pb.ModelInferRequest,
            pb.ModelStreamInferResponse,
            Kind.STREAM,
            infer.model_stream_infer,
        )
        no_cuda, no_traces, no_log_settings = map(_refuse, (NO_CUDA, NO_TRACES, NO_LOG_SETTINGS))
        return (
            replace(
                _unary("ModelInfer", pb.ModelInferRequest, pb.ModelInferResponse, infer.model_infer),
                fast_path=InferFastPath(self._repository, self._memory, self._max_rows).start,
            ),
            stream,
            _unary("ServerLive", pb.ServerLiveRequest, pb.ServerLiveResponse, self.server_live),
            _unary("ServerReady", pb.ServerReadyRequest, pb.ServerReadyResponse, self.server_ready),
            _unary("ModelReady", pb.ModelReadyRequest, pb.ModelReadyResponse, self.model_ready),
            _unary("ServerMetadata", pb.ServerMetadataRequest, pb.ServerMetadataResponse, self.server_metadata),
            _unary("ModelMetadata", pb.ModelMetadataRequest, pb.ModelMetadataResponse, self.model_metadata),
            _unary("ModelConfig", config_pb.ModelConfigRequest, config_pb.ModelConfigResponse, self.model_config),
            _unary(
                "ModelStatistics",
                statistics_pb.ModelStatisticsRequest,
                statistics_pb.ModelStatisticsResponse,
                self.model_statistics,
            ),
            _unary(
                "RepositoryIndex",
                repository_pb.RepositoryIndexRequest,
                repository_pb.RepositoryIndexResponse,
                control.repository_index,
            ),
            _unary(
                "RepositoryModelLoad",
                repository_pb.RepositoryModelLoadRequest,
                repository_pb.RepositoryModelLoadResponse,
                control.load,
                model_control.change_by_load,
            ),
            _unary(
                "RepositoryModelUnload",
                repository_pb.RepositoryModelUnloadRequest,
                repository_pb.RepositoryModelUnloadResponse,
                control.unload,
                control.change_by_unload,
            ),
            _unary(
                "SystemSharedMemoryStatus",
                memory_pb.SystemSharedMemoryStatusRequest,
                memory_pb.SystemSharedMemoryStatusResponse,
                memory.status,
            ),
            _unary(
                "SystemSharedMemoryRegister",
                memory_pb.SystemSharedMemoryRegisterRequest,
                memory_pb.SystemSharedMemoryRegisterResponse,
                memory.register,
                shared_memory.change_by_register,
            ),
            _unary(
                "SystemSharedMemoryUnregister",
                memory_pb.SystemSharedMemoryUnregisterRequest,
                memory_pb.SystemSharedMemoryUnregisterResponse,
                memory.unregister,
                shared_memory.change_by_unregister,
            ),
            _unary(
                "CudaSharedMemoryStatus",
                memory_pb.CudaSharedMemoryStatusRequest,
                memory_pb.CudaSharedMemoryStatusResponse,
                memory.cuda_status,
            ),
            _unary(
                "CudaSharedMemoryRegister",
                memory_pb.CudaSharedMemoryRegisterRequest,
                memory_pb.CudaSharedMemoryRegisterResponse,
                no_cuda,
            ),
            _unary(
                "CudaSharedMemoryUnregister",
                memory_pb.CudaSharedMemoryUnregisterRequest,
                memory_pb.CudaSharedMemoryUnregisterResponse,
                memory.cuda_unregister,
            ),
            _unary("TraceSetting", settings_pb.TraceSettingRequest, settings_pb.TraceSettingResponse, no_traces),
            _unary("LogSettings", settings_pb.LogSettingsRequest, settings_pb.LogSettingsResponse, no_log_settings),
        )

    async def server_live(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        """True: a server that is not live does not answer."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        """Whether a model is ready and the server is not draining, as health says."""
        return pb.ServerReadyResponse(ready=self._health.status("") == SERVING)

    async def model_ready(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Whether ModelInfer would be answered; a version that does not exist is not ready, as Triton has it."""
        check_version(request.version)
        return pb.ModelReadyResponse(ready=self._repository.answers(request.name, request.version))

    async def server_metadata(self, request: pb.ServerMetadataRequest, context: Context) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        extensions = [*EXTENSIONS, "system_shared_memory"] if self._memory.allowed else EXTENSIONS
        return pb.ServerMetadataResponse(name="digits", version=installed_version("digits"), extensions=extensions)

    async def model_metadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """Tensors and card of a ready version."""
        version = await find_version(self._repository, request.name, request.version)
        return described.metadata(version, self._ready(version.name))

    async def model_config(
        self, request: config_pb.ModelConfigRequest, context: Context
    ) -> config_pb.ModelConfigResponse:
        """How a ready version is served."""
        version = await find_version(self._repository, request.name, request.version)
        policy = self._repository.policy(version.name)
        return config_pb.ModelConfigResponse(config=described.config(version, policy, self._max_rows))

    async def model_statistics(
        self, request: statistics_pb.ModelStatisticsRequest, context: Context
    ) -> statistics_pb.ModelStatisticsResponse:
        """Of one ready version, of all of a model, or, whatever the version, of all models.

        What there is none of is INVALID_ARGUMENT, as Triton has it.
        """
        check_version(request.version)
        if not request.name:
            versions = [each for name in sorted(self._repository.models) for each in self._ready(name)]
        else:
            try:
                found = self._repository.find(request.name, request.version)
            except NotFound as error:
                raise InvalidInput(
                    "version" if request.name in self._repository.models else "name", str(error)
                ) from None
            versions = [found] if request.version else self._ready(found.name)
        summaries = summarize(versions, await self._snapshot())
        return statistics_pb.ModelStatisticsResponse(model_stats=map(described.statistics, versions, summaries))

    def _ready(self, name: str) -> list[Version]:
        """The ready versions of a model, ascending."""
        return [version for version in self._repository.models[name] if version.state is State.READY]


def _unary(
    name: str,
    request: type[Message],
    response: type[Message],
    handler: UnaryHandler,
    change: Callable[[Any], Mutation] | None = None,
) -> Method:
    return Method(f"/{SERVICE}/{name}", request, response, Kind.UNARY, handler, change=change)


def _refuse(sentence: str) -> UnaryHandler:
    """A handler for what the protocol has and this server has not."""

    async def refuse(request: Message, context: Context) -> Message:
        raise NotSupported(sentence)

    return refuse
