"""Whether tag, version and CHANGELOG agree: `make release-check`.

Between releases the version is the next one, and its section of CHANGELOG.md says (unreleased). On a commit with a tag
the tag is v and the version, the section has the date, and pyproject.toml names the repository.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SECTION = re.compile(r"^## (?P<version>\S+) \((?P<date>unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)
_WHEEL = re.compile(r"digits(?:_client)?-(\d[^-\s]*)-py3-none-any\.whl")


def faults(root: Path, tags: list[str]) -> list[str]:
    """What does not agree in the files below `root`, one sentence each; `tags` are those of the commit."""
    projects = {name: _project(root / name) for name in ("pyproject.toml", "client/pyproject.toml")}
    version = projects["pyproject.toml"]["version"]
    found = [
        f"{name} has version {project['version']}, expected {version} as in pyproject.toml"
        for name, project in projects.items()
        if project["version"] != version
    ]
    section = _SECTION.search((root / "CHANGELOG.md").read_text())
    if section is None:
        return [*found, f"CHANGELOG.md has no section such as `## {version} (unreleased)`"]
    if section["version"] != version:
        found.append(f"CHANGELOG.md begins with {section['version']}, expected {version} as in pyproject.toml")
    for page in ("README.md", *sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))):
        others = set(_WHEEL.findall((root / page).read_text())) - {version}
        found += [f"{page} names a wheel of version {other}, expected {version}" for other in sorted(others)]
    for tag in tags:
        if tag != f"v{version}":
            found.append(f"the tag is {tag}, expected v{version}")
        if section["date"] == "unreleased":
            found.append(f"CHANGELOG.md says (unreleased) for {version}, expected the date of the release")
        if "Repository" not in projects["pyproject.toml"].get("urls", {}):
            found.append("pyproject.toml has no [project.urls] with Repository, expected where it is published")
    return found


def _project(path: Path) -> dict[str, str]:
    project: dict[str, str] = tomllib.loads(path.read_text())["project"]
    return project


def _tags() -> list[str]:
    """The tags of the commit that begin with v."""
    done = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [tag for tag in done.stdout.split() if tag.startswith("v")]


if __name__ == "__main__":
    sys.exit("\n".join(faults(ROOT, _tags())) or 0)
