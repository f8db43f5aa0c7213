"""Files of tokens and certificates that are wrong stop the start with one clear sentence."""

import os
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as pem

from tests.support.authority import Authority
from tests.unit.service.process.refusals import refusal


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("anna\n", "line 1"), ("a:tooshort", "line 1"), (None, "cannot be read")],
)
async def test_tokens(tmp_path: Path, text: str | None, sentence: str):
    """One sentence says why, and shows no token."""
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    said = await refusal(token_file=str(file), allow_plaintext_tokens=True)
    assert sentence in said
    assert "tooshort" not in said.replace(str(file), "")


async def test_tokens_that_are_a_pipe(tmp_path: Path):
    """Reading it would wait for ever."""
    os.mkfifo(tmp_path / "tokens")
    assert "no regular file" in await refusal(token_file=str(tmp_path / "tokens"), allow_plaintext_tokens=True)


@pytest.mark.parametrize("wrong", ["missing", "no PEM", "another's key", "locked"])
async def test_certificates(tmp_path: Path, wrong: str):
    """One sentence says which."""
    Authority(tmp_path)
    key = tmp_path / "key.pem"
    if wrong == "missing":
        key.unlink()
    elif wrong == "no PEM":
        key.write_text("nothing")
    elif wrong == "another's key":
        trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
    else:
        key.write_bytes(locked(key.read_bytes()))
    said = await refusal(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(key))
    assert str(key) in said
    assert said.startswith("tls_cert" if wrong != "missing" else "tls_key: ")
    assert "ssl.c" not in said


def locked(key: bytes) -> bytes:
    private = pem.load_pem_private_key(key, None)
    return private.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.TraditionalOpenSSL, pem.BestAvailableEncryption(b"secret")
    )
