"""Certificates that are made for a run of the tests, by a certificate authority of its own."""

import ssl
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ELLIPTIC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
FOLDER = TemporaryDirectory(prefix="hairpin-certificates-")


@dataclass(frozen=True)
class Files:
    """A certificate chain and its key."""

    cert: Path
    key: Path


@cache
def authority() -> Files:
    """Who signs: the one certificate that clients trust."""
    return _openssl("authority", ELLIPTIC, "-addext", "basicConstraints=critical,CA:TRUE")


@cache
def loopback() -> Files:
    """What servers show here: a certificate for `turn.test` and for loopback's addresses."""
    return certify("loopback", "DNS:turn.test", "DNS:localhost", "IP:127.0.0.1", "IP:::1")


def certify(name: str, *names: str, kind: tuple[str, ...] = ELLIPTIC) -> Files:
    """A fresh key and certificate for these names (`DNS:...`, `IP:...`), in files that stay where they are."""
    signer = authority()
    extensions = ["-addext", f"subjectAltName={','.join(names)}", "-addext", "basicConstraints=CA:FALSE"]
    return _openssl(name, kind, "-CA", str(signer.cert), "-CAkey", str(signer.key), *extensions)


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's side, perhaps of one version alone."""
    context = ssl.create_default_context(cafile=authority().cert)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def _openssl(name: str, kind: tuple[str, ...], *options: str) -> Files:
    files = Files(Path(FOLDER.name, f"{name}.pem"), Path(FOLDER.name, f"{name}.key"))
    fixed = ["req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", files.key, "-out", files.cert]
    subprocess.run(["openssl", *fixed, *kind, *options], check=True, capture_output=True)
    return files
