"""Generate client/digits_protocol/ from proto/: `python -m scripts.generate_protocol [FOLDER]`, by default client/.

Beside the modules there are the descriptors of `inference` as they are, for who must not register its names in
protobuf's default pool: tritonclient does so, and a second time is an error.

protoc comes pinned from PyPI. Its version decides which protobuf runtimes can import the result, so
it stays at 31: that runs on protobuf 6, which tritonclient wants, and on 7, which grpcio wants.
"""

import importlib.resources
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = "digits_protocol/inference/descriptors.binpb"
"""A FileDescriptorSet of proto/inference/, with all that it imports."""


def generate(target: Path) -> None:
    """Write `digits_protocol/**/*_pb2.py`, `.pyi` and `DESCRIPTORS` below `target`, and nothing else."""
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    names = [source.relative_to(ROOT / "proto").as_posix() for source in sources]
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status, tempfile.TemporaryDirectory() as folder:
        # Put under digits_protocol/, imports of one another included, so that the generated imports resolve there.
        for name, source in zip(names, sources, strict=True):
            text = source.read_text(encoding="utf-8")
            for other in names:
                text = text.replace(f'import "{other}"', f'import "digits_protocol/{other}"')
            moved = Path(folder) / "digits_protocol" / name
            moved.parent.mkdir(parents=True, exist_ok=True)
            moved.write_text(text, encoding="utf-8")
        includes = (f"-I{folder}", f"-I{status.parents[2]}")
        moved_names = [f"digits_protocol/{name}" for name in names]
        subprocess.run([protoc, *includes, f"--python_out={target}", f"--pyi_out={target}", *moved_names], check=True)
        of_inference = [name for name in moved_names if name.startswith("digits_protocol/inference/")]
        described = f"--descriptor_set_out={target / DESCRIPTORS}"
        subprocess.run([protoc, *includes, "--include_imports", described, *of_inference], check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "client")
