"""A repository in tests: opened, looked at, told which versions to serve."""

import json
from pathlib import Path

from engine.models.repository import Repository
from engine.models.version import State
from service.config import Settings

NAME = "digits-8x8"


async def opened(models: Path, **settings) -> Repository:
    repository = Repository(Settings(models=models, log_level="error", **settings))
    await repository.load()
    return repository


def listed(repository: Repository, name: str = NAME) -> dict[int, State]:
    return {version.folder.version: version.state for version in repository.models.get(name, ())}


def write_policy(models: Path, versions: object) -> None:
    (models / NAME / "policy.json").write_text(json.dumps({"versions": versions}))
