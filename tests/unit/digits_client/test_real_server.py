"""Both clients against the real server and the committed models."""

import asyncio
import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from digits_client import (
    AsyncDigitsClient,
    Classification,
    Classifications,
    DigitsClient,
    DigitsError,
    Health,
    InvalidInput,
    ModelNotFound,
)
from PIL import Image

from tests.support.server import NAMES


@pytest.fixture
def client(server):
    with DigitsClient(server.address, model="mnist-16x16", version="2") as client:
        yield client


def test_one_image_gives_one_result(client, mnist_test):
    """A single array gives a Classification with ten float32 scores that sum to 1."""
    result = client.classify(mnist_test[0][0].reshape(28, 28))
    assert isinstance(result, Classification)
    assert result.digit == mnist_test[1][0] == int(np.argmax(result.scores))
    assert result.scores.dtype == np.float32
    assert result.scores.sum() == pytest.approx(1, abs=1e-5)
    best, second = np.sort(result.scores)[:-3:-1]
    assert result.margin == pytest.approx(best - second, abs=1e-6)
    assert result.activations is None
    assert (result.model.name, result.model.version) == ("mnist-16x16", "2")


def test_several_images_give_results_in_order(client, mnist_test):
    """An array of images and a list of images give the same Classifications, in order."""
    pixels, labels = mnist_test[0][:300], mnist_test[1][:300]
    batch = client.classify(pixels)
    assert isinstance(batch, Classifications)
    assert np.mean(batch.digits == labels) > 0.9
    assert np.array_equal(batch.scores, client.classify(list(pixels)).scores)
    assert np.array_equal(batch.scores, client.classify(pixels.reshape(-1, 28, 28).astype(float)).scores)
    assert len(batch) == len(list(batch)) == 300
    assert batch.timings.batch_rows >= 300


def test_image_files_of_every_kind(client, mnist_test, tmp_path):
    """A path, its text, its bytes and a PIL image give the same answer."""
    image = Image.fromarray(255 - mnist_test[0][0].reshape(28, 28)).resize((140, 140))
    path = tmp_path / "seven.png"
    image.save(path)
    results = [client.classify(each) for each in (path, str(path), path.read_bytes(), image)]
    assert {result.digit for result in results} == {7}
    assert len({result.scores.tobytes() for result in results}) == 1
    assert [result.digit for result in client.classify([path, image])] == [7, 7]


def test_activations_show_every_layer(client, mnist_test):
    """Asked for, each layer comes as float32; the first is what the network was given."""
    result = client.classify(mnist_test[0][0], activations=True)
    assert {name: values.shape for name, values in result.activations.items()} == {
        "pixels": (784,),
        "hidden_1": (16,),
        "hidden_2": (16,),
    }
    assert np.array_equal(result.activations["pixels"], mnist_test[0][0])


def test_the_network_computes_its_own_scores(client, mnist_test):
    """Weights, biases and the card suffice to compute by hand what the server answers."""
    network, card = client.network(), client.model()
    assert network.layer_widths == card.layer_widths == (784, 16, 16, 10)
    values = (mnist_test[0][:5].astype(np.float64) - card.pixel_offset) * card.pixel_scale
    for layer in network.layers[:-1]:
        assert layer.activation == "relu"
        values = np.maximum(values @ layer.weights + layer.biases, 0)
    logits = values @ network.layers[-1].weights + network.layers[-1].biases
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    assert client.classify(mnist_test[0][:5]).scores == pytest.approx(scores, abs=1e-4)


def test_the_card(client):
    """The card tells shape, accuracy and confusion matrix."""
    card = client.model()
    assert (card.rows, card.cols, card.pixel_max, card.parameters) == (28, 28, 255, 13_002)
    assert card.confusion.shape == (10, 10)
    assert card.confusion.trace() / card.confusion.sum() == pytest.approx(card.accuracy)


def test_models_and_limits(client):
    """The listing has every model, its shapes and the limits; `find` follows the server's defaults."""
    listing = client.models()
    assert listing.find().features == 784
    assert listing.find("digits-8x8").pixel_max == 16
    assert listing.max_rows >= 1
    with pytest.raises(ModelNotFound, match=rf"no model 'x'; there is {NAMES}"):
        listing.find("x")


def test_another_model_by_name(client):
    """A call may name a model; the client's own version does not stick to it."""
    result = client.classify(np.full((8, 8), 3), model="digits-8x8")
    assert (result.model.name, result.model.version) == ("digits-8x8", "1")


def test_warnings_arrive(client):
    """What looks wrong is told with the result."""
    assert client.classify(np.zeros((28, 28))).warnings == ("the image is blank: no ink was found",)


@pytest.mark.parametrize(("names", "words"), [({"model": "x"}, "x"), ({"model": "mnist-16x16", "version": "99"}, "99")])
@pytest.mark.parametrize("image", [np.zeros((28, 28)), b"\x89PNG"], ids=["array", "file"])
def test_unknown_names(client, names, words, image):
    """An unknown model or version is ModelNotFound and named, for arrays and for files."""
    with pytest.raises(ModelNotFound, match=words):
        client.classify(image, **names)


def test_a_file_that_is_no_image(client):
    """The server's refusal names the field."""
    with pytest.raises(InvalidInput, match="not an image") as caught:
        client.classify(b"seven")
    assert caught.value.violations[0][0].startswith("encoded_images")


