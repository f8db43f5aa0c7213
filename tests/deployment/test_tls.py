"""The profile tls: what is served to others."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
import trustme
from digits_client import DigitsClient, DigitsError, NotAllowed

from tests.deployment.stack import Stack, get, inspect, until
from tests.support.processes import ROOT, free_port

pytestmark = pytest.mark.extra("docker")

SEVEN = ROOT / "tests" / "data" / "images" / "seven.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an operator puts into TLS_FOLDER; the key has to be readable for the user of the container."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    for pem in server.cert_chain_pems:
        pem.write_to_path(tmp_path / "server.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "tokens").write_text("anna:a-token-for-anna-of-some-length\n")
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)
    return tmp_path


def test_the_profile_tls_serves_both_ports_encrypted_and_only_with_a_token(image: str, folder: Path):
    """It needs a certificate and its key; here tokens as well. It runs by itself, without the balancer."""
    grpc_port, http_port = free_port(), free_port()
    ports = {"TLS_GRPC_PORT": str(grpc_port), "TLS_HTTP_PORT": str(http_port), "TLS_PUBLISH_ADDRESS": "127.0.0.1"}
    stack = Stack("tls", TLS_FOLDER=str(folder), TLS_TOKEN_FILE="/tls/tokens", **ports)
    try:
        stack.compose("--profile", "tls", "up", "-d", "digits-tls")
        [container] = stack.containers("digits-tls")
        until(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", "healthy")
        trusted = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
        token = [("authorization", "Bearer a-token-for-anna-of-some-length")]
        address = f"localhost:{grpc_port}"
        with DigitsClient(address, credentials=trusted, metadata=token) as client:
            assert client.classify(SEVEN).digit == 7
        with DigitsClient(address, credentials=trusted) as client, pytest.raises(NotAllowed):
            client.classify(SEVEN)
        with DigitsClient(address, metadata=token) as client, pytest.raises(DigitsError):
            client.classify(SEVEN)
        url = f"https://localhost:{http_port}/digits.v1.DigitsService/ListModels"
        headers = {"content-type": "application/json", "authorization": token[0][1]}
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        request = urllib.request.Request(url, b"{}", headers)
        with urllib.request.urlopen(request, timeout=10, context=context) as response:
            assert json.load(response)["defaultModel"] == "mnist-256x128"
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            get(f"http://localhost:{http_port}/healthz")
    finally:
        stack.compose("--profile", "tls", "down", "--volumes")
