"""TLS of Envoy: certificates reach it in files of its own, which it reads again when they are replaced.

Each pair is replaced as a whole, however the operator changes the original files. See Envoy's documentation, Secret
discovery service.
"""

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from service.transports.tls import Pem

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
_SERVER, _CLIENTS = "server", "clients"


def transport_socket(folder: Path, *, authenticated: bool) -> dict[str, Any]:
    """TLS 1.2 or newer with the secrets in `folder`, and with client certificates if clients are `authenticated`."""
    common: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [_source(folder, _SERVER)],
    }
    context: dict[str, Any] = {"@type": _TLS + "DownstreamTlsContext", "common_tls_context": common}
    if authenticated:
        common["validation_context_sds_secret_config"] = _source(folder, _CLIENTS)
        context["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def write_secrets(folder: Path, pem: Pem) -> None:
    """Write the secrets to the folder that Envoy watches; only this user can read them."""
    pair = {"certificate_chain": _inline(pem.certificate), "private_key": _inline(pem.key)}
    _replace(folder, _SERVER, {"tls_certificate": pair})
    if pem.client_ca is not None:
        _replace(folder, _CLIENTS, {"validation_context": {"trusted_ca": _inline(pem.client_ca)}})


def _source(folder: Path, name: str) -> dict[str, Any]:
    path = {"path": str(folder / f"{name}.json"), "watched_directory": {"path": str(folder)}}
    return {"name": name, "sds_config": {"path_config_source": path, "resource_api_version": "V3"}}


def _inline(data: bytes) -> dict[str, str]:
    return {"inline_bytes": b64encode(data).decode()}


def _replace(folder: Path, name: str, secret: dict[str, Any]) -> None:
    resource = {"@type": _TLS + "Secret", "name": name, **secret}
    new = folder / f".{name}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"resources": [resource]}, file)
    new.replace(folder / f"{name}.json")
