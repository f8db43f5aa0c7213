"""The configuration of Envoy: HTTP/2 with limits, then the ASGI application in the same process."""

import json
import sys
from pathlib import Path
from typing import Any

from service.config import Settings
from service.transports.envoy.secrets import transport_socket
from service.transports.limits import HEADERS_SECONDS
from service.transports.sockets import resolved

Config = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_MANAGER = _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

STAT_PREFIX = "calls"
# Flow control: bytes that a client may send on one stream, and on one connection, before they are read.
STREAM_WINDOW = 2**20
CONNECTION_WINDOW = 16 * 2**20
CONNECTION_BUFFER = 2**20
# Largest frame of HTTP/2 that a client may send. The C core of gRPC makes use of it: Envoy passes on a frame at a time,
# so a large request costs less and comes to the application in fewer pieces.
FRAME_BYTES = 2**18
MAX_FRAME_SIZE = 0x5  # the setting's number in RFC 9113
HEADER_KB = 16

# pyvoy never answers a request whose path is not UTF-8. All paths of methods are ASCII.
_REFUSE_PATHS: Config = {
    "name": "envoy.filters.http.rbac",
    "typed_config": {
        "@type": _TYPE + "extensions.filters.http.rbac.v3.RBAC",
        "rules": {
            "action": "DENY",
            "policies": {
                "no ASCII": {
                    "permissions": [
                        {"url_path": {"path": {"safe_regex": {"regex": r"(?s).*([^\x00-\x7f]|%[89a-fA-F]).*"}}}}
                    ],
                    "principals": [{"any": True}],
                }
            },
        },
    },
}

_JSON_LOG = {
    "timestamp": "%START_TIME%",
    "level": "warning",
    "event": "request refused by envoy",
    "path": "%REQ(:PATH):256%",
    "code": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_CODE_DETAILS%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS%",
}


def envoy_config(
    settings: Settings, ports: list[int], application: Config, admin: Path, secrets: Path | None = None
) -> Config:
    """The configuration of one process that listens on `ports`.

    `application` is the HTTP filter that calls the application, `admin` the path of the administration socket.
    With `secrets` connections use TLS, by the files that `service.transports.envoy.secrets` writes there.
    """
    chain: Config = {"filters": [_manager(settings, application)]}
    if secrets is not None:
        chain["transport_socket"] = transport_socket(secrets, authenticated=bool(settings.tls_client_ca))
    first, *others = [_address(settings.host, port) for port in ports]
    return {
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        # The allocator returns memory of large calls to the system step by step.
        "memory_allocator_manager": {"bytes_to_release": 32 * 2**20, "memory_release_interval": "1s"},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": _TYPE
                        + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": settings.max_connections,
                    },
                }
            ]
        },
        "static_resources": {
            "listeners": [
                {
                    "name": "calls",
                    "address": first,
                    "additional_addresses": [{"address": address} for address in others],
                    "enable_reuse_port": True,  # the supervisor holds the port, see service.transports.sockets
                    "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
                    "filter_chains": [chain],
                }
            ]
        },
    }


def _address(host: str, port: int) -> Config:
    return {"socket_address": {"address": resolved(host), "port_value": port}}


def _manager(settings: Settings, application: Config) -> Config:
    idle, age = settings.connection_idle_seconds, settings.connection_age_seconds
    common: Config = {"max_headers_count": 100, "idle_timeout": f"{idle}s"}
    if age:
        common["max_connection_duration"] = f"{age}s"
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": _MANAGER,
            "stat_prefix": STAT_PREFIX,
            "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"]}]},
            "http_filters": [_REFUSE_PATHS, application],
            "generate_request_id": False,
            "use_remote_address": True,
            "skip_xff_append": True,
            "server_header_transformation": "PASS_THROUGH",
            "max_request_headers_kb": HEADER_KB,
            # Some probes and proxies speak HTTP/1.0.
            "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "digits"},
            # Answers requests that `_REFUSE_PATHS` denied with 404.
            "local_reply_config": {
                "mappers": [
                    {
                        "filter": {
                            "status_code_filter": {
                                "comparison": {"op": "EQ", "value": {"default_value": 403, "runtime_key": "none"}}
                            }
                        },
                        "status_code": 404,
                        "body": {"inline_string": "there is no such path\n"},
                    }
                ]
            },
            "request_headers_timeout": f"{HEADERS_SECONDS}s",
            "stream_idle_timeout": "0s",  # health watches may be silent for hours
            "common_http_protocol_options": common,
            "http2_protocol_options": {
                "max_concurrent_streams": settings.max_concurrent_calls,
                "initial_stream_window_size": STREAM_WINDOW,
                "initial_connection_window_size": CONNECTION_WINDOW,
                "custom_settings_parameters": [{"identifier": MAX_FRAME_SIZE, "value": FRAME_BYTES}],
            },
            "access_log": [
                {
                    "name": "envoy.access_loggers.stderr",
                    # The application logs its own requests; malformed HTTP and refused connections do not reach it.
                    "filter": {"response_flag_filter": {"flags": ["DPE", "OM"]}},
                    "typed_config": {
                        "@type": _TYPE + "extensions.access_loggers.stream.v3.StderrAccessLog",
                        "log_format": {"json_format": _JSON_LOG},
                    },
                }
            ],
        },
    }


def log_format(settings: Settings) -> str:
    """The format of Envoy's own log, like that of the service."""
    if settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr and sys.stderr.isatty()):
        return "%Y-%m-%d %T.%e [%l] envoy: %v"
    return json.dumps({"event": "envoy", "reason": "%j", "level": "%l", "timestamp": "%Y-%m-%dT%T.%fZ"})
