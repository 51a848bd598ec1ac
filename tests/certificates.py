"""Certificates that are made for a run of the tests, by a certificate authority of its own."""

import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


def dated(name: str, begins: timedelta, ends: timedelta, *, signer: Files | None = None, signs: bool = False) -> Files:
    """A certificate for loopback that begins and ends so long after now, signed by the authority or by another one.

    One that `signs` is an authority itself; what it has signed comes with it.
    """
    signer = signer or authority()
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = x509.load_pem_x509_certificate(signer.cert.read_bytes())
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer.subject)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signing = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    extended = builder.add_extension(names, critical=False).add_extension(x509.BasicConstraints(signs, None), True)
    made = extended.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    files = Files(Path(FOLDER.name, f"{name}.pem"), Path(FOLDER.name, f"{name}.key"))
    files.cert.write_bytes(made if signer in (authority(), stranger()) else made + signer.cert.read_bytes())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return files


@cache
def stranger() -> Files:
    """An authority that nobody trusts."""
    return _openssl("stranger", ELLIPTIC, "-addext", "basicConstraints=critical,CA:TRUE")


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
