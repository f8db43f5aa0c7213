"""The profile score: a job over a mounted folder."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.extra("docker")

MNIST = ROOT / "tests" / "data" / "mnist"


def test_a_file_in_the_folder_is_scored_into_a_table_beside_it(start_stack, tmp_path: Path):
    """All test images of MNIST, nearly all of them right, written by its user into the folder they came from."""
    (tmp_path / "in").mkdir()
    shutil.copy(MNIST / "t10k-images-idx3-ubyte.gz", tmp_path / "in" / "images.gz")
    tmp_path.chmod(0o777)
    stack = start_stack("score", SCORE_FOLDER=str(tmp_path))
    stack.compose("--profile", "score", "build", "score", seconds=1800)
    job = ["score", "/data/in/images.gz", "--out", "/data/out.parquet", "--server", "digits:8001"]
    stack.compose("--profile", "score", "run", "--rm", "-T", "score", *job)
    digits = pyarrow.parquet.read_table(tmp_path / "out.parquet")["digit"].to_numpy()
    labels = np.frombuffer(gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    assert len(digits) == len(labels)
    assert np.mean(digits == labels) > 0.97
