"""Commands without --server ask the one that their environment describes, as in its own container."""

import json
from pathlib import Path

import pytest
import trustme

from tests.support.processes import environment, run_digits
from tests.support.server import Server, StartServer

TOKEN = "anna-anna-anna-anna"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that no machine's loopback is named in, their authorities, and a file of tokens."""
    folder = tmp_path_factory.mktemp("own")
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    for name, hosts in {
        "server": ("digits.example", "192.0.2.1"),
        "address": ("192.0.2.1",),
        "any": ("*.example",),
    }.items():
        leaf = ca.issue_cert(*hosts)
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.pem").write_bytes(
            b"".join(each.bytes() for each in leaf.cert_chain_pems) + ca.cert_pem.bytes()
        )
    other.issue_cert("digits.example").cert_chain_pems[0].write_to_path(folder / "another.pem")
    client = other.issue_cert("someone@example.org")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    (folder / "tokens").write_text(f"# who may call\nanna:{TOKEN}\n")
    return folder


def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """The command with proxies in its environment that do not answer, as in a container."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")
    env = environment(**settings, **proxies)
    done = run_digits(*arguments, env=env)
    return done.returncode, done.stdout, done.stderr


def described(start: StartServer, folder: Path, **settings: str) -> tuple[Server, dict[str, str]]:
    """A server by these settings alone, and the environment that describes it."""
    given = {f"DIGITS_{name}": value.format(folder=folder) for name, value in settings.items()}
    server = start("--max-batch-rows=64", env=given, **({} if "PORT" in settings else {"port": 0}))
    return server, given | {"DIGITS_PORT": str(server.port)}


TLS = {"TLS_CERT": "{folder}/server.pem", "TLS_KEY": "{folder}/server.key"}
MUTUAL = TLS | {"TLS_CLIENT_CA": "{folder}/ca.pem"}
TOKENS = {"TOKEN_FILE": "{folder}/tokens"}


def by_grpcio(settings: dict[str, str]) -> object:
    """What a command makes of its environment is the same whatever front answers."""
    return pytest.param(settings, marks=pytest.mark.front("grpcio"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        by_grpcio({"HOST": "0.0.0.0"}),
        {"HOST": "::"},
        by_grpcio({"HOST": "127.0.0.2"}),
        by_grpcio(TLS),
        by_grpcio(TLS | {"HOST": "0.0.0.0"}),
        by_grpcio({"TLS_CERT": "{folder}/address.pem", "TLS_KEY": "{folder}/address.key"}),
        by_grpcio({"TLS_CERT": "{folder}/any.pem", "TLS_KEY": "{folder}/any.key"}),
        by_grpcio(TOKENS | {"ALLOW_PLAINTEXT_TOKENS": "true", "OPEN_HEALTH": "false"}),
        by_grpcio(TLS | TOKENS | {"OPEN_HEALTH": "false"}),
        MUTUAL | TOKENS | {"HOST": "0.0.0.0"},
    ],
)
def test_health_models_and_classify_ask_it(
    start_server: StartServer, folder: Path, seven: Path, settings: dict[str, str]
):
    """By its address and port, with TLS, a certificate and a token where it wants them, and past any proxy."""
    _, environment_ = described(start_server, folder, **settings)
    assert run("health", **environment_) == (0, "SERVING\n", "")
    assert run("health", "--service=digits-8x8", **environment_) == (0, "SERVING\n", "")
    code, out, _ = run("models", "--json", **environment_)
    assert (code, json.loads(out)["max_rows"]) == (0, 64)
    code, out, _ = run("classify", "--json", str(seven), **environment_)
    assert (code, json.loads(out)["digit"]) == (0, 7)


@pytest.mark.front("grpcio")  # it is about the commands
def test_the_port_is_read_as_the_server_reads_it(start_server: StartServer, folder: Path):
    """One that Kubernetes made of a Service is passed over by both, and the flag wins."""
    server, given = described(start_server, folder)
    kubernetes = {"DIGITS_PORT": "tcp://10.96.0.7:8001", "DIGITS_SERVICE_HOST": "10.96.0.7"}
    assert run("health", f"--server=localhost:{server.port}", **kubernetes)[0] == 0
    assert run("health", "--server=127.0.0.1:1", **given)[0] == 3
    code, _, said = run("health", DIGITS_PORT="0")
    assert (code, "--server" in said) == (2, True)


@pytest.mark.front("grpcio")  # it is about the commands
def test_only_its_own_certificate_is_trusted(start_server: StartServer, folder: Path):
    """Not another one of the same name, nor one of the same authority; and never none at all."""
    _, given = described(start_server, folder, **TLS)
    for name in ("another.pem", "any.pem"):
        code, out, said = run("health", **given | {"DIGITS_TLS_CERT": str(folder / name)})
        assert (code, out) == (3, "")
        assert "certificate verify failed" in said
    assert run("health", **{name: given[name] for name in given if "TLS" not in name})[0] == 3
    assert run("health", f"--tls-ca={folder / 'other.pem'}", **given)[0] == 3


def test_clients_authorities_that_did_not_sign_its_own_certificate(start_server: StartServer, folder: Path):
    """Then it is seen to listen, by its certificate; a client that has one of theirs sees more."""
    server, given = described(start_server, folder, **MUTUAL | {"TLS_CLIENT_CA": "{folder}/other.pem"})
    assert run("health", **given) == (0, "LISTENING\n", "")
    assert run("health", "--service=digits-8x8", **given)[0] == 3
    assert run("models", **given)[0] == 1
    own = [f"--tls-cert={folder / 'client.pem'}", f"--tls-key={folder / 'client.key'}"]
    assert run("health", *own, **given) == (0, "SERVING\n", "")
    another = given | {"DIGITS_TLS_CERT": str(folder / "another.pem")}
    assert run("health", **another)[0] == 3
    server.end()
    assert run("health", **given)[0] == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DIGITS_PORT": "x"}, "DIGITS_PORT"),
        ({"DIGITS_TLS_CERT": "/nowhere", "DIGITS_TLS_KEY": "/nowhere"}, "DIGITS_TLS_CERT /nowhere cannot be read"),
        ({"DIGITS_TLS_CERT": __file__, "DIGITS_TLS_KEY": __file__}, "holds no certificate in PEM"),
        (
            {"DIGITS_TOKEN_FILE": "/nowhere", "DIGITS_OPEN_HEALTH": "false"},
            "DIGITS_TOKEN_FILE: /nowhere cannot be read",
        ),
    ],
)
@pytest.mark.front("grpcio")
def test_what_cannot_be_read_is_named(front: str, settings: dict[str, str], words: str):
    """By its variable, as wrong usage."""
    code, out, said = run("health", **settings)
    assert (code, out) == (2, "")
    assert words in said
