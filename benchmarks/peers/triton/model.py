"""onnxruntime under Triton's Python backend: the requests of a dynamic batch become one run."""

import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Any ONNX model of one input and two outputs, named in the model's configuration."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model beside this file, with one thread for each run as in every server here."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()][:2]

    def execute(self, requests: list) -> list:
        """One run for all requests, and a slice of its outputs for each."""
        pixels = [triton.get_input_tensor_by_name(request, "pixels").as_numpy() for request in requests]
        batch = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        results = self.session.run(self.outputs, {"pixels": batch})
        responses, begin = [], 0
        for rows in pixels:
            end = begin + len(rows)
            tensors = [triton.Tensor(name, array[begin:end]) for name, array in zip(self.outputs, results, strict=True)]
            responses.append(triton.InferenceResponse(tensors))
            begin = end
        return responses