def test_health(client):
    """The server, its service and its models are asked by name; an unknown name is no error."""
    assert client.health() is Health.SERVING
    assert client.health("digits.v1.DigitsService")
    assert client.health("mnist-16x16")
    assert client.health("x") is Health.SERVICE_UNKNOWN
    assert not client.health("x")


def test_a_stream_answers_in_order_and_goes_on(client, mnist_test):
    """Bad items get their errors in their place, whether found here or there; the others their results."""
    images = mnist_test[0]
    items = [images[0], b"no image", np.zeros((3, 3)), images[1], "nowhere.png", images[2:5], np.full(784, 0.5)]
    found = list(client.classify_stream(items))
    assert [type(each) for each in found] == [
        Classification,
        InvalidInput,
        ValueError,
        Classification,
        FileNotFoundError,
        Classifications,
        ValueError,
    ]
    assert np.array_equal(found[5].scores, client.classify(images[2:5]).scores)


def test_a_stream_that_begins_badly(client, mnist_test):
    """Items that never leave are told in their place when they come first, last, or alone."""
    found = list(client.classify_stream([np.zeros(3), "nowhere.png", mnist_test[0][0], np.zeros(3)]))
    assert [type(each) for each in found] == [ValueError, FileNotFoundError, Classification, ValueError]
    assert [type(each) for each in client.classify_stream([np.zeros(3)])] == [ValueError]
    assert list(client.classify_stream([])) == []


def test_a_long_stream(client, mnist_test):
    """Two thousand images in one stream are as good as in one call."""
    found = [result.digit for result in client.classify_stream(iter(mnist_test[0][:2000]))]
    assert np.mean(np.array(found) == mnist_test[1][:2000]) > 0.9


def test_a_stream_raises_what_its_source_raises(client, mnist_test):
    """An error of the caller's own iterable comes back to the caller, after what was sent."""

    def source():
        yield mnist_test[0][0]
        raise RuntimeError("the camera broke")

    found = []
    with pytest.raises(RuntimeError, match="the camera broke"):
        found.extend(client.classify_stream(source()))


def test_a_stream_may_be_left(client, mnist_test):
    """Who stops reading after the first answer leaves nothing behind."""
    for result in client.classify_stream(mnist_test[0]):
        assert result.digit == 7
        break
    assert client.classify(mnist_test[0][0]).digit == 7


def test_one_client_for_many_threads(server, mnist_test):
    """Threads share a client and its channels; each gets its own answers."""
    expected = []
    with DigitsClient(server.address, channels=2) as client:
        expected = client.classify(mnist_test[0][:64]).digits.tolist()
        found: dict[int, int] = {}

        def work(start: int) -> None:
            for index in range(start, 64, 8):
                found[index] = client.classify(mnist_test[0][index]).digit

        threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[index] for index in range(64)] == expected


async def test_asyncio_does_the_same(server, mnist_test, tmp_path):
    """Every method of the asyncio client against the server."""
    async with AsyncDigitsClient(server.address, model="mnist-16x16", version="2") as client:
        one = await client.classify(mnist_test[0][0], activations=True)
        assert (one.digit, one.activations["hidden_2"].shape) == (7, (16,))
        batch = await client.classify(mnist_test[0][:50])
        alone = await asyncio.gather(*(client.classify(image) for image in mnist_test[0][:50]))
        assert [each.digit for each in alone] == batch.digits.tolist()
        assert (await client.models()).default_model
        assert (await client.model()).parameters == 13_002
        assert (await client.network()).layers[0].weights.shape == (784, 16)
        assert await client.health()
        buffer = io.BytesIO()
        Image.fromarray(mnist_test[0][0].reshape(28, 28)).save(buffer, "PNG")
        path = tmp_path / "seven.png"
        path.write_bytes(buffer.getvalue())
        assert [each.digit for each in await client.classify([path, buffer.getvalue()])] == [7, 7]
        with pytest.raises(ModelNotFound):
            await client.classify(mnist_test[0][0], model="x")


async def test_asyncio_stream(server, mnist_test):
    """Synchronous and asynchronous iterables stream alike; bad items fail in their place."""

    async def source():
        for item in (mnist_test[0][0], b"no image", np.zeros(3), mnist_test[0][1]):
            yield item
            await asyncio.sleep(0)

    async with AsyncDigitsClient(server.address) as client:
        found = [each async for each in client.classify_stream(source())]
        assert [type(each) for each in found] == [Classification, InvalidInput, ValueError, Classification]
        digits = [each.digit async for each in client.classify_stream(mnist_test[0][:200])]
        assert digits == (await client.classify(mnist_test[0][:200])).digits.tolist()


async def test_coalesced_results_are_those_of_single_calls(server, mnist_test):
    """A thousand concurrent images in few calls: the scores are bit-equal to those of each sent alone."""
    images = mnist_test[0][:1000]
    async with AsyncDigitsClient(server.address, coalesce=True) as client:
        found = await asyncio.gather(*(client.classify(image) for image in images))
    async with AsyncDigitsClient(server.address) as client:
        alone = await client.classify(images)
    assert np.array_equal(np.stack([each.scores for each in found]), alone.scores)


def test_the_client_needs_its_own_packages_alone():
    """Importing it brings in neither server, nor Pillow, nor pydantic, nor grpc's health messages."""
    code = "import sys, digits_client; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"service", "artifact", "training", "PIL", "pydantic", "grpc_health.v1", "onnxruntime"} & set(loaded)


def test_all_errors_have_one_root():
    """Whoever catches DigitsError catches what any call can fail with."""
    assert issubclass(InvalidInput, DigitsError)
    assert issubclass(ModelNotFound, DigitsError)
