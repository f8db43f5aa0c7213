#!/bin/bash
# MLServer with a custom runtime (runtime.py). VENV: its virtual environment. MODEL: the ONNX file.
# SCRATCH: an empty folder. PORT, PORT_2, PORT_3. BATCH_SIZE, BATCH_SECONDS: adaptive batching.
#
# settings.json, as MLServer's documentation advises or, where it leaves the choice, as measured here:
#   debug false             no line logged for each call
#   parallel_workers 0      inference in the server's own process: for a model of microseconds the hop to a pool
#                           of processes costs far more than it gains
#   metrics_endpoint null   no counting of calls
# model-settings.json:
#   max_batch_size, max_batch_time   adaptive batching, off by default since its values are to be found by trying.
#                           Of 16 to 512 calls within 0.1 to 20 ms, 64 within 5 ms was among the best for single
#                           images: under load a batch is full at once. For calls of many images batching only
#                           costs, so it stands in the table without as well.
# The environment: what gRPC's Python is quicker with, and what our own server runs with.
set -e
here=$(cd "$(dirname "$0")" && pwd)
cp "$here"/{runtime.py,settings.json} "$SCRATCH/"
sed "s/@BATCH_SIZE@/$BATCH_SIZE/; s/@BATCH_SECONDS@/$BATCH_SECONDS/" "$here/model-settings.template.json" \
  > "$SCRATCH/model-settings.json"
export GRPC_ENABLE_FORK_SUPPORT=0 GRPC_EXPERIMENTS=-event_engine_listener
export MLSERVER_GRPC_PORT=$PORT MLSERVER_HTTP_PORT=$PORT_2 MLSERVER_METRICS_PORT=$PORT_3
export MLSERVER_MODEL_URI=$MODEL PROMETHEUS_MULTIPROC_DIR=$SCRATCH PATH=$VENV/bin:$PATH
cd "$SCRATCH"
exec "$VENV/bin/mlserver" start .
