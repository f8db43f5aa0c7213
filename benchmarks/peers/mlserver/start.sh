#!/bin/bash
# MLServer with a custom runtime (runtime.py). VENV: its virtual environment. MODEL: the ONNX file.
# SCRATCH: an empty folder. PORT, PORT_2, PORT_3.
#
# settings.json, as MLServer's documentation advises or, where it leaves the choice, as measured here:
#   debug false             no line logged for each call
#   parallel_workers 0      inference in the server's own process: for a model of microseconds the hop to a pool
#                           of processes costs far more than it gains
#   metrics_endpoint null   no counting of calls
# model-settings.json:
#   max_batch_size 64, max_batch_time 1 ms   adaptive batching, which is off by default
set -e
here=$(cd "$(dirname "$0")" && pwd)
cp "$here"/{runtime.py,settings.json,model-settings.json} "$SCRATCH/"
export MLSERVER_GRPC_PORT=$PORT MLSERVER_HTTP_PORT=$PORT_2 MLSERVER_METRICS_PORT=$PORT_3
export MLSERVER_MODEL_URI=$MODEL PROMETHEUS_MULTIPROC_DIR=$SCRATCH PATH=$VENV/bin:$PATH
cd "$SCRATCH"
exec "$VENV/bin/mlserver" start .
