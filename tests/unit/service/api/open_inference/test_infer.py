"""ModelInfer and its stream without a transport: the answers, and that they are those of digits.v1."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2

from artifact.store import VersionFolder
from engine.errors import InvalidInput, QueueFull
from engine.models.session import InferenceResult
from service.api.method import LocalContext
from service.api.open_inference import fast_path as quick_infer
from service.api.open_inference import inputs as tensors
from service.app import App
from service.config import Settings
from tests.support.server import MODELS, small_models
from tests.unit.service.api.open_inference.calls import (
    MNIST,
    SMALL,
    STEM,
    arrays,
    ask,
    ask_once,
    parameters,
    raw,
    set_parameters,
    stream,
    strings,
    typed,
)

CLASSIFY = "/digits.v1.DigitsService/Classify"


@pytest.fixture
async def app():
    async with App.open(Settings(models=small_models(), log_level="error")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Real test images, uint8 [N, 784]."""
    return VersionFolder(MODELS, MNIST, 2).read_golden().pixels[:20]


def scored(app: App, pixels: np.ndarray, model: str = MNIST) -> InferenceResult:
    """What onnxruntime itself says."""
    return app.repository.find(model, "").session.run(pixels, hidden=True)


async def test_raw_pixels_give_raw_label_and_scores_bit_equal_with_onnxruntime(app, pixels):
    """None named: label and scores, in this order."""
    response = await ask(app, "ModelInfer", raw(pixels, id="seven"))
    assert (response.model_name, response.model_version, response.id) == (MNIST, "2", "seven")
    assert [(output.name, output.datatype, list(output.shape)) for output in response.outputs] == [
        ("label", "INT64", [20]),
        ("scores", "FP32", [20, 10]),
    ]
    assert not any(output.HasField("contents") for output in response.outputs)
    wanted = scored(app, pixels)
    assert np.array_equal(arrays(response)["label"], wanted.labels)
    assert np.array_equal(arrays(response)["scores"], wanted.scores)


async def test_typed_pixels_give_typed_answers(app, pixels):
    """UINT8 from uint_contents and FP32 from fp32_contents."""
    wanted = scored(app, pixels)
    for given in (pixels, pixels.astype(np.float32)):
        response = await ask(app, "ModelInfer", typed(given, "label", "scores", "hidden_2"))
        assert not response.raw_output_contents
        label, scores, hidden = response.outputs
        assert list(label.contents.int64_contents) == wanted.labels.tolist()
        assert list(scores.contents.fp32_contents) == wanted.scores.ravel().tolist()
        assert list(hidden.contents.fp32_contents) == wanted.hidden[1].ravel().tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
async def test_images_may_be_flat_or_have_rows_and_columns(app, pixels, dtype):
    """As bytes or as whole numbers in FP32; the scores are the same bits."""
    flat = pixels.astype(dtype)
    wanted = scored(app, pixels).scores
    for shaped in (flat, flat.reshape(-1, 28, 28)):
        response = await ask(app, "ModelInfer", raw(shaped, "scores"))
        assert np.array_equal(arrays(response)["scores"], wanted)


async def test_many_float_images_are_converted_in_a_thread_and_scored_alike(app, pixels, monkeypatch):
    """From so many bytes on that the loop should not wait for it."""
    many, check, threads = np.tile(pixels, (50, 1)), tensors.check_range, []

    def noting(converted, card):
        threads.append(threading.current_thread())
        check(converted, card)

    monkeypatch.setattr(tensors, "check_range", noting)
    for module in (tensors, quick_infer):
        monkeypatch.setattr(module, "THREAD_BYTES", many.nbytes)
    response = await ask(app, "ModelInfer", raw(many.astype(np.float32), "scores"), fast_path=False)
    assert np.array_equal(arrays(response)["scores"], scored(app, many).scores)
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_outputs_come_in_the_order_of_the_request(app, pixels):
    """Hidden layers among them."""
    response = await ask(app, "ModelInfer", raw(pixels, "hidden_2", "label", "hidden_1"))
    assert list(arrays(response)) == ["hidden_2", "label", "hidden_1"]
    assert np.array_equal(arrays(response)["hidden_1"], scored(app, pixels).hidden[0])


