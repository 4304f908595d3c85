"""Client certificates for one run: signed in memory by the cluster's CA, valid for an hour, stored nowhere.

The CA key is opened with the operator's age identity when a certificate is first needed, and kept until the run ends.
"""

from __future__ import annotations

import getpass
import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.tls import Credential, client_context
from generator.errors import PkiError
from generator.pki.issuing import sign_client
from generator.sealing import Identity, load_identity, sealed_path, unseal_file

ADMINS = "slipway:admins"
"""The group that 00-cluster-rbac binds to cluster-admin."""
READERS = "slipway:readers"
"""The group that 00-cluster-rbac binds to what CI may read."""
MASTERS = "system:masters"
"""Kubernetes' own group that no binding limits; used once, to make the binding of ADMINS."""
LIFETIME = timedelta(hours=1)
_SHORTEST = timedelta(minutes=10)


def utc_now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


def operator() -> str:
    """Return who works here, as user@host, for certificates and messages."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class Signer:
    """Signs client certificates of one cluster; opens its CA key at the first one.

    `identity` returns the operator's age identity; it is asked at most once. Raises SealingError where the key does
    not open, PkiError where CA and key do not fit or the CA has expired.
    """

    def __init__(
        self,
        cluster: str,
        cluster_dir: Path,
        *,
        identity: Callable[[], Identity] = load_identity,
        who: str = "",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.cluster = cluster
        self._dir = cluster_dir
        self._identity = identity
        self._who = who or operator()
        self._now = now
        self._key: bytes | None = None
        self._contexts: dict[str, tuple[ssl.SSLContext, datetime]] = {}

    @property
    def ca(self) -> bytes:
        """The CA certificates that clients trust, PEM."""
        return self._read("ca.crt")

    def certificate(self, group: str = ADMINS, lifetime: timedelta = LIFETIME) -> Credential:
        """Return a new client certificate for the operator in one group, with its key."""
        if self._key is None:
            self._key = unseal_file(sealed_path(self._dir, "pki/ca"), self._identity())
        certificate, key = sign_client(
            self.ca,
            self._key,
            # A common name has 64 characters at most; runners of a CI have long names.
            cn=f"slipway:{self._who}"[:64],
            organization=[group],
            now=self._now(),
            lifetime=lifetime,
        )
        return Credential(certificate, key)

    def context(self, group: str = ADMINS) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA and carries a client certificate of a group.

        The same one for as long as its certificate has ten minutes to live, then a new one.
        """
        context, until = self._contexts.get(group, (None, self._now()))
        if context is None or self._now() >= until - _SHORTEST:
            context = client_context(self.ca, self.certificate(group))
            self._contexts[group] = (context, self._now() + LIFETIME)
        return context

    def forget(self, group: str) -> None:
        """Let go of the certificate of a group and its key."""
        self._contexts.pop(group, None)

    def _read(self, name: str) -> bytes:
        try:
            return (self._dir / "pki" / name).read_bytes()
        except OSError:
            raise PkiError(
                f"{self.cluster}: clusters/{self.cluster}/pki/{name} cannot be read; run `invoke render` to issue it"
            ) from None
