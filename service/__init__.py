"""The service: bytes in, class scores out."""

import os

# Both are read once, when grpc is imported, so they must stand before it: the server never forks, and the
# older event engine is faster under asyncio. Together 9 % of the calls of a bare echo, see benchmarks/README.md.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
# onnxruntime's official builds report home unless this is set before its import, see `artifact`.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# NumPy's OpenBLAS, which only explanations use, makes a thread for each core unless told before its import. They spin
# in wait for one another, and calls wait for the cores: with them 4 clients that asked Explain quadrupled Classify.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
