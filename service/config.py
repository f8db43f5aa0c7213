"""Every setting once: its flag, its environment variable, default, unit and bounds.

`Settings` reads the environment (`DIGITS_PORT`, …); `digits serve` makes a flag of each field
(`--port`, …), and a flag wins over the environment.
"""

import difflib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from artifact.default_folder import default_folder

PREFIX = "DIGITS_"

# The settings that name a file or a folder.
_PATHS = ("models", "weights_cache", "tls_cert", "tls_key", "tls_client_ca", "token_file")

# Equal to `artifact.card.Variant`, whose module imports NumPy; the supervisor reads settings without it.
Variant = Literal["int8", "fp16"]
# As browsers write it: no path, and no port that is the scheme's own.
_ORIGIN = r"https?://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?"
_CHOICE = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}=(int8|fp16)"

# Variables that Kubernetes sets in pods beside a Service, by the end of their names and the pattern of their values;
# see "Discovering services" in its documentation.
_IP = "[0-9a-fA-F.:]+"
_PROTOCOL = "(TCP|UDP|SCTP)"
_URL = rf"(tcp|udp|sctp)://(\[{_IP}\]|{_IP}):\d+"
_KUBERNETES = {
    "SERVICE_HOST": _IP,
    "SERVICE_PORT(_[A-Z0-9_]+)?": r"\d+",
    "PORT": _URL,
    rf"PORT_\d+_{_PROTOCOL}": _URL,
    rf"PORT_\d+_{_PROTOCOL}_PROTO": "tcp|udp|sctp",
    rf"PORT_\d+_{_PROTOCOL}_PORT": r"\d+",
    rf"PORT_\d+_{_PROTOCOL}_ADDR": _IP,
}


class SettingsError(ValueError):
    """A setting is unknown or has a bad value; the message names its flag and its variable."""