async def test_the_answer_tells_where_its_time_went_and_which_file_gave_it(app, pixels):
    """As parameters, in microseconds."""
    told = parameters(await ask(app, "ModelInfer", raw(pixels)))
    assert told.keys() == {"queue_us", "inference_us", "batch_rows", "sha256"}
    assert told["sha256"] == app.repository.find(MNIST, "").session.sha256
    assert told["batch_rows"] == 20
    assert told["inference_us"] > 0


async def test_parameters_that_are_unknown_are_ignored(app, pixels):
    """Of the request, the input and the output."""
    request = raw(pixels, "scores")
    for message in (request, request.inputs[0], request.outputs[0]):
        set_parameters(message, binary_data=True, priority=3, colour="blue")
    assert np.array_equal(arrays(await ask(app, "ModelInfer", request))["scores"], scored(app, pixels).scores)


async def test_no_name_is_the_default_model_and_no_version_the_newest(app, pixels):
    """As in digits.v1; a version that is named is taken."""
    assert (await ask(app, "ModelInfer", raw(pixels, model_name=""))).model_name == MNIST
    assert (await ask(app, "ModelInfer", raw(pixels, model_version="1"))).model_version == "1"


async def test_classification_gives_the_best_classes_as_text(app, pixels):
    """The three greatest as score:index:class, greatest first, each with its length before it."""
    request = raw(pixels, "scores")
    set_parameters(request.outputs[0], classification=3)
    response = await ask(app, "ModelInfer", request)
    [output] = response.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [20, 3])
    texts = strings(response.raw_output_contents[0])
    scores = scored(app, pixels).scores
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    card = app.repository.find(MNIST, "").session.card
    assert texts == [
        f"{scores[row, place]:.6f}:{place}:{card.classes[place]}" for row in range(20) for place in best[row]
    ]
    request = typed(pixels, "scores")
    set_parameters(request.outputs[0], classification=3)
    [output] = (await ask(app, "ModelInfer", request)).outputs
    assert [text.decode() for text in output.contents.bytes_contents] == texts


async def test_classification_of_a_hidden_layer_names_its_strongest_neurons(app, pixels):
    """Neurons have no class, and there are no more than the layer has."""
    request = raw(pixels[:1], "hidden_1")
    set_parameters(request.outputs[0], classification=99)
    response = await ask(app, "ModelInfer", request)
    texts = strings(response.raw_output_contents[0])
    assert list(response.outputs[0].shape) == [1, 16]
    [layer] = scored(app, pixels[:1]).hidden[0]
    assert texts[0] == f"{layer.max():.6f}:{layer.argmax()}"


async def test_rows_of_both_services_share_one_batch(app, pixels):
    """The batcher does not know where they came from."""
    theirs, ours = await asyncio.gather(
        ask_once(app, "ModelInfer", raw(pixels[:3])),
        app.methods[CLASSIFY].handler(digits_pb2.ClassifyRequest(pixels=pixels[3:7].tobytes()), LocalContext()),
    )
    assert parameters(theirs)["batch_rows"] == ours.timings.batch_rows == 7
    wanted = scored(app, pixels).scores
    assert np.array_equal(arrays(theirs)["scores"], wanted[:3])
    assert [list(prediction.scores) for prediction in ours.predictions] == wanted[3:7].tolist()


async def test_a_stream_answers_in_order_and_goes_on_after_an_error(app, pixels):
    """The error stands in the stream with the id of its request."""
    requests = [raw(pixels[i : i + 1 + i % 3], id=str(i)) for i in range(10)]
    requests[4].inputs[0].datatype = "FP64"
    requests[7].model_name = "nobody"
    answers = await stream(app, requests)
    assert [answer.infer_response.id for answer in answers] == [str(i) for i in range(10)]
    assert [bool(answer.error_message) for answer in answers] == [i in (4, 7) for i in range(10)]
    assert answers[4].error_message.startswith("inputs[0].datatype: is 'FP64', expected UINT8")
    assert answers[7].error_message.startswith("there is no model 'nobody'")
    wanted = scored(app, pixels).scores
    assert np.array_equal(arrays(answers[5].infer_response)["scores"], wanted[5:8])
    assert parameters(answers[5].infer_response)["triton_final_response"] is True


