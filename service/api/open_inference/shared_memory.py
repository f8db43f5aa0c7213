"""Shared memory by the Open Inference Protocol: registering, listing and forgetting regions."""

from digits_protocol.inference import shared_memory_pb2 as pb

from engine.errors import NotFound, quoted
from engine.shared_memory import SharedMemory
from service.api.method import Context, Mutation


class SharedMemoryApi:
    """The handlers of SystemSharedMemoryStatus, -Register and -Unregister, and what there is to say of a GPU's memory.

    No region of that can be registered here. But clients begin by forgetting those of either kind, as Triton's
    examples do, so it is no error that there is none.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory

    async def status(
        self, request: pb.SystemSharedMemoryStatusRequest, context: Context
    ) -> pb.SystemSharedMemoryStatusResponse:
        """One region, or all."""
        response = pb.SystemSharedMemoryStatusResponse()
        for name, region in self._memory.status(request.name).items():
            told = response.regions[name]
            told.name, told.key, told.offset, told.byte_size = name, region.key, region.offset, region.byte_size
        return response

    async def register(
        self, request: pb.SystemSharedMemoryRegisterRequest, context: Context
    ) -> pb.SystemSharedMemoryRegisterResponse:
        """Open a region."""
        self._memory.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def unregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: Context
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        """Forget one region, or all."""
        self._memory.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def cuda_status(
        self, request: pb.CudaSharedMemoryStatusRequest, context: Context
    ) -> pb.CudaSharedMemoryStatusResponse:
        """None. Raises `NotFound` for a name."""
        if request.name:
            raise NotFound(f"there is no CUDA shared-memory region {quoted(request.name)}")
        return pb.CudaSharedMemoryStatusResponse()

    async def cuda_unregister(
        self, request: pb.CudaSharedMemoryUnregisterRequest, context: Context
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        """There is none to forget."""
        return pb.CudaSharedMemoryUnregisterResponse()


def change_by_register(request: pb.SystemSharedMemoryRegisterRequest) -> Mutation:
    """It holds until the region is unregistered."""
    return Mutation(("memory", request.name), replay=True)


def change_by_unregister(request: pb.SystemSharedMemoryUnregisterRequest) -> Mutation:
    """Of one region, or all."""
    return Mutation(("memory", request.name) if request.name else ("memory",), replay=False)
