#!/bin/bash
# The `tritonserver` binary inside the PyPI package nvidia-pytriton, with its Python backend calling onnxruntime.
# (PyPI's package has no onnxruntime backend; pytriton's own way of binding models costs another hop.)
# VENV: its virtual environment. MODEL: the ONNX file. SCRATCH: an empty folder. PORT.
# DATATYPE and SCORES: what the model's input is, and what it calls its scores. NAME and VERSION: of the model, mnist-16x16 and 1 by default.
# Arguments are passed on to the server.
set -e
here=$(cd "$(dirname "$0")" && pwd)
site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
release=$("$VENV/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
triton=$site/pytriton/tritonserver

# The backend looks for the stub of its own Python beside itself; the package has one for each release.
cp -r "$triton/backends" "$SCRATCH/backends"
cp "$triton/python_backend_stubs/$release/triton_python_backend_stub" "$SCRATCH/backends/python/"

repository=$SCRATCH/models/${NAME:-mnist-16x16}
mkdir -p "$repository/${VERSION:-1}"
cp "$here/model.py" "$MODEL" "$repository/${VERSION:-1}/"
sed "s/@DATATYPE@/$DATATYPE/; s/@SCORES@/$SCORES/" "$here/config.pbtxt" > "$repository/config.pbtxt"

export LD_LIBRARY_PATH=$site/nvidia_pytriton.libs PYTHONPATH=$site PATH=$VENV/bin:$PATH
# Logging calls and counting metrics cost nothing measurable. PORT_2: of HTTP.
exec "$triton/bin/tritonserver" --model-repository="$SCRATCH/models" --backend-directory="$SCRATCH/backends" \
  --grpc-address=127.0.0.1 --grpc-port="$PORT" --http-address=127.0.0.1 --http-port="$PORT_2" --allow-metrics=false \
  "$@"
