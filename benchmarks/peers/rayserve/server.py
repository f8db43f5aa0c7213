"""onnxruntime as a deployment of Ray Serve, by its gRPC ingress."""

import os
import signal
import threading
from typing import Any

import grpc
import numpy as np
import onnxruntime
import ray
from ray import serve

from stubs.inference import open_inference_pb2 as oip

SERVICE = "inference.GRPCInferenceService"


def add_service(servicer: Any, server: Any) -> None:
    """What protoc's gRPC plugin would generate for the one method used here."""
    handlers = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(
            servicer.ModelInfer,
            request_deserializer=oip.ModelInferRequest.FromString,
            response_serializer=oip.ModelInferResponse.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@serve.deployment(num_replicas=1, max_ongoing_requests=2000, ray_actor_options={"num_cpus": 1})
class Onnx:
    """One replica: onnxruntime runs in one thread here as in every server."""

    def __init__(self, path: str) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001, max_concurrent_batches=1)
    async def run(self, requests: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows of several requests in one run."""
        pixels = requests[0] if len(requests) == 1 else np.concatenate(requests)
        label, scores = self.session.run(["label", "scores"], {"pixels": pixels})
        ends = np.cumsum([len(each) for each in requests])
        return list(zip(np.split(label, ends[:-1]), np.split(scores, ends[:-1]), strict=True))

    async def ModelInfer(self, request: oip.ModelInferRequest) -> oip.ModelInferResponse:  # noqa: N802 - the RPC's name
        """Raw pixels in, label and scores out."""
        shape = tuple(request.inputs[0].shape)
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
        label, scores = await self.run(pixels)
        response = oip.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name="label", datatype="INT64", shape=label.shape)
        response.outputs.add(name="scores", datatype="FP32", shape=scores.shape)
        response.raw_output_contents.extend([label.tobytes(), scores.tobytes()])
        return response


if __name__ == "__main__":
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.environ["SCRATCH"],
        object_store_memory=200_000_000,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PORT_2"])},
        grpc_options={
            "port": int(os.environ["GRPC_PROXY_PORT"]),
            "grpc_servicer_functions": ["benchmarks.peers.rayserve.server.add_service"],
        },
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Onnx.bind(os.environ["MODEL"]), name="digits", route_prefix="/")
    stopped.wait()
    serve.shutdown()
    ray.shutdown()
