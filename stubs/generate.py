"""Generate the stubs from proto/: `python -m stubs.generate [FOLDER]`, by default into this package.

protoc comes pinned from PyPI. Its version decides which protobuf runtimes can import the result, so
it stays at 31: that runs on protobuf 6, which tritonclient wants, and on 7, which grpcio wants.
"""

import importlib.resources
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generate(target: Path) -> None:
    """Write `stubs/**/*_pb2.py` and `.pyi` below `target`, and nothing else."""
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    names = [f"stubs/{source.relative_to(ROOT / 'proto')}" for source in sources]
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status:
        # Mapped to stubs/ so that the generated imports resolve in the package of that name.
        subprocess.run(
            [
                protoc,
                f"-Istubs={ROOT / 'proto'}",
                f"-I{status.parents[2]}",
                f"--python_out={target}",
                f"--pyi_out={target}",
                *names,
            ],
            check=True,
        )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
