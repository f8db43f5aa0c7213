"""Drives a server with KServe's Python client: `python kserve_client.py ADDRESS EXPECTED.npz REST`.

As `triton_sync.py`; REST is the URL of the same server for HTTP.
"""

import asyncio
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

ADDRESS, EXPECTED, REST = sys.argv[1:]
MODEL = "mnist-16x16"
expected = np.load(EXPECTED)
pixels = expected["pixels"]


def request(values: np.ndarray, *, raw: bool, model: str = MODEL) -> InferRequest:
    """As raw bytes or value by value."""
    datatype = {"uint8": "UINT8", "float32": "FP32"}[str(values.dtype)]
    tensor = InferInput("pixels", list(values.shape), datatype, data=None if raw else values.ravel().tolist())
    if raw:
        tensor.set_data_from_numpy(values, binary_data=True)
    return InferRequest(model, [tensor], request_id="kserve")


async def main() -> None:
    async with InferenceGRPCClient(ADDRESS) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL)
        for raw in (True, False):
            for values in (pixels, pixels.astype(np.float32)):
                answer = await client.infer(request(values, raw=raw))
                assert (answer.id, answer.model_name) == ("kserve", MODEL)
                for output in answer.outputs:
                    wanted = expected[output.name]
                    assert np.array_equal(output.as_numpy().reshape(wanted.shape), wanted), (output.name, raw)
                assert [output.name for output in answer.outputs] == ["label", "scores"]
        try:
            await client.infer(request(pixels, raw=True, model="nobody"))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
        else:
            raise AssertionError("an unknown model was found")


async def rest() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(REST)
    assert await client.is_server_ready(REST)
    assert await client.is_model_ready(REST, MODEL)
    for raw in (True, False):
        for values in (pixels, pixels.astype(np.float32)):
            answer = await client.infer(REST, request(values, raw=raw), model_name=MODEL)
            assert (answer.id, answer.model_name) == ("kserve", MODEL)
            for output in answer.outputs:
                wanted = expected[output.name]
                assert np.array_equal(output.as_numpy().reshape(wanted.shape), wanted), (output.name, raw)
            assert [output.name for output in answer.outputs] == ["label", "scores"]
    try:
        await client.infer(REST, request(pixels, raw=True), model_name="nobody")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404
        assert "there is no model" in str(error)
    else:
        raise AssertionError("an unknown model was found")


asyncio.run(main())
asyncio.run(rest())
print("all well")
