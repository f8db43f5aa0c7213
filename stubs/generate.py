"""Generate the stubs from proto/: `python -m stubs.generate [FOLDER]`, by default into this package.

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


def generate(target: Path) -> None:
    """Write `stubs/**/*_pb2.py` and `.pyi` below `target`, and nothing else."""
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    names = [source.relative_to(ROOT / "proto").as_posix() for source in sources]
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status, tempfile.TemporaryDirectory() as folder:
        # Put under stubs/, imports of one another included, so that the generated imports resolve there.
        for name, source in zip(names, sources, strict=True):
            text = source.read_text(encoding="utf-8")
            for other in names:
                text = text.replace(f'import "{other}"', f'import "stubs/{other}"')
            moved = Path(folder) / "stubs" / name
            moved.parent.mkdir(parents=True, exist_ok=True)
            moved.write_text(text, encoding="utf-8")
        subprocess.run(
            [
                protoc,
                f"-I{folder}",
                f"-I{status.parents[2]}",
                f"--python_out={target}",
                f"--pyi_out={target}",
                *(f"stubs/{name}" for name in names),
            ],
            check=True,
        )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
