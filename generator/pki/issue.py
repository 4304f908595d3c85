"""The issue step: makes what is missing or does not match the spec, and leaves every other byte alone.

Everything is made in memory first. Then all files are written beside their places, and only then renamed into them,
a pair at a time and the key before its certificate, so that an interrupted issue leaves whole files: at worst a key
without a certificate, which the next issue takes up.
"""

from __future__ import annotations

import base64
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from generator import sealing
from generator.errors import PkiError
from generator.pki import external, matching
from generator.pki.certificates import SERVICE_ACCOUNT, certificates
from generator.pki.checking import check_form
from generator.pki.issuing import Authority, authority, check_valid, issue_ca, issue_leaf
from generator.pki.keys import PrivateKey, key_algorithm, key_id, key_pem, load_key, new_key, public_pem
from generator.pki.passwords import new_password, wanted_passwords
from generator.pki.request import Request
from generator.pki.store import INDEX_FILE, PkiStore, index_text
from generator.pki.words import certificate_text, public_key_text
from generator.pki.writing import SUFFIX, Changes
from generator.sealing import Identity, shown
from generator.spec.model import Cluster

IdentityProvider = Callable[[], Identity]
Clock = Callable[[], datetime]

ENCRYPTION_KEY_BYTES = 32
"""What secretbox takes (XSalsa20-Poly1305), and the longest AES key for aescbc and aesgcm."""


