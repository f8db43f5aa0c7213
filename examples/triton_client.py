"""Call with Triton's own client, in an environment of its own: `pip install "tritonclient[grpc]"`.

python examples/triton_client.py [HOST:PORT]
"""

import sys

import numpy as np
import tritonclient.grpc as triton

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"
client = triton.InferenceServerClient(address)

image = np.zeros((1, 28, 28), np.uint8)
image[0, 4:24, 12:15] = 255
pixels = triton.InferInput("pixels", list(image.shape), "UINT8")
pixels.set_data_from_numpy(image)
result = client.infer(
    "mnist-16x16", [pixels], outputs=[triton.InferRequestedOutput(name) for name in ("label", "hidden_1")]
)
print("label", result.as_numpy("label")[0], "from", result.as_numpy("hidden_1").shape[1], "neurons")
print("served:", ", ".join(sorted({model.name for model in client.get_model_repository_index().models})))
