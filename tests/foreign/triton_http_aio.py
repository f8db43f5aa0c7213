"""Drives a server over REST with tritonclient's asyncio client.

`python triton_http_aio.py ADDRESS EXPECTED.npz PREFIX GRPC`, as `triton_http.py`.
"""

import asyncio
import sys

import numpy as np
import tritonclient.http.aio as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

ADDRESS, EXPECTED, PREFIX, _ = sys.argv[1:]
MODEL = "mnist-16x16"
expected = np.load(EXPECTED)
pixels = expected["pixels"]


def tensor(values: np.ndarray) -> triton.InferInput:
    made = triton.InferInput("pixels", list(values.shape), "UINT8")
    made.set_data_from_numpy(values)
    return made


def same(result: triton.InferResult, rows: slice = slice(None)) -> None:
    for name in ("label", "scores"):
        assert np.array_equal(result.as_numpy(name), expected[name][rows]), name


async def fails(status: int, call) -> None:
    try:
        await call
    except InferenceServerException as error:
        assert error.status() == str(status), error
    else:
        raise AssertionError(f"did not fail with {status}")


async def shared(client: triton.InferenceServerClient) -> None:
    region = shm.create_shared_memory_region("aio", f"/{PREFIX}aio", pixels.nbytes)
    try:
        shm.set_shared_memory_region(region, [pixels])
        await client.register_system_shared_memory("aio", f"/{PREFIX}aio", pixels.nbytes)
        assert [each["name"] for each in await client.get_system_shared_memory_status()] == ["aio"]
        values = triton.InferInput("pixels", list(pixels.shape), "UINT8")
        values.set_shared_memory("aio", pixels.nbytes)
        same(await client.infer(MODEL, [values]))
        await client.unregister_system_shared_memory("aio")
        await fails(400, client.infer(MODEL, [values]))
    finally:
        shm.destroy_shared_memory_region(region)


async def main() -> None:
    async with triton.InferenceServerClient(ADDRESS) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL)
        assert (await client.get_server_metadata())["name"] == "digits"
        assert (await client.get_model_metadata(MODEL, "1"))["versions"] == ["1", "2", "3", "4"]
        assert (await client.get_model_config(MODEL))["max_batch_size"] == 1024
        same(await client.infer(MODEL, [tensor(pixels)]))
        ways = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate"}
        same(await client.infer(MODEL, [tensor(pixels)], **ways))
        parts = [slice(start, start + 3) for start in range(40)]
        answers = await asyncio.gather(*(client.infer(MODEL, [tensor(pixels[part])]) for part in parts))
        for part, answer in zip(parts, answers, strict=True):
            same(answer, part)
        await shared(client)
        await fails(400, client.infer(MODEL, [tensor(pixels[:, :9])]))
        await fails(404, client.infer("nobody", [tensor(pixels)]))
        await fails(501, client.get_trace_settings())
        await client.unload_model("digits-8x8")
        assert not await client.is_model_ready("digits-8x8")
        await client.load_model("digits-8x8")
        index = await client.get_model_repository_index()
        assert {model["state"] for model in index} == {"READY"}
        [told] = (await client.get_inference_statistics(MODEL, "4"))["model_stats"]
        assert told["inference_count"] > len(pixels)


asyncio.run(main())
print("all well")
