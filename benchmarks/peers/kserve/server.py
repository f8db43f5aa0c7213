"""onnxruntime as a model of KServe's Python server."""

import sys

import kserve.model_server
import onnxruntime
from kserve import InferRequest, InferResponse, Model, ModelServer
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.infer_type import InferOutput
from kserve.protocol.rest.server import RESTServer


class OnnxModel(Model):
    """One ONNX file."""

    def __init__(self, name: str, path: str) -> None:
        """One thread a run, as every server here."""
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None, response_headers: dict | None = None
    ) -> InferResponse:
        """The label and the scores. On the event loop: a thread for a run of microseconds would cost more."""
        label, scores = self.session.run(["label", "scores"], {"pixels": payload.inputs[0].as_numpy()})
        outputs = [
            InferOutput(name="label", shape=list(label.shape), datatype="INT64"),
            InferOutput(name="scores", shape=list(scores.shape), datatype="FP32"),
        ]
        outputs[0].set_data_from_numpy(label, binary_data=True)
        outputs[1].set_data_from_numpy(scores, binary_data=True)
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=outputs)


class LoopbackGRPCServer(GRPCServer):
    """KServe listens on every address and has no setting for it; a benchmark has no business there."""

    async def start(self, max_workers: int) -> None:
        """The same, on 127.0.0.1."""
        import grpc

        make = grpc.aio.server

        def made(*arguments: object, **named: object) -> object:
            server = make(*arguments, **named)
            add = server.add_insecure_port
            server.add_insecure_port = lambda address: add(address.replace("[::]", "127.0.0.1"))
            return server

        grpc.aio.server = made
        try:
            await super().start(max_workers)
        finally:
            grpc.aio.server = make


class LoopbackRESTServer(RESTServer):
    """Likewise."""

    async def start(self) -> None:
        """The same, on 127.0.0.1."""
        self.config.host = "127.0.0.1"
        await super().start()


if __name__ == "__main__":
    kserve.model_server.GRPCServer = LoopbackGRPCServer
    kserve.model_server.RESTServer = LoopbackRESTServer
    path = next(part.removeprefix("--model=") for part in sys.argv if part.startswith("--model="))
    ModelServer().start([OnnxModel("mnist-16x16", path)])
