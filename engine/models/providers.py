"""Execution providers of onnxruntime, and sessions on them."""

from pathlib import Path
from typing import Any, Literal

import artifact  # noqa: F401 - switches onnxruntime's telemetry off before the import below

# isort: split
import onnxruntime

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# Configuration key by which onnxruntime refuses a graph if it would run some nodes on the CPU.
NO_CPU_NODES = "session.disable_cpu_ep_fallback"

Provider = tuple[str, dict[str, Any]]


def candidates(
    wanted: Literal["cpu", "cuda", "auto"], *, cuda_device: int = 0, cuda_memory_mb: int = 0
) -> list[Provider]:
    """Providers to try, best first; the CPU comes after CUDA.

    `auto` tries CUDA only where the installed onnxruntime has it. It runs on the GPU number `cuda_device` and takes
    at most `cuda_memory_mb` MiB of its memory for each model version, or any amount for 0.
    """
    names = [CPU] if wanted == "cpu" else [CUDA, CPU]
    if wanted == "auto" and CUDA not in onnxruntime.get_available_providers():
        names = [CPU]
    if CUDA in names and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA and cuDNN libraries of NVIDIA's pip packages
    cuda = {
        "device_id": str(cuda_device),
        "use_tf32": "0",  # TensorFloat-32 alone moves scores by 1e-3, so the golden rows would not reproduce
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles its memory at each step
        **({"gpu_mem_limit": str(cuda_memory_mb * 2**20)} if cuda_memory_mb else {}),
    }
    return [(name, cuda if name == CUDA else {}) for name in names]


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """What every session has; a run takes `threads` threads."""
    config = onnxruntime.SessionOptions()
    config.intra_op_num_threads = threads
    config.inter_op_num_threads = 1
    config.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle cores stay idle
    config.log_severity_level = 3
    config.enable_cpu_mem_arena = False  # it never gives memory back, and is no faster than malloc
    return config


def open_session(
    model: bytes | Path, provider: Provider, threads: int, *, alone: bool = False
) -> onnxruntime.InferenceSession:
    """A session over `model`, its bytes or its file, on `provider` with `threads` threads a run.

    If a CUDA library is missing, onnxruntime logs a line and falls back to the CPU; this raises `RuntimeError`
    instead, and the errors of onnxruntime for a broken model. Nodes without a kernel of the provider run on the CPU,
    unless the provider has to run `alone`: then they raise `RuntimeError` too.
    """
    name, options = provider
    if name not in onnxruntime.get_available_providers():
        raise RuntimeError(f"this onnxruntime has no {name}; it has {onnxruntime.get_available_providers()}")
    config = session_options(threads)
    if alone and name != CPU:
        config.add_session_config_entry(NO_CPU_NODES, "1")
    try:  # without its fallback, which would move the session to the CPU after one failed run on a GPU
        session = onnxruntime.InferenceSession(model, config, providers=[(name, options)], enable_fallback=False)
    except Exception as error:  # onnxruntime has no common base for what it raises
        if "assigned to the default CPU EP" not in str(error):
            raise
        raise RuntimeError(f"some of its nodes run on the CPU alone, and {name} is required for all") from None
    taken = session.get_providers()[0]
    if taken != name:
        raise RuntimeError(f"onnxruntime took {taken} where {name} was asked for; are its libraries installed?")
    return session
