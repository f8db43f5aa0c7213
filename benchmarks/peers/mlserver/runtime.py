"""onnxruntime as a custom runtime of MLServer, which ships none for ONNX."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxRuntime(MLModel):
    """The model that `parameters.uri` names."""

    async def load(self) -> bool:
        """One thread a run, as every server here."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        uri = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The label and the scores; the batcher has put the rows of several requests into one payload."""
        pixels = NumpyCodec.decode_input(payload.inputs[0])
        label, scores = self.session.run(["label", "scores"], {"pixels": pixels})
        outputs = [NumpyCodec.encode_output("label", label), NumpyCodec.encode_output("scores", scores)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
