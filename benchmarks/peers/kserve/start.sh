#!/bin/bash
# KServe's Python server SDK. VENV: its virtual environment. MODEL: the ONNX file. PORT, PORT_2.
#   enable_latency_logging false   no line logged for each call
#   GRPC_…                         what gRPC's Python is quicker with, and what our own server runs with
# uvloop made no difference that could be told from noise. It has one gRPC server on one event loop whatever
# `workers` says (that is REST's), and batches nothing itself.
here=$(cd "$(dirname "$0")" && pwd)
export GRPC_ENABLE_FORK_SUPPORT=0 GRPC_EXPERIMENTS=-event_engine_listener
exec "$VENV/bin/python" "$here/server.py" --model="$MODEL" --grpc_port="$PORT" --http_port="$PORT_2" \
  --enable_latency_logging=false
