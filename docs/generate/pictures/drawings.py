"""The drawings of explanation/architecture.md: the rooms, from the contract of pyproject.toml, and a call's way."""

import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_WHAT = {
    "cli": "the command digits",
    "scripts": "for developers",
    "scoring": "batch jobs",
    "service": "RPCs, transports, processes",
    "training": "data, fitting, export",
    "digits_client": "client, sync and asyncio",
    "engine": "onnxruntime, batches, models",
    "digits_protocol": "generated messages",
    "imaging": "picture to pixels",
    "artifact": "a model on disk",
}
"""What each room is for."""

_CALL = (
    ("transport", "bytes in: gRPC by grpcio or Envoy, JSON, gRPC-Web"),
    ("pipeline", "who calls? is there room? count bytes and calls"),
    ("fast path, or parse and handler", "a plain request is read from its bytes; others are parsed and checked"),
    ("imaging", "image files only: decode and prepare"),
    ("batcher", "rows of concurrent callers become one array"),
    ("session", "one run of onnxruntime"),
    ("batcher", "rows go back to their callers, in order"),
    ("pipeline", "errors become statuses, the call is counted"),
    ("transport", "bytes out"),
)
_FONT = 'font-family="sans-serif" text-anchor="middle"'


def layers() -> list[list[str]]:
    """The rooms from top to bottom, as `make lint` holds them: each may import what stands below it."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [line.split(" | ") for line in lint["contracts"][0]["layers"]]


def rooms() -> str:
    """An SVG of the rooms."""
    shapes = []
    for row, names in enumerate(layers()):
        width = 640 / len(names)
        for col, name in enumerate(names):
            shapes.append(_box(60 + col * width, 10 + 74 * row, width - 10, name, _WHAT[name]))
    height = 74 * len(layers()) + 10
    shapes.append(f'<path d="M30 16V{height - 14}m-7 -10l7 10l7 -10" fill="none" stroke="#555" stroke-width="2"/>')
    shapes.append(f'<text x="18" y="{height // 2}" {_FONT} font-size="13" fill="#555" transform="rotate(-90 18 '
                  f'{height // 2})">may import</text>')  # fmt: skip
    return _svg(700, height, shapes)


def call() -> str:
    """An SVG of a call's way."""
    shapes = []
    for row, (name, what) in enumerate(_CALL):
        if row:
            shapes.append(
                f'<path d="M350 {70 * row - 8}v12m-5 -6l5 6l5 -6" fill="none" stroke="#555" stroke-width="2"/>'
            )
        shapes.append(_box(100, 10 + 70 * row, 500, name, what))
    return _svg(700, 70 * len(_CALL) + 10, shapes)


def write(folder: Path) -> None:
    """Write rooms.svg and call.svg into `folder`."""
    (folder / "rooms.svg").write_text(rooms(), encoding="utf-8")
    (folder / "call.svg").write_text(call(), encoding="utf-8")


def _box(left: float, top: float, width: float, name: str, what: str) -> str:
    middle = left + width / 2
    return (
        f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="52" rx="6" fill="#eef3fb" stroke="#4a6fa5"/>'
        f'<text x="{middle:.0f}" y="{top + 22}" {_FONT} font-size="15" font-weight="bold">{escape(name)}</text>'
        f'<text x="{middle:.0f}" y="{top + 41}" {_FONT} font-size="12" fill="#333">{escape(what)}</text>'
    )


def _svg(width: int, height: int, shapes: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join((f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', ground, *shapes, "</svg>\n"))
