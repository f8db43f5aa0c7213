"""Which variables are settings, and which are passed over."""

import re
from pathlib import Path

import pytest

from service.config import Settings, SettingsError, read_settings, variable, variables

_FILE = re.compile("(PEM )?(file|folder) ")

# Of Services called digits, digits-http and digits-8 with ports of every protocol, by IPv4 and by IPv6.
KUBERNETES = {
    "DIGITS_PORT": "tcp://10.96.0.7:8001",
    "DIGITS_SERVICE_HOST": "10.96.0.7",
    "DIGITS_SERVICE_PORT": "8001",
    "DIGITS_SERVICE_PORT_GRPC": "8001",
    "DIGITS_SERVICE_PORT_HTTP_2": "8000",
    "DIGITS_PORT_8001_TCP": "tcp://10.96.0.7:8001",
    "DIGITS_PORT_8001_TCP_PROTO": "tcp",
    "DIGITS_PORT_8001_TCP_PORT": "8001",
    "DIGITS_PORT_8001_TCP_ADDR": "10.96.0.7",
    "DIGITS_PORT_53_UDP": "udp://10.96.0.7:53",
    "DIGITS_PORT_53_UDP_PROTO": "udp",
    "DIGITS_PORT_9_SCTP": "sctp://10.96.0.7:9",
    "DIGITS_PORT_9_SCTP_ADDR": "10.96.0.7",
    "DIGITS_HTTP_PORT": "tcp://[fd00::7]:8000",
    "DIGITS_HTTP_SERVICE_HOST": "fd00::7",
    "DIGITS_HTTP_SERVICE_PORT": "8000",
    "DIGITS_HTTP_PORT_8000_TCP": "tcp://[fd00::7]:8000",
    "DIGITS_HTTP_PORT_8000_TCP_ADDR": "fd00::7",
    "DIGITS_8_PORT": "udp://10.96.0.7:8",
    "DIGITS_WORKERS_PORT": "tcp://10.96.0.7:8001",
    "DIGITS_MODEL_CONTROL_SERVICE_PORT_GRPC": "1",
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("DIGITS_"):
            monkeypatch.delenv(name)


def test_what_kubernetes_makes_of_services_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    """All of it at once; and settings beside it count."""
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DIGITS_MAX_BATCH_ROWS", "7")
    assert read_settings({}) == Settings.model_construct(
        **read_settings({}, only=()).model_dump() | {"max_batch_rows": 7}
    )
    assert read_settings({"port": 9}).port == 9


@pytest.mark.parametrize("name", KUBERNETES)
def test_each_of_them_alone(monkeypatch: pytest.MonkeyPatch, name: str):
    """Whatever else there is."""
    monkeypatch.setenv(name, KUBERNETES[name])
    assert read_settings({}) == read_settings({}, only=())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIGITS_PROT", "8001"),
        ("DIGITS_PROT", "tcp://10.96.0.7:8001"),
        ("DIGITS_PORT", "tcp://server:8001"),
        ("DIGITS_PORT", "http://10.96.0.7:8001"),
        ("DIGITS_PORT", "tcp://10.96.0.7"),
        ("DIGITS_GRPC_PORT", "8001"),
        ("DIGITS_MAX_BATCH_ROWS", "tcp://10.96.0.7:8001"),
        ("DIGITS_PORT_8001", "tcp://10.96.0.7:8001"),
        ("DIGITS_PORT_8001_TCP", "8001"),
        ("DIGITS_PORT_8001_ICMP", "icmp://10.96.0.7:8001"),
        ("DIGITS_SERVICE_HOST", "server"),
        ("DIGITS_SERVICE_PORT", "tcp"),
    ],
)
def test_what_kubernetes_never_makes_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """A mistyped setting is named, whatever it resembles."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        read_settings({})


def test_a_mistyped_name_gets_a_hint(monkeypatch: pytest.MonkeyPatch):
    """As before."""
    monkeypatch.setenv("DIGITS_PROT", "8001")
    with pytest.raises(SettingsError, match=r"DIGITS_PROT is not a setting, did you mean DIGITS_PORT\?"):
        read_settings({})


def test_settings_that_are_not_asked_for_are_not_read(monkeypatch: pytest.MonkeyPatch):
    """Neither their values nor unknown names; those that are asked for are."""
    for name, value in {"PORT": "x", "PROT": "1", "WORKERS": "-3", "TLS_CERT": "a", "MODELS": "there"}.items():
        monkeypatch.setenv(f"DIGITS_{name}", value)
    settings = read_settings({}, only=("models", "provider"))
    assert (str(settings.models), settings.port, settings.provider) == ("there", 8001, "auto")
    monkeypatch.setenv("DIGITS_PROVIDER", "tpu")
    with pytest.raises(SettingsError, match="DIGITS_PROVIDER"):
        read_settings({}, only=("models", "provider"))
    assert read_settings({"provider": "cpu"}, only=("models", "provider")).provider == "cpu"


def test_settings_reach_another_process_by_its_environment(monkeypatch: pytest.MonkeyPatch):
    """Every one of them as it was, and paths are absolute."""
    given = read_settings({"workers": "auto", "reflection": False, "grace_seconds": 0.5, "models": "some/where"})
    assert given.workers == 0
    for name, value in variables(given).items():
        monkeypatch.setenv(name, value)
    assert read_settings({}) == given.model_copy(update={"models": Path("some/where").absolute()})


def test_settings_that_name_a_file_or_folder_are_known():
    """By how their help begins, so that a new one is not forgotten: a worker may run in another folder."""
    named = [name for name, field in Settings.model_fields.items() if _FILE.match(field.description or "")]
    given = Settings.model_construct(**dict.fromkeys(named, "some/where"))
    changed = {name for name in named if variables(given)[variable(name)] == str(Path("some/where").absolute())}
    assert changed == set(named) == {"models", "weights_cache", "tls_cert", "tls_key", "tls_client_ca", "token_file"}


def test_an_empty_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch):
    """So docker-compose can name every setting and leave the defaults to the service."""
    unset = read_settings({})
    for name in variables(unset):
        monkeypatch.setenv(name, "")
    assert read_settings({}) == unset


@pytest.mark.parametrize("value", ["many", "-1", "257", "1.5"])
def test_a_bad_number_of_workers_is_refused(value: str):
    """With the bounds."""
    with pytest.raises(SettingsError, match=r"--workers \(DIGITS_WORKERS\) is '.*', expected a whole number 0\.\.256"):
        read_settings({"workers": value})


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DIGITS_PORT", "eight", "--port (DIGITS_PORT) is 'eight', expected a whole number 0..65535"),
        ("DIGITS_PORT", "70000", "--port (DIGITS_PORT) is '70000', expected a whole number 0..65535"),
        ("DIGITS_PROVIDER", "tpu", "--provider (DIGITS_PROVIDER) is 'tpu', expected cpu|cuda|auto"),
        (
            "DIGITS_MAX_BATCH_ROWS",
            "0",
            "--max-batch-rows (DIGITS_MAX_BATCH_ROWS) is '0', expected a whole number 1..65536",
        ),
        ("DIGITS_GRACE_SECONDS", "soon", "--grace-seconds (DIGITS_GRACE_SECONDS) is 'soon', expected a number 0..3600"),
        ("DIGITS_REFLECTION", "maybe", "--reflection (DIGITS_REFLECTION) is 'maybe', expected true or false"),
        ("DIGITS_MAX_QUEUE_ROWS", "10", "max_queue_rows is 10, expected at least max_batch_rows, 1024"),
        ("DIGITS_REQUIRE_PROVIDER", "true", "require_provider needs a provider, cpu or cuda, not auto"),
        (
            "DIGITS_CORS_ORIGIN",
            "*",
            "cors_origin is '*', expected origins in lower case, with commas between, such as https://lessons.example",
        ),
        (
            "DIGITS_OTLP_ENDPOINT",
            "collector:4318",
            "otlp_endpoint is 'collector:4318', expected a URL such as http://localhost:4318/v1/traces",
        ),
        ("DIGITS_OTLP_SAMPLE", "2", "--otlp-sample (DIGITS_OTLP_SAMPLE) is '2', expected a number 0..1"),
        ("DIGITS_MAX_BATCH_ROW", "9", "DIGITS_MAX_BATCH_ROW is not a setting, did you mean DIGITS_MAX_BATCH_ROWS?"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, variable, value, sentence):
    """One sentence, with what is expected."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert str(raised.value) == sentence


def test_tokens_do_not_go_over_plaintext_by_mistake(monkeypatch: pytest.MonkeyPatch):
    """A server with tokens and without TLS does not start unless it is told that this is meant."""
    monkeypatch.setenv("DIGITS_TOKEN_FILE", "/tokens")
    with pytest.raises(SettingsError, match="needs TLS"):
        read_settings({})
    monkeypatch.setenv("DIGITS_ALLOW_PLAINTEXT_TOKENS", "true")
    assert read_settings({}).allow_plaintext_tokens
