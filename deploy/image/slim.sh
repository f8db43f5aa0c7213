#!/bin/sh
# Leave out of an environment what never runs: tests, types, headers, debug symbols, onnxruntime for other languages,
# pygments' knowledge of them. Compile the rest, since on a read-only root Python cannot keep what it compiles.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.hpp' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.c' \) -delete
rm -rf models  # the image has those of /models
rm -rf onnx/backend/test onnxruntime/tools onnxruntime/transformers onnxruntime/quantization numpy/f2py
rm -f onnxruntime/capi/libonnxruntime.so.* pygments/lexers/[a-z]*.py
# Only these two: wheels whose libraries were patched, such as numpy's, do not bear it.
strip --strip-unneeded uvloop/*.so pyqwest/*.so
python3 -m compileall -q .