class Settings(BaseSettings):
    """The settings of `digits serve`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, cli_parse_args=False
    )

    front: Annotated[
        Literal["grpcio", "envoy"],
        Field(description="HTTP/2 server: grpcio, or envoy, which is several times as fast and needs the extra envoy"),
    ] = "grpcio"
    workers: Annotated[
        int,
        BeforeValidator(lambda given: 0 if given == "auto" else given),
        Field(ge=0, le=256, description="processes that answer calls; 0 or auto: one for each usable core"),
    ] = 1
    host: Annotated[str, Field(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="gRPC port; 0: any free port")] = 8001
    http_port: Annotated[
        int,
        Field(ge=-1, le=65535, description="HTTP port for metrics, probes and JSON; 0: any free port, -1: none"),
    ] = 8000
    models: Annotated[
        Path,
        Field(
            default_factory=default_folder,
            description="folder with the models, <name>/<version>/model.onnx; if not set, models in the current folder "
            "or else the installed models",
        ),
    ]
    default_model: Annotated[
        str,
        Field(
            description="model of requests that name none; empty: mnist-256x128, mnist-16x16 or the first by name, "
            "whichever exists"
        ),
    ] = ""
    variant: Annotated[
        str,
        Field(
            description="models to serve in a faster variant, as a comma-separated list of name=int8 and name=fp16; "
            "the variant must exist in every version of the model"
        ),
    ] = ""
    model_control: Annotated[
        Literal["none", "poll", "explicit"],
        Field(
            description="how models change while serving: none: not at all; poll: as the models folder changes; "
            "explicit: by the RPCs that load and unload them"
        ),
    ] = "none"
    load: Annotated[
        Literal["all", "lazy"],
        Field(
            description="models loaded at the start: all of them, or lazy: the default one; any other is then loaded "
            "by the first call that names it, which waits"
        ),
    ] = "all"
    poll_seconds: Annotated[float, Field(ge=0.1, le=3600, description="interval of --model-control poll, seconds")] = (
        2.0
    )
    weights_cache: Annotated[
        str,
        Field(
            description="folder for the weights of large models as onnxruntime orders them, which all processes on the "
            "machine map; empty: digits in $XDG_CACHE_HOME or ~/.cache; none: no cache, each process has its own copy"
        ),
    ] = ""
    provider: Annotated[
        Literal["cpu", "cuda", "auto"],
        Field(description="execution provider of onnxruntime; auto: CUDA if it works here, else the CPU"),
    ] = "auto"
    require_provider: Annotated[bool, Field(description="do not start if the provider does not work")] = False
    cuda_device: Annotated[int, Field(ge=0, le=63, description="index of the GPU that CUDA uses")] = 0
    cuda_memory_mb: Annotated[
        int,
        Field(ge=0, le=1_048_576, description="most GPU memory of one model version, MiB; 0: no limit"),
    ] = 0
    threads: Annotated[
        int, Field(ge=0, le=256, description="threads of one onnxruntime run; 0: one for each usable core")
    ] = 1
    max_batch_rows: Annotated[int, Field(ge=1, le=65536, description="most images in one run and in one call")] = 1024
    max_queue_rows: Annotated[
        int,
        Field(ge=1, le=10_000_000, description="most images that wait for each model version; more are rejected"),
    ] = 8192
    inline_us: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="longest run on the event loop, microseconds; longer runs use a thread"),
    ] = 500
    shared_memory: Annotated[
        str,
        Field(
            description="prefix of the POSIX shared-memory objects on this host that the server may read and write for "
            "clients; empty: none",
        ),
    ] = ""
    max_message_mb: Annotated[int, Field(ge=1, le=1024, description="largest request, MiB")] = 16
    max_pending_mb: Annotated[
        int,
        Field(ge=1, le=1_048_576, description="most bytes of requests that wait or run, MiB; more are rejected"),
    ] = 256
    max_concurrent_calls: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="most calls and streams at once, of all clients together; health watches have a limit of their "
            "own, a tenth of it",
        ),
    ] = 1000
    max_connections: Annotated[
        int,
        Field(
            ge=1, le=1_000_000, description="most connections at once to each worker; with grpcio, to each of its ports"
        ),
    ] = 10_000
    connection_idle_seconds: Annotated[
        int, Field(ge=1, le=1_000_000, description="seconds after which a connection without calls is closed")
    ] = 3600
    connection_age_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="seconds after which a connection is closed once its calls are answered, so that clients "
            "reconnect to other servers too; 0: never",
        ),
    ] = 0
    max_image_megapixels: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="largest encoded image, millions of pixels; decoding takes up to 20 bytes a pixel on each core",
        ),
    ] = 25
    grace_seconds: Annotated[
        float, Field(ge=0, le=3600, description="seconds that calls in flight have to finish when the server stops")
    ] = 10.0
    reflection: Annotated[bool, Field(description="serve gRPC reflection")] = True
    tls_cert: Annotated[
        str, Field(description="PEM file of the certificate chain for TLS on both ports; read again when it changes")
    ] = ""
    tls_key: Annotated[str, Field(description="PEM file of the certificate's private key, without passphrase")] = ""
    tls_client_ca: Annotated[
        str, Field(description="PEM file of the authorities that may sign clients' certificates; clients then need one")
    ] = ""
    token_file: Annotated[
        str,
        Field(
            description="file of bearer tokens, one per line as name:token or name:token roles, the roles some of "
            "classify,read,control; without roles classify,read; each call must send one; read again when it changes"
        ),
    ] = ""
    allow_plaintext_tokens: Annotated[
        bool, Field(description="accept tokens without TLS, for servers behind a proxy that terminates TLS")
    ] = False
    open_health: Annotated[bool, Field(description="health and readiness need no token")] = True
    open_reflection: Annotated[bool, Field(description="reflection needs no token")] = False
    client_rate: Annotated[
        float,
        Field(
            ge=0,
            le=1_000_000,
            description="most calls and stream messages per second of one client at each worker; a client is a token, "
            "or without tokens an address; 0: no limit",
        ),
    ] = 0.0
    cors_origin: Annotated[
        str,
        Field(
            description="origins whose pages may call the HTTP port from browsers, as a comma-separated list such as "
            "https://lessons.example,http://localhost:3000; empty: none"
        ),
    ] = ""
    access_log: Annotated[
        bool, Field(description="log each call: who, what, which model, how many images, how it ended")
    ] = False
    otlp_endpoint: Annotated[
        str,
        Field(
            description="URL to which spans of calls are sent by OTLP over HTTP, such as "
            "http://localhost:4318/v1/traces; needs the extra otel; empty: none"
        ),
    ] = ""
    otlp_sample: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of the traces begun here of which spans are sent; for others the client decides",
        ),
    ] = 1.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="lowest level that is logged; debug logs each call"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Field(description="auto: console on a terminal, else JSON lines")
    ] = "auto"

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if self.max_queue_rows < self.max_batch_rows:
            raise ValueError(
                f"max_queue_rows is {self.max_queue_rows}, expected at least max_batch_rows, {self.max_batch_rows}"
            )
        if not re.fullmatch("(/?[A-Za-z0-9._-]{1,200})?", self.shared_memory):
            raise ValueError(
                f"shared_memory is {self.shared_memory!r}, expected letters, digits, '.', '_' or '-', such as digits-"
            )
        if not re.fullmatch("|".join((f"{_CHOICE}(,{_CHOICE})*", "")), self.variant):
            raise ValueError(
                f"variant is {self.variant!r}, expected name=int8 or name=fp16, with commas between, such as "
                "mnist-large=int8"
            )
        if len(self.variants) != len(self.variant.split(",")) and self.variant:
            raise ValueError(f"variant is {self.variant!r}, expected each model once")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs TLS, tls_cert and tls_key")
        if self.token_file and not self.tls_cert and not self.allow_plaintext_tokens:
            raise ValueError(
                "token_file needs TLS, tls_cert and tls_key, or allow_plaintext_tokens: anyone on the network "
                "could read the tokens"
            )
        if not re.fullmatch(f"({_ORIGIN}(,{_ORIGIN})*)?", self.cors_origin):
            raise ValueError(
                f"cors_origin is {self.cors_origin!r}, expected origins in lower case, with commas between, such as "
                "https://lessons.example"
            )
        if not re.fullmatch(r"(https?://[!-~]{1,2000})?", self.otlp_endpoint):
            raise ValueError(
                f"otlp_endpoint is {self.otlp_endpoint!r}, expected a URL such as http://localhost:4318/v1/traces"
            )
        if self.access_log and self.log_level in ("warning", "error"):
            raise ValueError(f"access_log needs log_level info or debug, not {self.log_level}")
        if self.require_provider and self.provider == "auto":
            raise ValueError("require_provider needs a provider, cpu or cuda, not auto")
        return self

    @property
    def variants(self) -> dict[str, Variant]:
        """The variant to serve by model."""
        chosen = (part.partition("=") for part in self.variant.split(",") if part)
        return {name: kind for name, _, kind in chosen}  # type: ignore[misc]  # _agree has seen to it

    @property
    def cors_origins(self) -> list[str]:
        """The origins in `cors_origin`."""
        return [origin for origin in self.cors_origin.split(",") if origin]

    @property
    def max_message_bytes(self) -> int:
        """Largest request in bytes."""
        return self.max_message_mb * 2**20


def flag(name: str) -> str:
    """The flag of a field: `max_batch_rows` -> `--max-batch-rows`."""
    return "--" + name.replace("_", "-")


def bounds(field: FieldInfo) -> str:
    """The values of a field, for people: `1..65536`, `cpu|cuda|auto`, or an empty string."""
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    limits = {name: getattr(item, name) for item in field.metadata for name in ("ge", "le") if hasattr(item, name)}
    return f"{limits['ge']}..{limits['le']}" if len(limits) == 2 else ""


def read_settings(given: Mapping[str, Any], only: Collection[str] | None = None) -> Settings:
    """Settings from `given` (by field name) over the environment over the defaults.

    Raises `SettingsError`, one sentence for each bad setting. An unknown `DIGITS_` variable is refused:
    a mistyped limit that is silently ignored is worse than a server that does not start. Other commands pass the
    fields that they need as `only`; the rest of the environment is then ignored.
    """
    passed_over = {name for name in Settings.model_fields if _is_by_kubernetes(variable(name))}
    if only is None:
        _check_names()
    else:
        passed_over |= Settings.model_fields.keys() - only
    defaults = {name: Settings.model_fields[name].get_default(call_default_factory=True) for name in passed_over}
    try:
        return Settings(**defaults | dict(given))
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(dict(item)) for item in error.errors())) from None


def variable(name: str) -> str:
    """The environment variable of a field: `max_batch_rows` -> `DIGITS_MAX_BATCH_ROWS`."""
    return PREFIX + name.upper()


def _check_names() -> None:
    known = [variable(name) for name in Settings.model_fields]
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and not _is_by_kubernetes(name):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else "; `digits serve --help` lists all"
            raise SettingsError(f"{name} is not a setting{hint}")


def _is_by_kubernetes(name: str) -> bool:
    """Whether Kubernetes set the variable for a Service called digits or digits-something in the same namespace."""
    return any(
        re.fullmatch(f"{PREFIX}([A-Z0-9_]+_)?{ending}", name) and re.fullmatch(value, os.environ.get(name, ""))
        for ending, value in _KUBERNETES.items()
    )


def _sentence(item: dict[str, Any]) -> str:
    if not item["loc"]:
        return str(item["ctx"]["error"])
    name = str(item["loc"][0])
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{name} is not a setting"
    wanted = bounds(field) or {int: "a whole number", float: "a number", bool: "true or false"}.get(
        field.annotation,  # type: ignore[arg-type]
        "a value",
    )
    kind = {int: "a whole number ", float: "a number "}.get(field.annotation, "") if bounds(field) else ""  # type: ignore[arg-type]
    return f"{flag(name)} ({variable(name)}) is {item['input']!r}, expected {kind}{wanted}"


def variables(settings: Settings) -> dict[str, str]:
    """The environment from which another process reads the same settings, in whatever folder that runs."""
    values = {name: str(value) for name, value in settings.model_dump().items()}
    paths = {name: str(Path(values[name]).absolute()) for name in _PATHS if values[name] not in {"", "none"}}
    return {variable(name): value for name, value in (values | paths).items()}
