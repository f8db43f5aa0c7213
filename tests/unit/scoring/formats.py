"""Writes pixels into a file of each format."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def npy(file: Path, pixels: np.ndarray) -> Path:
    np.save(file, pixels)
    return file


def npz(file: Path, pixels: np.ndarray) -> Path:
    np.savez_compressed(file, pixels=pixels)
    return file


def idx(file: Path, pixels: np.ndarray) -> Path:
    raw = bytes((0, 0, 8, pixels.ndim)) + struct.pack(f">{pixels.ndim}I", *pixels.shape) + pixels.tobytes()
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)
    return file


def csv(file: Path, pixels: np.ndarray, *, names: list[str] | None = None, fmt: str = "%d", end: str = "\n") -> Path:
    text = io.StringIO()
    header = "" if names is None else ",".join(names)
    np.savetxt(text, pixels, fmt=fmt, delimiter=",", header=header, comments="", newline=end)
    raw = text.getvalue().encode()
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)
    return file


def parquet(file: Path, columns: dict, *, group: int = 700) -> Path:
    pq.write_table(pa.table(columns), file, row_group_size=group)
    return file


def columns(pixels: np.ndarray) -> dict:
    return {f"pixel{n}": np.ascontiguousarray(pixels[:, n]) for n in reversed(range(pixels.shape[1]))}


def raw(pixels: np.ndarray) -> dict:
    return {"pixels": pa.array([row.tobytes() for row in pixels], pa.binary())}


def raw_fixed(pixels: np.ndarray) -> dict:
    return {"pixels": pa.array([row.tobytes() for row in pixels], pa.binary(pixels.shape[1]))}


def lists(pixels: np.ndarray) -> dict:
    return {"pixels": pa.array(list(pixels), pa.list_(pa.uint8()))}


def float_lists(pixels: np.ndarray) -> dict:
    return {"pixels": pa.array(list(pixels.astype(float)), pa.list_(pa.float64(), pixels.shape[1]))}


def nested_lists(pixels: np.ndarray) -> dict:
    side = int(pixels.shape[1] ** 0.5)
    return {"pixels": pa.array([row.reshape(side, side).tolist() for row in pixels])}


def jsonl(file: Path, pixels: np.ndarray) -> Path:
    file.write_text("".join(json.dumps({"pixels": row.tolist()}) + "\n" for row in pixels))
    return file


def png(pixels: np.ndarray) -> bytes:
    side = int(len(pixels) ** 0.5)
    buffer = io.BytesIO()
    Image.fromarray(pixels.reshape(side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def images(folder: Path, pixels: np.ndarray, labels: np.ndarray | None = None) -> Path:
    for number, row in enumerate(pixels):
        file = folder / (str(labels[number]) if labels is not None else "") / f"{number:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(row))
    return folder


def zipped(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    return file


def tarred(file: Path, folder: Path, mode: str) -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for path in sorted(folder.rglob("*.png")):
            archive.add(path, path.relative_to(folder))
    return file
