"""An authority whose certificates clients of tests trust."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """Signs certificates, and writes them where a server looks."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        self.files = [f"--tls-cert={folder / 'cert.pem'}", f"--tls-key={folder / 'key.pem'}"]
        self.issue()

    def issue(self, *names: str, days: int = 1) -> None:
        """A new pair for the server, for these names, that ends after so many days."""
        until = datetime.now(UTC) + timedelta(days=days)
        since = min(datetime.now(UTC), until) - timedelta(days=1)
        leaf = self.ca.issue_cert(*(names or ("localhost", "127.0.0.1")), not_before=since, not_after=until)
        leaf.private_key_pem.write_to_path(self.folder / "key.pem")
        (self.folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))

    def client(self, *, ca: trustme.CA | None = None, own: trustme.CA | None = None) -> dict[str, bytes | None]:
        """Credentials of a client that trusts `ca`, with a certificate signed by `own`."""
        leaf = None if own is None else own.issue_cert("someone@example.org")
        return {
            "root_certificates": (ca or self.ca).cert_pem.bytes(),
            "private_key": None if leaf is None else leaf.private_key_pem.bytes(),
            "certificate_chain": None if leaf is None else leaf.cert_chain_pems[0].bytes(),
        }
