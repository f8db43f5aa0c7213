"""Sphinx: `make docs`. Pages are Markdown, read by MyST; the reference is made from the code by docs/generate/."""

import re as _re
import tomllib as _tomllib
from pathlib import Path as _Path

from sphinx.application import Sphinx as _Sphinx
from sphinx.util.logging import getLogger as _getLogger

_log = _getLogger(__name__)
_ROOT = _Path(__file__).resolve().parent.parent
_PROJECT = _tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
_REPOSITORY = _PROJECT.get("urls", {}).get("Repository", "")

project = "digits"
version = release = _PROJECT["version"]
copyright = "the authors of digits"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["generate", "_build"]
html_theme = "furo"
html_title = f"digits {release}"
html_show_sourcelink = False
myst_heading_anchors = 3
default_role = "code"  # docstrings have names in single backticks
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
linkcheck_timeout = 20
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost)[:/].*"]

# A link from a page to a file outside of docs/.
_OUTSIDE = _re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>(?:\.\./)+[^)#\s]+)\)")


def _link_outside(app: object, page: str, source: list[str]) -> None:
    """Such links go to the repository once pyproject.toml names it; until then the path stands there alone."""
    folder = (_ROOT / "docs" / page).parent

    def link(match: _re.Match[str]) -> str:
        target = (folder / match["path"]).resolve()
        if target.is_relative_to(_ROOT / "docs"):
            return match[0]
        path = target.relative_to(_ROOT).as_posix()
        if not target.exists():
            _log.warning("%s links to %s, which does not exist", page, path)
        return f"[{match['text']}]({_REPOSITORY}/blob/main/{path})" if _REPOSITORY else f"{match['text']} (`{path}`)"

    source[0] = _OUTSIDE.sub(link, source[0])


def setup(app: _Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _link_outside)
