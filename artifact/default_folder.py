"""The models folder of commands and calls that name none. Imports nothing: the supervisor of workers reads it too."""

from pathlib import Path

# In a checkout the repository's models/; a wheel installs the small models there.
_INSTALLED = Path(__file__).parents[1] / "models"


def default_folder() -> Path:
    """`models` in the current folder if it exists, else the models installed with this package."""
    local = Path("models")
    return local if local.is_dir() else _INSTALLED
