"""Certificates that are made for a run of the tests, by a certificate authority of its own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ELLIPTIC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True)
class Files:
    """A certificate chain and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Who signs; `root.cert` is what clients trust."""

    folder: Path
    root: Files

    def certify(self, name: str, *alternative: str, kind: tuple[str, ...] = ELLIPTIC) -> Files:
        """A fresh key and certificate for these names (`DNS:...`, `IP:...`); files of that name are written anew."""
        files = Files(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        extensions = ["-addext", "subjectAltName=" + ",".join(alternative), "-addext", "basicConstraints=CA:FALSE"]
        signed = ["-CA", self.root.cert, "-CAkey", self.root.key, *extensions]
        _openssl(files, name, *signed, kind=kind)
        return files


def authority(folder: Path) -> Authority:
    """A new one, whose files are in that folder."""
    root = Files(folder / "authority.pem", folder / "authority.key")
    _openssl(root, "hairpin tests", "-addext", "basicConstraints=critical,CA:TRUE")
    return Authority(folder, root)


def _openssl(files: Files, name: str, *options: str | Path, kind: tuple[str, ...] = ELLIPTIC) -> None:
    fixed = ["req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", files.key, "-out", files.cert]
    subprocess.run(["openssl", *fixed, *kind, *options], check=True, capture_output=True)
