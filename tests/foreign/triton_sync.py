"""Drives a server with the synchronous tritonclient: `python triton_sync.py ADDRESS EXPECTED.npz SHARED_MEMORY_PREFIX`.

EXPECTED.npz has `pixels` uint8 [N, 784] and what onnxruntime makes of them: `label`, `scores`, `hidden_1`.
The server has the models mnist-16x16 and digits-8x8, explicit model control, and that prefix.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

ADDRESS, EXPECTED, PREFIX = sys.argv[1:]
MODEL = "mnist-16x16"
expected = np.load(EXPECTED)
pixels = expected["pixels"]


def tensor(values: np.ndarray) -> triton.InferInput:
    made = triton.InferInput("pixels", list(values.shape), {"uint8": "UINT8", "float32": "FP32"}[str(values.dtype)])
    made.set_data_from_numpy(values)
    return made


def same(result: triton.InferResult, *names: str, rows: slice = slice(None)) -> None:
    for name in names:
        got, wanted = result.as_numpy(name), expected[name][rows]
        assert got.dtype == wanted.dtype, (name, got.dtype)
        assert np.array_equal(got, wanted), name


def fails(status: str, sentence: str, call, *arguments, **named) -> None:
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{status}", error
        assert sentence in error.message(), error
    else:
        raise AssertionError(f"{call} did not fail with {status}")


def describe(client: triton.InferenceServerClient) -> None:
    """What the server and its models are."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert client.get_server_metadata(as_json=True)["name"] == "digits"
    assert "system_shared_memory" in client.get_server_metadata().extensions

    metadata = client.get_model_metadata(MODEL, as_json=True)
    assert metadata["versions"] == ["1", "2", "3", "4"]
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": ["-1", "784"]}]
    assert [output["name"] for output in metadata["outputs"]] == [
        *("label", "scores", "not_a_digit", "hidden_1", "hidden_2", "warnings")
    ]

    config = client.get_model_config(MODEL, as_json=True)["config"]
    assert (config["name"], config["platform"], config["backend"]) == (MODEL, "onnxruntime_onnx", "onnxruntime")
    assert config["max_batch_size"] == 1024
    assert config["input"] == [{"name": "pixels", "data_type": "TYPE_UINT8", "dims": ["784"]}]
    assert "dynamic_batching" in config


def infer(client: triton.InferenceServerClient) -> None:
    """Every way to ask for scores."""
    result = client.infer(MODEL, [tensor(pixels)], request_id="one")
    same(result, "label", "scores")
    response = result.get_response()
    assert (response.id, response.model_version) == ("one", "4")
    assert len(response.parameters["sha256"].string_param) == 64
    assert response.parameters["inference_us"].int64_param > 0
    assert response.parameters["queue_us"].int64_param >= 0

    same(client.infer(MODEL, [tensor(pixels.reshape(-1, 28, 28))]), "label", "scores")
    same(client.infer(MODEL, [tensor(pixels.astype(np.float32))]), "label", "scores")
    same(client.infer(MODEL, [tensor(pixels)], compression_algorithm="gzip", client_timeout=30), "scores")
    unknown = {"colour": "blue", "size": 3, "weight": 0.5, "wet": True}
    same(client.infer(MODEL, [tensor(pixels)], parameters=unknown, priority=2, timeout=60_000_000), "scores")

    names = ["hidden_1", "label", "scores"]
    result = client.infer(MODEL, [tensor(pixels)], outputs=[triton.InferRequestedOutput(name) for name in names])
    same(result, *names)
    assert [output.name for output in result.get_response().outputs] == names

    odd = np.concatenate([pixels[:1], np.zeros_like(pixels[:1])])
    result = client.infer(MODEL, [tensor(odd)], outputs=[triton.InferRequestedOutput("warnings")])
    assert result.as_numpy("warnings").tolist() == [b"", b"blank"]
    result = client.infer(MODEL, [tensor(pixels)], outputs=[triton.InferRequestedOutput("scores", class_count=3)])
    classes = result.as_numpy("scores")
    assert classes.shape == (len(pixels), 3)
    score, index, name = classes[0, 0].decode().split(":")
    assert int(index) == expected["scores"][0].argmax()
    assert name == str(expected["label"][0])
    assert abs(float(score) - expected["scores"][0].max()) <= 1e-6

    answers = queue.Queue()
    for start in range(20):
        client.async_infer(
            MODEL, [tensor(pixels[start : start + 3])], lambda result, error: answers.put((result, error)),
            request_id=str(start),
        )  # fmt: skip
    for _ in range(20):
        result, error = answers.get(timeout=30)
        assert error is None, error
        start = int(result.get_response().id)
        same(result, "label", "scores", rows=slice(start, start + 3))


def stream(client: triton.InferenceServerClient) -> None:
    """Answers in order, and an error that does not end it."""
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for start in range(30):
        model = "nobody" if start == 11 else MODEL
        client.async_stream_infer(model, [tensor(pixels[start : start + 2])], request_id=str(start))
    for start in range(30):
        result, error = answers.get(timeout=30)
        if start == 11:
            assert "there is no model 'nobody'" in error.message(), error
            continue
        assert error is None, error
        assert result.get_response().id == str(start)
        same(result, "label", "scores", rows=slice(start, start + 2))
    client.stop_stream()