@dataclass(frozen=True, slots=True)
class IssueReport:
    """What an issue did. Names are those of certificates ("hosts/cp1/apiserver"), "sa" and secrets ("encryption/1").

    `reasons` says for each replaced name what did not match; `removed` are leaves that the cluster no longer has;
    `notes` are things to know that ask for nothing now.
    """

    made: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any file was written or removed."""
        return bool(self.made or self.replaced or self.removed)


def issue(
    cluster: Cluster, cluster_dir: Path, *, clock: Clock, identity: IdentityProvider | None = None
) -> IssueReport:
    """Make the certificates, keys and secrets that a cluster lacks, in clusters/<c>/pki and clusters/<c>/secrets.

    `clock` returns the moment of issuance (aware, read once). `identity` is called only when a certificate must be
    signed with a CA that lies sealed; without it, the operator's own identity is used. Raises PkiError and
    SealingError; then nothing was changed, but for the requests that an external CA is to sign.
    """
    run = _Issue(cluster, cluster_dir, clock(), identity or sealing.identity_once())
    return run.report()


class _Issue:
    """One run: decides, makes in memory, writes at the end."""

    def __init__(self, cluster: Cluster, cluster_dir: Path, now: datetime, identity: IdentityProvider) -> None:
        self.cluster = cluster
        self.now = now
        self.identity = functools.cache(identity)
        self.store = PkiStore(cluster_dir)
        self.requests = certificates(cluster)
        self.changes = Changes()
        self.chains: dict[str, list[x509.Certificate]] = {}
        self.authorities: dict[str, Authority] = {}
        self.recipients: tuple[sealing.Recipient, ...] = ()
        self.made: list[str] = []
        self.kept: list[str] = []
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []

    def report(self) -> IssueReport:
        cas = [request for request in self.requests if request.is_ca]
        leaves = [request for request in self.requests if not request.is_ca]
        if self.cluster.pki.external_ca:
            self._external_authorities(cas)
        else:
            for request in cas:
                self._own_authority(request)
        for request in leaves:
            self._leaf(request)
        self._service_account()
        self._rotated_pairs()
        self._secrets()
        removed = self._left_over({request.name for request in leaves})
        self.changes.write()
        made = tuple(name for name in self.made if name not in self.reasons)
        return IssueReport(made, tuple(self.reasons), tuple(self.kept), removed, dict(self.reasons), tuple(self.notes))

    # --- certificate authorities ------------------------------------------------------------------------------------

    def _own_authority(self, request: Request) -> None:
        name = request.name
        has_key, has_certificate = self.store.key_path(name).is_file(), self.store.has(name)
        if has_certificate and not has_key:
            raise PkiError(
                f"{self._shown(name)}: {shown(self.store.key_path(name))}, the key of this certificate authority, is "
                "missing; restore it from git: a new one would make every certificate of the cluster void"
            )
        if has_certificate:
            self._keep_authority(request)
            return
        # A key without its certificate is what an interrupted issue leaves, or a lost file: the same key again keeps
        # everything good that it has signed.
        key = self._opened_key(name) if has_key else new_key(request.algorithm)
        certificate = issue_ca(request, key, self.now)
        if not has_key:
            self.changes.put(self.store.key_path(name), self._sealed(key_pem(key)))
        self.changes.put(self.store.path(name), certificate_text(certificate))
        self.chains[name] = [certificate]
        self.authorities[name] = authority(name, self.chains[name], key, self.now)
        self.made.append(name)

    def _keep_authority(self, request: Request) -> None:
        name = request.name
        self._check_sealed(name)
        chain = self.chains[name] = self.store.chain(name)
        check_valid(self._shown(name), chain, self.now)
        self.kept.append(name)
        different = matching.difference(chain[0], request)
        if different:
            # Only a deliberate rotation may replace a CA: hosts trust it, and running components hold its leaves.
            self.notes.append(f"{self._shown(name)}: it stays as it is, although the spec asks for another {different}")

    def _external_authorities(self, cas: list[Request]) -> None:
        waiting: list[str] = []
        for request in cas:
            state = external.arrived(self.store, request)
            if state.missing:
                waiting.append(state.missing)
            if state.needs_request:
                key = self._opened_key(request.name) if state.has_key else new_key(request.algorithm)
                if not state.has_key:
                    self.changes.put(self.store.key_path(request.name), self._sealed(key_pem(key)))
                self.changes.put(self.store.request_path(request.name), external.request_file(request, key))
            if not state.missing:
                self._check_sealed(request.name)
                check_valid(self._shown(request.name), state.chain, self.now)
                self.chains[request.name] = state.chain
                if state.text != self.store.certificate(request.name):
                    self.changes.put(self.store.path(request.name), state.text)
                    self.made.append(request.name)
                else:
                    self.kept.append(request.name)
        if waiting:
            self.changes.write()
            raise PkiError("\n".join(waiting))

    def _authority(self, name: str) -> Authority:
        """Return a CA that can sign, opening its key at most once per run."""
        if name not in self.authorities:
            self.authorities[name] = authority(name, self.chains[name], self._opened_key(name), self.now)
        return self.authorities[name]

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _leaf(self, request: Request) -> None:
        name = request.name
        reason = self._why_new(request)
        if reason is None:
            self._check_sealed(name)
            self.kept.append(name)
            return
        if reason:
            self.reasons[name] = reason
        key = new_key(request.algorithm)
        certificate = issue_leaf(request, key, self._authority(request.issuer), self.now)
        path = self.store.path(name)
        # The old certificate goes first: between the two renames there must be no pair that does not match.
        self.changes.replace_pair(
            self.store.key_path(name), self._sealed(key_pem(key)), path, certificate_text(certificate)
        )
        self.made.append(name)

    def _why_new(self, request: Request) -> str | None:
        """Return why a leaf must be made: "" when it is missing, what does not match, None when it is to be kept."""
        if not self.store.has(request.name) or not self.store.key_path(request.name).is_file():
            return ""
        issuer = self.chains[request.issuer][0]
        return matching.leaf_difference(self.store.chain(request.name)[0], request, issuer)

    def _left_over(self, wanted: set[str]) -> tuple[str, ...]:
        """Mark files of leaves for removal whose host or addon left the spec or lost its role; return their names."""
        pki = self.store.cluster_dir / "pki"
        names: set[str] = set()
        for ending in (".crt", ".key.age"):
            for path in (found for folder in ("hosts", "addons") for found in (pki / folder).rglob(f"*{ending}")):
                name = path.relative_to(pki).as_posix().removesuffix(ending)
                if name not in wanted:
                    names.add(name)
                    self.changes.remove(path)
        for path in self.store.cluster_dir.rglob(f".*{SUFFIX}"):  # of an issue that was killed
            self.changes.remove(path)
        return tuple(sorted(names))

    # --- other secrets ----------------------------------------------------------------------------------------------

    def _service_account(self) -> None:
        key_path = self.store.key_path(SERVICE_ACCOUNT)
        has_key, has_public = key_path.is_file(), self.store.has("sa.pub")
        if has_public and not has_key:
            raise PkiError(
                f"{shown(key_path)}: the service-account key is missing; restore it from git: a new one would make "
                "every token of the cluster void"
            )
        if has_public:
            self._check_sealed(SERVICE_ACCOUNT)
            self.store.key_id(SERVICE_ACCOUNT)
            self.kept.append(SERVICE_ACCOUNT)
            return
        key = self._opened_key(SERVICE_ACCOUNT) if has_key else new_key(self.cluster.pki.algorithm)
        if not has_key:
            self.changes.put(key_path, self._sealed(key_pem(key)))
        self.changes.put(self.store.path("sa.pub"), public_key_text(key_algorithm(key), key_id(key), public_pem(key)))
        self.made.append(SERVICE_ACCOUNT)

    def _rotated_pairs(self) -> None:
        """Look at the pairs that a rotation has added; only its verb makes them."""
        for name in self.store.service_account_keys():
            if name != SERVICE_ACCOUNT:
                self._check_sealed(name)
                self.store.key_id(name)
                self.kept.append(name)

    def _secrets(self) -> None:
        entries = dict(self.store.index())
        folder = self.store.cluster_dir / "secrets"
        for name in entries:
            path = sealing.sealed_path(self.store.cluster_dir, name)
            if not path.is_file():
                loss = (
                    ": what was encrypted with it cannot be read without it" if name.startswith("encryption/") else ""
                )
                raise PkiError(
                    f"{shown(path)}: {INDEX_FILE} lists the secret {name} and it is missing; restore it from git{loss}"
                )
            check_form(path)
            self.kept.append(name)
        # A sealed key without an id is what an interrupted issue leaves: it gets its id, it is never made anew.
        for path in sorted((folder / "encryption").glob("*.age")):
            name = f"encryption/{path.name.removesuffix('.age')}"
            if name not in entries:
                check_form(path)
                entries[name] = secrets.token_hex(8)
                self.made.append(name)
        if self.cluster.encryption.provider and not any(name.startswith("encryption/") for name in entries):
            value = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES))
            self.changes.put(sealing.sealed_path(self.store.cluster_dir, "encryption/1"), self._sealed(value))
            entries["encryption/1"] = secrets.token_hex(8)
            self.made.append("encryption/1")
        for name in wanted_passwords(self.cluster):
            if name not in entries:
                path = sealing.sealed_path(self.store.cluster_dir, name)
                if path.is_file():  # of an interrupted issue
                    check_form(path)
                else:
                    self.changes.put(path, self._sealed(new_password()))
                entries[name] = secrets.token_hex(8)
                self.made.append(name)
        if entries != dict(self.store.index()):
            self.changes.put(self.store.cluster_dir / INDEX_FILE, index_text(entries))

    # --- sealed files -----------------------------------------------------------------------------------------------

    def _sealed(self, value: bytes) -> str:
        if not self.recipients:
            self.recipients = sealing.cluster_recipients(self.store.cluster_dir)
        return sealing.seal(value, self.recipients)

    def _opened_key(self, name: str) -> PrivateKey:
        path = self.store.key_path(name)
        check_form(path)
        return load_key(sealing.unseal_file(path, self.identity()), shown(path))

    def _check_sealed(self, name: str) -> None:
        check_form(self.store.key_path(name))

    def _shown(self, name: str) -> str:
        return shown(self.store.path(name))
