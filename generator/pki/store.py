"""clusters/<c>/pki and clusters/<c>/secrets as they lie on disk: public facts, and where sealed values are.

    pki/ca.crt  pki/ca.key.age  pki/etcd/ca.crt  pki/hosts/<host>/apiserver.crt  …    words above PEM; sealed keys
    pki/sa.pub  pki/sa.key.age  pki/sa-2.pub  …                                      service-account key pairs
    pki/<ca>.csr                                                                     only with an external CA
    secrets/index.yaml  secrets/encryption/1.age  …                                  all other secrets, and their ids
    secrets/encryption.yaml  secrets/service-account.yaml                            where rotations stand

The id of a private key follows from its certificate, so nothing sealed is ever opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from generator.errors import PkiError, RenderError
from generator.formats.natural import natural_order
from generator.pki.certificates import SERVICE_ACCOUNT
from generator.pki.issuing import load_certificates
from generator.pki.keys import key_id
from generator.pki.rotation_state import ENCRYPTION, Rotation, read_state
from generator.pki.rotation_state import SERVICE_ACCOUNT as SERVICE_ACCOUNT_KIND
from generator.pki.words import certificate_text
from generator.sealing import sealed_path, shown

INDEX_FILE = "secrets/index.yaml"
SIGNING = "signing"
SEALED_FOR_ADDONS = "addons/"
"""Below which name people seal what addons need, with `invoke secrets.set --name addons/…`."""
_ID = re.compile(r"[0-9a-f]{16}")
_PAIR = re.compile(rf"{SERVICE_ACCOUNT}(-[1-9][0-9]*)?")


class PkiStore:
    """The certificates and secrets of one cluster; reads each file once. Implements `Material` of the components."""

    def __init__(self, cluster_dir: Path) -> None:
        self.cluster_dir = cluster_dir
        self._read = cache(self._read_text)
        self._chain = cache(self._load_chain)
        self._index: Mapping[str, str] | None = None

    # --- Material ---------------------------------------------------------------------------------------------------

    def certificate(self, name: str) -> str:
        """Return a certificate as words and PEM: "ca", "hosts/cp1/apiserver", "signing", or a public key "sa.pub".

        "ca" is what hosts trust (with an external CA: ours and those above it), "signing" the one certificate with
        which the controller manager signs. Raises RenderError where it was not issued.
        """
        if name == SIGNING:
            return certificate_text(self.chain("ca")[0])
        path = self.path(name)
        text = self._read(path)
        if text is None:
            raise RenderError(f"{shown(path)}: there is no such certificate; run `invoke certs.issue`")
        return text

    def secret_id(self, name: str) -> str:
        """Return the id of a sealed secret, in plain text; raises RenderError where no such secret is sealed."""
        if not sealed_path(self.cluster_dir, name).is_file():
            raise RenderError(
                f"{shown(sealed_path(self.cluster_dir, name))}: the secret {name} is not sealed there; "
                "run `invoke certs.issue`, or restore the file from git"
            )
        if name.startswith("pki/"):
            return self.key_id(name.removeprefix("pki/"))
        if name not in self.index():
            raise RenderError(f"{shown(self.cluster_dir / INDEX_FILE)}: {name} has no id; run `invoke certs.issue`")
        return self.index()[name]

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names of sealed secrets below a prefix ("encryption/"), sorted by number, newest last."""
        return tuple(sorted((name for name in self.index() if name.startswith(prefix)), key=natural_order))

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the encryption keys that API servers know, the one that writes first; raises PkiError."""
        return self.encryption_rotation().known

    def service_account_keys(self) -> tuple[str, ...]:
        """Return the service-account key pairs that API servers know, the one that signs first; raises PkiError."""
        return self.service_account_rotation().known

    # --- rotations --------------------------------------------------------------------------------------------------

    def encryption_rotation(self) -> Rotation:
        """Return where the rotation of encryption keys stands; without a state file there is one key, and it writes."""
        names = self.secret_names("encryption/")
        state = read_state(self.cluster_dir, ENCRYPTION)
        if state is None and len(names) > 1:
            raise PkiError(
                f"{shown(self.cluster_dir / ENCRYPTION.file)}: the file is missing, and only it says which of "
                f"{', '.join(names)} writes; restore it from git"
            )
        if state is None:
            return Rotation(ENCRYPTION, names[0] if names else "")
        for name in state.known:
            if name not in names:
                raise PkiError(
                    f"{shown(self.cluster_dir / ENCRYPTION.file)}: {name} is in use and {INDEX_FILE} does not list it; "
                    "restore both from git: what was encrypted with it cannot be read without it"
                )
        return state

    def service_account_rotation(self) -> Rotation:
        """Return where the rotation of the service-account key stands; without a state file the pair is "sa"."""
        state = read_state(self.cluster_dir, SERVICE_ACCOUNT_KIND)
        if state is None:
            return Rotation(SERVICE_ACCOUNT_KIND, SERVICE_ACCOUNT)
        for name in state.known:
            if not _PAIR.fullmatch(name) or not self.has(f"{name}.pub"):
                raise PkiError(
                    f"{shown(self.cluster_dir / SERVICE_ACCOUNT_KIND.file)}: {name} is in use and "
                    f"{shown(self.path(f'{name}.pub'))} is missing; restore it from git: tokens are checked with it"
                )
        return state

    # --- files ------------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """Return where a certificate lies, or a public key "sa.pub"."""
        return self.cluster_dir / "pki" / (name if name.endswith(".pub") else f"{name}.crt")

    def key_path(self, name: str) -> Path:
        """Return where the private key of a certificate lies sealed."""
        return sealed_path(self.cluster_dir, f"pki/{name}")

    def request_path(self, name: str) -> Path:
        """Return where the signing request of a CA lies that an external CA is to sign."""
        return self.cluster_dir / "pki" / f"{name}.csr"

    def has(self, name: str) -> bool:
        """Return whether a certificate (or "sa.pub") lies in the store."""
        return self._read(self.path(name)) is not None

    def chain(self, name: str) -> list[x509.Certificate]:
        """Return the certificates of a file, the one of that name first.

        Raises RenderError where the file is missing, PkiError where it cannot be read.
        """
        return self._chain(name)

    def key_id(self, name: str) -> str:
        """Return the id of a key pair, from its certificate or public key."""
        if not _PAIR.fullmatch(name):
            return key_id(self.chain(name)[0].public_key())
        path = self.path(f"{name}.pub")
        try:
            return key_id(serialization.load_pem_public_key(self.certificate(f"{name}.pub").encode("utf-8")))
        except ValueError:
            raise PkiError(f"{shown(path)}: there is no public key in it; restore the file from git") from None

    def index(self) -> Mapping[str, str]:
        """Return the ids of all secrets that are no private keys of certificates. Raises PkiError."""
        if self._index is None:
            self._index = self._load_index()
        return self._index

    def _load_index(self) -> Mapping[str, str]:
        path = self.cluster_dir / INDEX_FILE
        text = self._read(path)
        if text is None:
            return {}
        try:
            found = yaml.safe_load(text)
            entries = found["secrets"]
            if not isinstance(entries, dict):
                raise TypeError("secrets is no mapping")
        except (yaml.YAMLError, TypeError, KeyError):
            raise PkiError(
                f"{shown(path)}: this is no list of ids (secrets: {{name: id}}); restore it from git"
            ) from None
        for name, value in entries.items():
            # Ids are quoted: YAML would read one of digits only as a number.
            if not isinstance(name, str) or not isinstance(value, str) or not _ID.fullmatch(value):
                raise PkiError(f"{shown(path)}: the id of {name} is not 16 hex digits in quotes; restore it from git")
        return dict(entries)

    def _load_chain(self, name: str) -> list[x509.Certificate]:
        return load_certificates(self.certificate(name), shown(self.path(name)))

    def _read_text(self, path: Path) -> str | None:
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PkiError(f"{shown(path)}: the file cannot be read; restore it from git") from error


def index_text(entries: Mapping[str, str]) -> str:
    """Return secrets/index.yaml; ids stand in quotes, since YAML would read 1e10… as a number."""
    head = "# written by slipway; an id changes when the value of its secret changes, and only then\nsecrets:\n"
    return head + "".join(f'  {name}: "{entries[name]}"\n' for name in sorted(entries, key=natural_order))
