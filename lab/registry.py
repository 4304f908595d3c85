"""A real registry of images in the lab's network, with TLS and a login, and the programs that make and push images.

The registry is Debian's docker-registry, fetched and not installed: its package would start a service on this machine.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lab import network
from lab.cache import entry_path, lab_root, made_whole
from lab.command import run
from lab.debian import BUILD_PACKAGES, fetch_binary_packages, install
from lab.errors import LabError
from lab.progress import stage

PACKAGES = {
    "buildah": "buildah",
    "uidmap": "newuidmap",
    "libcap2-bin": "setcap",
    "skopeo": "skopeo",
    "apache2-utils": "htpasswd",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "golang-1.19-go": BUILD_PACKAGES["golang-1.19-go"],
}
"""Packages that making and pushing an image needs on this machine, each with a program or file that proves it there."""

PORT = 5443
HOST = f"{network.GATEWAY}:{PORT}"
"""The registry as names of images have it."""

_PACKAGE = "docker-registry"
_LAYOUT = 1


def build() -> Path:
    """Return the registry's program, fetched unless the cache has it; installs the other programs."""
    ready = entry_path("registry", (_LAYOUT, _PACKAGE))
    install(PACKAGES)
    if not ready.exists():
        with (
            stage("fetching a registry"),
            made_whole(ready) as output,
            TemporaryDirectory(prefix=".registry.", dir=lab_root()) as work,
        ):
            package = fetch_binary_packages([_PACKAGE], Path(work) / "debs")[0]
            run(["dpkg-deb", "-x", package, Path(work) / "tree"])
            (Path(work) / "tree/usr/bin/docker-registry").rename(output / _PACKAGE)
    return ready / _PACKAGE


@contextmanager
def serving(folder: Path, user: str, password: str) -> Iterator[Path]:
    """Serve what is pushed with a login, and to nobody without it; yields the file with the CA of its certificate.

    Raises LabError when it does not answer within ten seconds.
    """
    program = build()
    authority, certificate, key = (folder / name for name in ("ca.crt", "tls.crt", "tls.key"))
    _issue(authority, certificate, key)
    known = folder / "htpasswd"
    known.write_text(run(["htpasswd", "-i", "-n", "-B", user], stdin=password))
    settings = folder / "registry.yaml"
    settings.write_text(
        yaml.safe_dump(
            {
                "version": "0.1",
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
                "http": {"addr": HOST, "tls": {"certificate": str(certificate), "key": str(key)}},
                "auth": {"htpasswd": {"realm": "lab", "path": str(known)}},
            }
        )
    )
    said = folder / "registry.log"
    with said.open("wb") as log:
        words = [*network.entering(network.NAMESPACE), str(program), "serve", str(settings)]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(server, authority, said)
        yield authority
    finally:
        server.terminate()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], authority: Path, said: Path) -> None:
    asked = ["curl", "-s", "-o", "/dev/null", "--cacert", str(authority), f"https://{HOST}/v2/"]
    for _ in range(50):
        if subprocess.run([*network.entering(network.NAMESPACE), *asked], check=False).returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise LabError(f"the registry does not answer at {HOST}", f"it said:\n{said.read_text(errors='replace')}")


def _issue(authority: Path, certificate: Path, key: Path) -> None:
    """Write a certificate for the registry's address, its key, and the CA that signed it."""
    own, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab registry CA")])
    now = datetime.now(UTC)

    def begun(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )

    root = begun(issuer, signer.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    leaf = begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")]), own.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(network.GATEWAY)]), critical=False
    )
    authority.write_bytes(root.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
    certificate.write_bytes(leaf.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
    key.touch(mode=0o600)
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
