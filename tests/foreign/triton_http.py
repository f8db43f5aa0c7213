"""Drives a server over REST with the synchronous tritonclient.

`python triton_http.py ADDRESS EXPECTED.npz PREFIX GRPC`, as `triton_sync.py`.
GRPC is the address of the same server for gRPC, whose answers must be the same.
"""

import base64
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

ADDRESS, EXPECTED, PREFIX, GRPC = sys.argv[1:]
MODEL = "mnist-16x16"
expected = np.load(EXPECTED)
pixels = expected["pixels"]
everything = ["hidden_1", "label", "scores"]


def tensor(values: np.ndarray, *, binary: bool = True, module=triton):
    made = module.InferInput("pixels", list(values.shape), {"uint8": "UINT8", "float32": "FP32"}[str(values.dtype)])
    made.set_data_from_numpy(values, *([] if module is grpc else [binary]))
    return made


def wanted(*names: str, binary: bool = True, **more) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary, **more) for name in names]


def same(result: triton.InferResult, *names: str, rows: slice = slice(None)) -> None:
    for name in names:
        got, right = result.as_numpy(name), expected[name][rows]
        assert got.dtype == right.dtype, (name, got.dtype)
        assert np.array_equal(got, right), name


def fails(status: int, sentence: str, call, *arguments, **named) -> None:
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        assert error.status() == str(status), error
        assert sentence in error.message(), error
    else:
        raise AssertionError(f"{call} did not fail with {status}")


