"""The same job on Ray Data, from an environment of its own: Ray is larger than all the rest together."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest

from scoring import score
from tests.foreign.environments import python_with_extras
from tests.support.processes import environment
from tests.support.server import MODELS
from tests.unit.scoring.jobs import table, write_array, write_images

pytestmark = pytest.mark.skipif(not os.environ.get("RAY"), reason="`make ray` runs it, in an environment of its own")


def on_ray(*arguments: object) -> tuple[int, str, str]:
    """`digits score --engine ray` with these arguments: its exit code, stdout and stderr."""
    command = [python_with_extras("ray,cpu").with_name("digits"), "score", "--engine", "ray", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment(DIGITS_MODELS=str(MODELS)), capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["a.npy", "d.idx.gz", "e.csv", "g.parquet"])
def test_ray_gives_the_table_of_one_process(mnist_test: tuple[np.ndarray, np.ndarray], name: str, tmp_path: Path):
    """Row for row and in order, whether it is known beforehand how many rows there are or not."""
    file = write_array(tmp_path / name, mnist_test[0], 28)
    np.save(tmp_path / "labels.npy", mnist_test[1])
    output = tmp_path / "out"
    options = ["--labels", tmp_path / "labels.npy", "--chunk-rows=700", "--top-k=2", "--json", "--format=parquet"]
    code, out, err = on_ray(file, "--out", output, "--actors=2", *options)
    assert code == 0, err
    told = json.loads(out)
    assert told["how"] == "by 2 actors of Ray, CPUExecutionProvider"
    summary = score(file, tmp_path / "here.parquet", models=MODELS, labels=str(tmp_path / "labels.npy"), top_k=2)
    assert told["accuracy"] == summary.accuracy == summary.model.card.accuracy
    assert told["confusion"] == summary.as_json()["confusion"]
    parts = sorted(output.iterdir())
    assert len(parts) == -(-10_000 // 700)
    joined = pyarrow.dataset.dataset(parts).to_table().replace_schema_metadata(None)
    assert joined.combine_chunks().equals(table(tmp_path / "here.parquet").combine_chunks())


def test_ray_scores_image_files_and_records_the_bad_ones(digits: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    """The exit code tells, as without Ray."""
    pixels, labels = digits
    files = write_images(tmp_path / "in", pixels[:100], labels[:100], 8, 16)
    (files["folder"] / "0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    output = tmp_path / "out.csv"
    code, out, err = on_ray(files["folder"], "--out", output, "--model=digits-8x8", "--labels=folder", "--json")
    assert code == 3, err
    assert json.loads(out)["errors"] == {"image that cannot be read": 1}
    [part] = output.iterdir()
    lines = part.read_text().splitlines()
    assert len(lines) == 102
    assert next(line for line in lines if "truncated or damaged" in line).startswith('"0/broken.png",,')


def test_what_ray_cannot_do_is_a_sentence(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    """Resuming, an output that is there, a bad row, a model that is not."""
    file = tmp_path / "in.npy"
    np.save(file, mnist_test[0][:10].astype(np.int32) - 1)
    cases = [
        (["--resume"], 1, "cannot be resumed"),
        (["--server=localhost:8001"], 2, "cannot be combined with --server"),
        (["--model=none"], 1, "there is no model 'none'"),
        ([], 1, "row 0, column 0"),
    ]
    for options, wanted, sentence in cases:
        code, _, err = on_ray(file, "--out", tmp_path / "out.csv", *options)
        assert code == wanted, err
        assert sentence in err
        assert "Traceback" not in err
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy"]
