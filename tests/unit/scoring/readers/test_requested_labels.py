"""Labels that were asked for and are in no row end the job, in whatever form they were to come."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scoring import InputError, score
from tests.support.server import MODELS
from tests.unit.scoring import formats
from tests.unit.scoring.jobs import run


def as_csv(folder, pixels, labels):
    rows = [
        f"{'' if label is None else label},{','.join(map(str, row))}" for row, label in zip(pixels, labels, strict=True)
    ]
    file = folder / "a.csv"
    file.write_text("\n".join([",".join(["truth", *(f"p{n}" for n in range(64))]), *rows]))
    return file, "truth"


def as_parquet(folder, pixels, labels):
    columns = formats.raw(pixels) | {"truth": pa.array(labels, pa.int64())}
    return formats.parquet(folder / "a.parquet", columns), "truth"


def as_json(folder, pixels, labels):
    file = folder / "a.jsonl"
    rows = [{"pixels": row.tolist(), "truth": label} for row, label in zip(pixels, labels, strict=True)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file, "truth"


def as_npz(folder, pixels, labels):
    np.savez(folder / "a.npz", pixels=pixels, truth=np.array(labels, float))
    return folder / "a.npz", "truth"


def as_text(folder, pixels, labels):
    (folder / "truth").write_text("".join(f"{'' if label is None else label}\n" for label in labels))
    return formats.npy(folder / "a.npy", pixels), str(folder / "truth")


def as_array(folder, pixels, labels):
    return formats.npy(folder / "a.npy", pixels), str(formats.npy(folder / "truth.npy", np.array(labels, float)))


def as_zip(folder, pixels, labels):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for place, (row, label) in enumerate(zip(pixels, labels, strict=True)):
            archive.writestr(f"{place}.png" if label is None else f"{label}/{place}.png", formats.png(row * 15))
    return folder / "a.zip", "folder"


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_json, as_npz, as_text, as_array, as_zip])
def test_labels_that_are_in_no_row_end_the_job(write, digits, tmp_path):
    """There is no output, and the sentence names them; a single one is enough for the job to end well."""
    output = tmp_path / "out.csv"
    file, labels = write(tmp_path, digits[0][:3], [None] * 3)
    with pytest.raises(InputError, match=Path(labels).name):
        score(file, output, model="digits-8x8", models=MODELS, labels=labels)
    assert not output.exists()
    file, labels = write(tmp_path, digits[0][:3], [None, 7, None])
    assert score(file, tmp_path / "one.csv", model="digits-8x8", models=MODELS, labels=labels).labelled == 1


def test_a_job_that_ends_so_has_an_exit_code(digits, tmp_path):
    """Resumed, when all its chunks are finished, it ends alike."""
    file, labels = as_csv(tmp_path, digits[0][:3], [None] * 3)
    for more in ([], ["--resume"]):
        options = ["--out", tmp_path / "out.csv", "--model=digits-8x8", "--labels", labels, *more]
        _, err = run(file, *options, code=1)
        assert "labels truth were asked for" in err


def test_without_labels_nothing_is_asked_for(digits, tmp_path):
    """Columns that are called so may be empty, and a job without rows asks for none."""
    file, _ = as_csv(tmp_path, digits[0][:3], [None] * 3)
    file.write_text(file.read_text().replace("truth", "label"))
    assert score(file, tmp_path / "a.csv.out", format="csv", model="digits-8x8", models=MODELS).accuracy is None
    none, labels = as_npz(tmp_path, digits[0][:0], [])
    assert score(none, tmp_path / "b.csv", model="digits-8x8", models=MODELS, labels=labels).rows == 0
