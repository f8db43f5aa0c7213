"""A server that was told to take int8: what it says, and that it says so."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from digits_client import DigitsClient

from artifact.store import VersionFolder
from tests.support.processes import run_digits
from tests.support.server import MODELS, Server, StartServer
from training.variants.variants import read_version

pytestmark = pytest.mark.front("grpcio")  # a front does not know of variants
CARD = read_version(VersionFolder(MODELS, "mnist-large", 1, "int8"))[1]


@pytest.fixture(scope="module")
def served(start_for_module: StartServer) -> Server:
    return start_for_module("--variant=mnist-large=int8", models=MODELS)


def test_the_whole_test_set_gives_the_figures_of_its_card(served: Server, mnist_test):
    """Every test image over gRPC, exactly; scores are those of the version within the tolerance."""
    pixels, labels = mnist_test
    with DigitsClient(served.address) as client:
        answers = [client.classify(pixels[start : start + 500], model="mnist-large") for start in range(0, 10_000, 500)]
        card = client.model("mnist-large")
    predicted = np.concatenate([each.digits for each in answers])
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels.astype(int), predicted), 1)
    assert confusion.tolist() == [list(row) for row in CARD.confusion] == card.confusion.tolist()
    assert {each.model.variant for each in answers} == {"int8"}
    assert card.accuracy == CARD.accuracy


def test_everyone_is_told_which_variant_it_is(served: Server):
    """In the metrics, in the list of models, in the log."""
    info = {(key[0], key[3]) for key in served.metrics()["digits_model_info"]}
    assert ("mnist-large", "int8") in info
    assert ("mnist-16x16", "") in info
    told = run_digits("models", f"--server={served.address}", "--json")
    variants = {each["name"]: each["variant"] for each in json.loads(told.stdout)["models"]}
    assert (variants["mnist-large"], variants["mnist-16x16"]) == ("int8", "")
    [line] = [line for line in served.lines if line["event"] == "model ready" and line["model"] == "mnist-large"]
    assert line["variant"] == "int8"


def test_a_batch_job_takes_it_too(served: Server, mnist_test, tmp_path: Path):
    """In its own process when it is told to, from a server by itself: both give the same table."""
    np.save(tmp_path / "pixels.npy", mnist_test[0][:1000].reshape(-1, 784).astype(np.uint8))
    tables = []
    for way in (["--variant=int8", f"--models={MODELS}", "--provider=cpu"], [f"--server={served.address}"]):
        out = tmp_path / f"{len(tables)}.parquet"
        run_digits("score", tmp_path / "pixels.npy", "--out", out, "--model=mnist-large", *way).check_returncode()
        tables.append(pq.read_table(out))
    assert tables[0].equals(tables[1])
    refused = run_digits("score", tmp_path / "pixels.npy", "--out", tmp_path / "x.csv", "--variant=int8", *way)
    assert (refused.returncode, refused.stderr) == (
        2,
        "digits: --variant cannot be combined with --server, which has its own models\n",
    )


def test_changes_hold_for_a_variant(served: Server, mnist_test):
    """They are found with its weights, and its neurons round too."""
    with DigitsClient(served.address, model="mnist-large", timeout=60) as client:
        assert all(client.explain(image, find_change=True).change for image in mnist_test[0][:12])
