"""One sentence about the package that a command needs, when an extra is not installed."""

import sys
from types import TracebackType

# Top-level modules of the extras. Any other missing module is a bug and keeps its traceback.
_OPTIONAL = {
    *("typer", "rich", "PIL", "onnx", "onnxruntime", "structlog", "pydantic", "pydantic_settings", "uvloop"),
    *("grpc_health", "grpc_reflection", "sklearn", "skl2onnx", "skops", "joblib", "scipy", "matplotlib"),
    *("connectrpc", "prometheus_client", "uvicorn", "pyarrow", "ray", "threadpoolctl"),
}


class Needs:
    """A context manager around imports of the packages of some extras; exits with code 1 if one is missing."""

    def __init__(self, extras: str) -> None:
        """`extras` as pip writes them, e.g. `serve,cpu`."""
        self._extras = extras

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in _OPTIONAL:
            if error.name == "onnxruntime" and "cpu" not in self._extras:
                self._extras += ",cpu"
            sys.stderr.write(
                f"digits: this command needs the package {error.name}, which is not installed; "
                f"install the extras {self._extras}, in a clone: pip install ./client '.[{self._extras}]'\n"
            )
            raise SystemExit(1)