def describe(client: triton.InferenceServerClient, other: grpc.InferenceServerClient) -> None:
    """What the server and its models are, as by gRPC."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready(MODEL, "9")
    assert client.get_server_metadata() == other.get_server_metadata(as_json=True)
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(MODEL, "1")
    assert metadata.pop("properties")["dataset"] == "mnist"  # tritonclient's gRPC does not know them
    assert numbers(metadata) == numbers(other.get_model_metadata(MODEL, "1", as_json=True))
    config = client.get_model_config(MODEL)
    assert (config["name"], config["platform"], config["max_batch_size"]) == (MODEL, "onnxruntime_onnx", 1024)
    assert config["input"] == [
        {"name": "pixels", "data_type": "TYPE_UINT8", "format": "FORMAT_NONE", "dims": [784]} | config["input"][0]
    ]
    index = other.get_model_repository_index(as_json=True)["models"]
    assert client.get_model_repository_index() == index


def numbers(value):
    """Numbers of 64 bits are text in the JSON of gRPC."""
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers(each) for each in value]
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def infer(client: triton.InferenceServerClient, other: grpc.InferenceServerClient) -> None:
    """Every way to ask for scores gives those of gRPC."""
    result = client.infer(MODEL, [tensor(pixels)], request_id="one")
    same(result, "label", "scores")
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("one", "4")
    assert len(response["parameters"]["sha256"]) == 64
    assert response["parameters"]["inference_us"] > 0
    outputs = [grpc.InferRequestedOutput(name) for name in everything]
    by_grpc = other.infer(MODEL, [tensor(pixels, module=grpc)], outputs=outputs)
    for values in (pixels, pixels.reshape(-1, 28, 28), pixels.reshape(-1, 1, 28, 28), pixels.astype(np.float32)):
        for given in (True, False):
            for taken in (True, False):
                asked = wanted(*everything, binary=taken)
                result = client.infer(MODEL, [tensor(values, binary=given)], outputs=asked, model_version="4")
                same(result, *everything)
                assert [output["name"] for output in result.get_response()["outputs"]] == everything
                assert all(np.array_equal(result.as_numpy(name), by_grpc.as_numpy(name)) for name in everything)
    for way in ("gzip", "deflate"):
        ways = {"request_compression_algorithm": way, "response_compression_algorithm": way}
        same(client.infer(MODEL, [tensor(pixels)], outputs=wanted(*everything), **ways), *everything)
        same(client.infer(MODEL, [tensor(pixels, binary=False)], **ways), "label", "scores")
    unknown = {"colour": "blue", "size": 3, "weight": 0.5, "wet": True}
    same(client.infer(MODEL, [tensor(pixels)], parameters=unknown, priority=2, timeout=60_000_000), "scores")
    body, size = client.generate_request_body([tensor(pixels)], outputs=wanted("scores"))
    assert size < len(body)

    odd = np.concatenate([pixels[:1], np.zeros_like(pixels[:1])])
    for taken in (True, False):
        result = client.infer(MODEL, [tensor(odd)], outputs=wanted("warnings", binary=taken))
        assert [str(each, "utf8") if taken else each for each in result.as_numpy("warnings")] == ["", "blank"]
        result = client.infer(MODEL, [tensor(pixels)], outputs=wanted("scores", binary=taken, class_count=3))
        classes = result.as_numpy("scores")
        assert classes.shape == (len(pixels), 3)
        score, index, name = (classes[0, 0].decode() if taken else classes[0, 0]).split(":")
        assert (int(index), name) == (expected["scores"][0].argmax(), str(expected["label"][0]))
        assert abs(float(score) - expected["scores"][0].max()) <= 1e-6

    parts = [slice(start, start + 3) for start in range(20)]
    answers = [client.async_infer(MODEL, [tensor(pixels[part])], request_id=str(part.start)) for part in parts]
    for part, answer in zip(parts, answers, strict=True):
        result = answer.get_result()
        assert result.get_response()["id"] == str(part.start)
        same(result, "label", "scores", rows=part)


def picture(client: triton.InferenceServerClient) -> None:
    """A file instead of pixels: binary, and in Base64 within JSON."""
    file = expected["png"].tobytes()
    for data, binary in ((file, True), (base64.b64encode(file), False)):
        given = triton.InferInput("image", [1], "BYTES")
        given.set_data_from_numpy(np.array([data], object), binary_data=binary)
        result = client.infer(MODEL, [given], outputs=wanted("label", "warnings"))
        assert result.as_numpy("label").tolist() == expected["label"][:1].tolist()
        assert result.as_numpy("warnings").tolist() == [b""]


def bad(client: triton.InferenceServerClient) -> None:
    """Some of what can be wrong, with its status."""
    fails(404, "there is no model", client.infer, "nobody", [tensor(pixels)])
    fails(404, "has no version '9'", client.infer, MODEL, [tensor(pixels)], "9")
    fails(400, "inputs[0].shape", client.infer, MODEL, [tensor(pixels[:, :700])])
    scaled = pixels.astype(np.float32) / 255
    fails(400, "whole numbers in 0..255", client.infer, MODEL, [tensor(scaled)])
    fails(400, "expected one of label", client.infer, MODEL, [tensor(pixels)], outputs=wanted("logits"))
    fails(400, "again, expected it once", client.infer, MODEL, [tensor(pixels)] * 2)
    fails(504, "the deadline passed", client.infer, MODEL, [tensor(pixels)], timeout=1)
    fails(501, "no CUDA", client.register_cuda_shared_memory, "mine", b"AAAA", 0, 1)
    fails(501, "no traces", client.get_trace_settings)
    fails(501, "no traces", client.update_trace_settings, MODEL, {"trace_rate": "1"})
    fails(501, "logging", client.get_log_settings)
    fails(501, "logging", client.update_log_settings, {"log_info": True})


def shared(client: triton.InferenceServerClient) -> None:
    """Pixels and scores in system shared memory."""
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    assert client.get_cuda_shared_memory_status() == []
    size = expected["scores"].nbytes
    given = shm.create_shared_memory_region("in", f"/{PREFIX}in", pixels.nbytes)
    taken = shm.create_shared_memory_region("out", f"/{PREFIX}out", size + 64)
    try:
        shm.set_shared_memory_region(given, [pixels])
        client.register_system_shared_memory("in", f"/{PREFIX}in", pixels.nbytes)
        client.register_system_shared_memory("out", f"/{PREFIX}out", size + 64)
        regions = {each["name"]: each for each in client.get_system_shared_memory_status()}
        assert set(regions) == {"in", "out"}
        assert regions["in"] == {"name": "in", "key": f"/{PREFIX}in", "offset": 0, "byte_size": pixels.nbytes}
        values = triton.InferInput("pixels", list(pixels.shape), "UINT8")
        values.set_shared_memory("in", pixels.nbytes)
        scores = triton.InferRequestedOutput("scores")
        scores.set_shared_memory("out", size, offset=64)
        for outputs in ([scores], [scores, *wanted("label")], [scores, *wanted("label", binary=False)]):
            result = client.infer(MODEL, [values], outputs=outputs)
            if len(outputs) > 1:
                same(result, "label")
            assert result.get_output("scores")["parameters"]["shared_memory_region"] == "out"
            got = shm.get_contents_as_numpy(taken, np.float32, expected["scores"].shape, offset=64)
            assert np.array_equal(got, expected["scores"])
            got[:] = 0
            del got
        register = client.register_system_shared_memory
        fails(400, "unregister it first", register, "in", f"/{PREFIX}in", 1)
        fails(400, "begins with", register, "other", "/elsewhere", 1)
        client.unregister_system_shared_memory("in")
        fails(400, "not registered", client.infer, MODEL, [values])
        client.unregister_system_shared_memory()
        assert client.get_system_shared_memory_status() == []
    finally:
        shm.destroy_shared_memory_region(given)
        shm.destroy_shared_memory_region(taken)


def repository(client: triton.InferenceServerClient) -> None:
    """Models come and go by call."""

    def states() -> dict[tuple[str, str], str]:
        return {(model["name"], model["version"]): model["state"] for model in client.get_model_repository_index()}

    before = states()
    client.unload_model("digits-8x8", unload_dependents=True)
    assert not client.is_model_ready("digits-8x8")
    assert states()["digits-8x8", "1"] == "UNAVAILABLE"
    eight = tensor(np.zeros((1, 64), np.uint8))
    fails(503, "it was unloaded", client.infer, "digits-8x8", [eight])
    client.load_model("digits-8x8")
    assert states() == before
    assert client.infer("digits-8x8", [eight]).as_numpy("label").shape == (1,)
    fails(404, "there is no model", client.load_model, "nobody")
    client.unload_model("nobody")
    fails(400, "as they lie on disk", client.load_model, "digits-8x8", config="{}")


def counted(client: triton.InferenceServerClient) -> dict[str, int]:
    """What the newest version has done."""
    [told] = client.get_inference_statistics(MODEL, "4")["model_stats"]
    stats = told["inference_stats"]
    return {"rows": told["inference_count"], "success": stats["success"]["count"], "fail": stats["fail"]["count"]}


with triton.InferenceServerClient(ADDRESS, concurrency=4) as client, grpc.InferenceServerClient(GRPC) as other:
    describe(client, other)
    before = counted(client)
    infer(client, other)
    picture(client)
    bad(client)
    shared(client)
    after = counted(client)
    rows = len(pixels)
    # one, by gRPC, 16 ways, 4 compressed, with parameters, and 2 of each odd and classes; pictures; shared memory
    assert after["rows"] - before["rows"] == (1 + 1 + 16 + 4 + 1 + 2) * rows + 2 * 2 + 20 * 3 + 2 + 3 * rows
    assert after["success"] - before["success"] == 1 + 1 + 16 + 4 + 1 + 2 + 2 + 20 + 2 + 3
    assert after["fail"] - before["fail"] == 5 + 1
    assert len(client.get_inference_statistics()["model_stats"]) == 8
    repository(client)
print("all well")
