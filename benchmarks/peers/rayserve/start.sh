#!/bin/bash
# Ray Serve's gRPC ingress. VENV: its virtual environment. MODEL: the ONNX file. SCRATCH: an empty folder. PORT …
#   RAY_SERVE_THROUGHPUT_OPTIMIZED=1   the settings for throughput that Ray's documentation offers; with them the
#                                      replica answers gRPC itself, with no proxy process between
set -e
here=$(cd "$(dirname "$0")" && pwd)
export RAY_SERVE_THROUGHPUT_OPTIMIZED=1 RAY_USAGE_STATS_ENABLED=0 RAY_SERVE_LOG_TO_STDERR=1
export RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT=$PORT RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT=$((PORT + 1))
export GRPC_PROXY_PORT=$PORT_3 PYTHONPATH=$here/loopback:$(cd "$here/../../.." && pwd)
exec "$VENV/bin/python" -m benchmarks.peers.rayserve.server
