"""Write docs/reference/ and docs/pictures/ from the code: `make reference`, or `python -m docs.generate [FOLDER]`."""

import sys
from pathlib import Path

from docs.generate import commands, errors, metrics, models, protocol, settings
from docs.generate.pictures import drawings, preparation, reading

DOCS = Path(__file__).resolve().parent.parent


def reference() -> dict[str, str]:
    """The text of each generated page by its path below docs/."""
    return {
        "reference/settings.md": settings.page(),
        "reference/metrics.md": metrics.page(),
        "reference/errors.md": errors.page(),
        "reference/commands.md": commands.page(),
        "reference/models.md": models.page(),
        **protocol.pages(),
    }


def main(target: Path) -> None:
    """Write all pages and pictures below `target`."""
    for name, text in reference().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    preparation.write(target / "pictures" / "preparation")
    reading.write(target / "pictures" / "reading")
    drawings.write(target / "pictures")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
