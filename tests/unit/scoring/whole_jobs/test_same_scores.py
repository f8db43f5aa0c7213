"""The same images give the same scores, whatever file they come in and wherever they are scored."""

from pathlib import Path

import numpy as np
import pytest
from pyarrow import Table
from sklearn.datasets import load_digits

from scoring import score
from tests.support.server import MODELS, Server
from tests.unit.scoring.jobs import ARRAYS, table, write_array, write_images

ROWS = 4000
"""MNIST images in each format: more than a row group of each Parquet file."""
IMAGE_FILES = 300


class Files(dict[str, Path]):
    """The same images in many formats, each written when it is first asked for."""

    def __init__(self, folder: Path, pixels: np.ndarray, labels: np.ndarray, side: int) -> None:
        np.save(folder / "labels.npy", labels)
        super().__init__(labels=folder / "labels.npy")
        self._write = lambda name: write_array(folder / name, pixels, side)

    def __missing__(self, name: str) -> Path:
        self[name] = self._write(name)
        return self[name]


@pytest.fixture(scope="session")
def mnist(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Files:
    pixels, labels = mnist_test
    return Files(tmp_path_factory.mktemp("mnist"), pixels[:ROWS], labels[:ROWS], 28)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Files:
    pixels, labels = load_digits(return_X_y=True)
    folder = tmp_path_factory.mktemp("digits")
    files = Files(folder, pixels.astype(np.uint8), labels, 8)
    files.update(write_images(folder, pixels[:IMAGE_FILES], labels[:IMAGE_FILES], 8, 16))
    return files


@pytest.fixture(scope="session")
def first(mnist_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The table of all 10,000 test images, in chunks of another size."""
    output = tmp_path_factory.mktemp("first") / "out.parquet"
    labels = mnist_file.with_name("t10k-labels-idx1-ubyte.gz")
    summary = score(mnist_file, output, models=MODELS, chunk_rows=999, labels=labels)
    assert summary.rows == summary.labelled == 10_000
    assert summary.accuracy == summary.model.card.accuracy
    assert summary.confusion is not None
    assert summary.confusion.tolist() == [list(row) for row in summary.model.card.confusion]
    return table(output)


@pytest.mark.parametrize("name", ARRAYS)
def test_every_format_of_mnist_gives_the_same_table(mnist: Files, first: Table, name: str, tmp_path: Path):
    """That of the test set, which gives the accuracy and the confusion matrix of the card."""
    summary = score(mnist[name], tmp_path / "out.parquet", models=MODELS, labels=str(mnist["labels"]))
    assert summary.rows == summary.labelled == ROWS
    found = table(tmp_path / "out.parquet")
    assert found.equals(first.slice(0, ROWS))
    assert found["id"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize("name", ARRAYS)
def test_every_format_of_the_small_digits_gives_the_same_table(digits: Files, name: str, tmp_path: Path):
    """All 1,797, of 8×8 pixels in 0..16."""
    outputs = []
    for each in (name, "a.npy"):
        outputs.append(tmp_path / f"{len(outputs)}.parquet")
        summary = score(digits[each], outputs[-1], models=MODELS, model="digits-8x8", labels=str(digits["labels"]))
        assert summary.labelled == 1797
        assert summary.accuracy is not None
        assert summary.accuracy > 0.99
    assert table(outputs[0]).equals(table(outputs[1]))


def test_image_files_score_alike_in_a_folder_a_zip_and_a_tar(digits: Files, tmp_path: Path):
    """Their ids are their paths, their labels the folders they lie in."""
    tables = []
    for kind in ("folder", "zip", "tar"):
        output = tmp_path / f"{kind}.parquet"
        summary = score(digits[kind], output, models=MODELS, model="digits-8x8", labels="folder")
        assert summary.labelled == IMAGE_FILES
        assert summary.accuracy is not None
        assert summary.accuracy > 0.99
        tables.append(table(output))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["id"][0].as_py() == "0/00000.png"


@pytest.mark.parametrize("name", ["c.idx", "f.parquet"])
@pytest.mark.parametrize("shared_memory", ["", "digits-test-"])
def test_a_server_gives_the_bytes_that_this_process_gives(
    mnist: Files, sharing_server: Server, name: str, shared_memory: str, tmp_path: Path
):
    """By gRPC and by shared memory, on both fronts."""
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    score(mnist[name], here, models=MODELS)
    summary = score(mnist[name], there, server=sharing_server.address, shared_memory=shared_memory)
    assert ("shared memory" if shared_memory else "gRPC") in summary.how
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_images_by_a_server_are_those_by_this_process(digits: Files, sharing_server: Server, tmp_path: Path):
    """The pixels are prepared where the files are, by the card that the server tells."""
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    score(digits["zip"], here, models=MODELS, model="digits-8x8")
    score(digits["zip"], there, server=sharing_server.address, model="digits-8x8:1")
    assert here.read_bytes() == there.read_bytes()