async def test_a_stream_waits_where_a_single_call_is_refused(pixels):
    """More than the queue holds: every request of a stream is answered."""
    settings = Settings(models=small_models(), log_level="error", max_batch_rows=20, max_queue_rows=20, inline_us=0)
    async with App.open(settings) as app:
        request = raw(pixels)
        calls = await asyncio.gather(*(ask(app, "ModelInfer", request) for _ in range(4)), return_exceptions=True)
        assert any(isinstance(answer, QueueFull) for answer in calls)
        answers = await stream(app, [request] * 100)
        assert len(answers) == 100
        assert not any(answer.error_message for answer in answers)


async def test_a_stream_that_ends_early_takes_its_requests_out_of_the_queue(pixels):
    """Whoever goes away leaves nothing behind."""
    settings = Settings(models=small_models(), log_level="error", max_batch_rows=20, max_queue_rows=40, inline_us=0)
    async with App.open(settings) as app:

        async def endless():
            while True:
                yield raw(pixels)

        before = asyncio.all_tasks()
        answers = app.methods[STEM + "ModelStreamInfer"].handler(endless(), LocalContext())
        assert not (await anext(answers)).error_message
        assert len(asyncio.all_tasks() - before) > 2
        await answers.aclose()
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == before
        response = await ask(app, "ModelInfer", raw(pixels))
        assert parameters(response)["batch_rows"] == 20


async def test_the_other_model_has_its_own_shape_and_range(app):
    """8×8 images of 0..16."""
    pixels = np.arange(64, dtype=np.uint8)[None] % 17
    response = await ask(app, "ModelInfer", raw(pixels.reshape(1, 8, 8), model_name=SMALL))
    assert np.array_equal(arrays(response)["scores"], scored(app, pixels, SMALL).scores)


async def test_equal_scores_are_named_in_class_order(app, pixels, monkeypatch):
    """So that the same answer is the same text."""
    batcher = app.repository.find(MNIST, "").batcher
    run = batcher._run
    monkeypatch.setattr(
        batcher, "_run", lambda pixels, *wants: replace(run(pixels, *wants), scores=np.full((1, 10), 0.1, np.float32))
    )
    request = raw(pixels[:1], "scores")
    set_parameters(request.outputs[0], classification=2)
    response = await ask(app, "ModelInfer", request)
    assert strings(response.raw_output_contents[0]) == ["0.100000:0:0", "0.100000:1:1"]


def suspicious(pixels: np.ndarray) -> np.ndarray:
    """A good image, a blank one, one that is scaled to 0..1, and an inverted one."""
    image = pixels[0]
    return np.stack([image, np.zeros_like(image), (image > 127).astype(np.uint8), 255 - image])


async def test_codes_of_warnings_are_given_to_who_names_them(app, pixels):
    """BYTES [N], those of Classify; the other outputs are as ever, and none is there unasked."""
    images = suspicious(pixels)
    response = await ask(app, "ModelInfer", raw(images, "scores", "warnings", "label"), fast_path=False)
    assert [(each.name, each.datatype, list(each.shape)) for each in response.outputs] == [
        ("scores", "FP32", [4, 10]),
        ("warnings", "BYTES", [4]),
        ("label", "INT64", [4]),
    ]
    scores, codes, labels = response.raw_output_contents
    wanted = scored(app, images)
    assert (scores, labels) == (wanted.scores.tobytes(), wanted.labels.tobytes())
    assert strings(codes) == ["", "blank", "scaled", "inverted"]
    classify = app.methods[CLASSIFY].handler
    told = await classify(digits_pb2.ClassifyRequest(model=MNIST, pixels=images.tobytes()), LocalContext())
    assert strings(codes) == [",".join(each.warning_codes) for each in told.predictions]
    assert [each.name for each in (await ask(app, "ModelInfer", raw(images))).outputs] == ["label", "scores"]


async def test_codes_of_warnings_one_by_one(app, pixels):
    """As typed contents to who sends typed contents."""
    [output] = (await ask(app, "ModelInfer", typed(suspicious(pixels), "warnings"))).outputs
    assert list(output.contents.bytes_contents) == [b"", b"blank", b"scaled", b"inverted"]


async def test_codes_of_warnings_are_not_ranked(app, pixels):
    """Nor written to shared memory, where texts have no place of a known size."""
    request = raw(pixels, "warnings")
    set_parameters(request.outputs[0], classification=2)
    with pytest.raises(InvalidInput, match=r"outputs\[0\]\.parameters\[classification\]: is set, and warnings holds"):
        await ask(app, "ModelInfer", request)