def bad(client: triton.InferenceServerClient) -> None:
    """Some of what can be wrong, with its status; there are 4 calls here that reach the model."""
    fails("NOT_FOUND", "there is no model", client.infer, "nobody", [tensor(pixels)])
    fails("NOT_FOUND", "has no version '9'", client.infer, MODEL, [tensor(pixels)], "9")
    fails("INVALID_ARGUMENT", "inputs[0].shape", client.infer, MODEL, [tensor(pixels[:, :700])])
    scaled = pixels.astype(np.float32) / 255
    fails("INVALID_ARGUMENT", "whole numbers in 0..255", client.infer, MODEL, [tensor(scaled)])
    logits = [triton.InferRequestedOutput("logits")]
    fails("INVALID_ARGUMENT", "expected one of label", client.infer, MODEL, [tensor(pixels)], outputs=logits)
    fails("INVALID_ARGUMENT", "again, expected it once", client.infer, MODEL, [tensor(pixels)] * 2)
    fails("UNIMPLEMENTED", "no CUDA", client.register_cuda_shared_memory, "mine", b"AAAA", 0, 1)
    fails("UNIMPLEMENTED", "no traces", client.get_trace_settings)
    fails("UNIMPLEMENTED", "logging", client.get_log_settings)


def shared(client: triton.InferenceServerClient) -> None:
    """Pixels and scores in system shared memory."""
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    assert not client.get_cuda_shared_memory_status().regions
    size = expected["scores"].nbytes
    given = shm.create_shared_memory_region("in", f"/{PREFIX}in", pixels.nbytes)
    taken = shm.create_shared_memory_region("out", f"/{PREFIX}out", size + 64)
    try:
        shm.set_shared_memory_region(given, [pixels])
        client.register_system_shared_memory("in", f"/{PREFIX}in", pixels.nbytes)
        client.register_system_shared_memory("out", f"/{PREFIX}out", size + 64)
        assert set(client.get_system_shared_memory_status(as_json=True)["regions"]) == {"in", "out"}
        values = triton.InferInput("pixels", list(pixels.shape), "UINT8")
        values.set_shared_memory("in", pixels.nbytes)
        scores = triton.InferRequestedOutput("scores")
        scores.set_shared_memory("out", size, offset=64)
        result = client.infer(MODEL, [values], outputs=[scores, triton.InferRequestedOutput("label")])
        same(result, "label")
        assert result.get_output("scores").parameters["shared_memory_region"].string_param == "out"
        got = shm.get_contents_as_numpy(taken, np.float32, expected["scores"].shape, offset=64)
        assert np.array_equal(got, expected["scores"])
        del got
        register = client.register_system_shared_memory
        fails("ALREADY_EXISTS", "unregister it first", register, "in", f"/{PREFIX}in", 1)
        fails("INVALID_ARGUMENT", "begins with", register, "other", "/elsewhere", 1)
        fails("INVALID_ARGUMENT", "cannot be opened", register, "other", f"/{PREFIX}none", 1)
        client.unregister_system_shared_memory("in")
        fails("INVALID_ARGUMENT", "not registered", client.infer, MODEL, [values])
        client.unregister_system_shared_memory()
        assert not client.get_system_shared_memory_status().regions
    finally:
        shm.destroy_shared_memory_region(given)
        shm.destroy_shared_memory_region(taken)


def repository(client: triton.InferenceServerClient) -> None:
    """Models come and go by call."""

    def states() -> dict[tuple[str, str], str]:
        return {(model.name, model.version): model.state for model in client.get_model_repository_index().models}

    everything = states()
    assert set(everything.values()) == {"READY"}
    client.unload_model("digits-8x8", unload_dependents=True)
    assert not client.is_model_ready("digits-8x8")
    assert states()["digits-8x8", "1"] == "UNAVAILABLE"
    eight = tensor(np.zeros((1, 64), np.uint8))
    fails("UNAVAILABLE", "it was unloaded", client.infer, "digits-8x8", [eight])
    client.load_model("digits-8x8")
    assert states() == everything
    assert client.infer("digits-8x8", [eight]).as_numpy("label").shape == (1,)
    fails("NOT_FOUND", "there is no model", client.load_model, "nobody")
    client.unload_model("nobody")
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready(MODEL, "9")
    fails("INVALID_ARGUMENT", "version", client.is_model_ready, MODEL, "newest")
    fails("INVALID_ARGUMENT", "as they lie on disk", client.load_model, "digits-8x8", config="{}")


def counted(client: triton.InferenceServerClient) -> dict[str, int]:
    """What the newest version has done."""
    [told] = client.get_inference_statistics(MODEL, "4").model_stats
    assert sum(batch.batch_size * batch.compute_infer.count for batch in told.batch_stats) == told.inference_count
    assert sum(batch.compute_infer.count for batch in told.batch_stats) == told.execution_count
    stats = told.inference_stats
    return {"rows": told.inference_count, "success": stats.success.count, "fail": stats.fail.count}


with triton.InferenceServerClient(ADDRESS) as client:
    describe(client)
    before = counted(client)
    infer(client)
    stream(client)
    bad(client)
    shared(client)
    after = counted(client)
    rows = len(pixels)
    assert after["rows"] - before["rows"] == 7 * rows + 2 + 20 * 3 + 29 * 2 + rows
    assert after["success"] - before["success"] == 8 + 20 + 29 + 1
    assert after["fail"] - before["fail"] == 4 + 1
    assert len(client.get_inference_statistics(as_json=True)["model_stats"]) == 8
    repository(client)
print("all well")
