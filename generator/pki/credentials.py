"""What people seal themselves: the credentials of registries, and values that addons need.

Credentials are the base64 of user, colon and password, under "registry/<host>"; values are sealed as they are given,
under "addons/<name>".
"""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path

from generator import sealing
from generator.errors import RefusedError
from generator.pki.store import INDEX_FILE, SEALED_FOR_ADDONS, PkiStore, index_text
from generator.pki.writing import Changes
from generator.spec.model import Cluster

PREFIX = "registry/"
_ADDON = re.compile(rf"{SEALED_FOR_ADDONS}[a-z0-9]([a-z0-9.-]{{0,61}}[a-z0-9])?")
LONGEST = 65536
"""More than any password or token of a registry has, in bytes; a whole file piped in by mistake has more."""


def registry_secrets(cluster: Cluster) -> dict[str, str]:
    """Return the registry hosts that the spec wants credentials for, by the name of the secret."""
    return {registry.secret: registry.host for registry in cluster.runtime.registries if registry.credentials}


def wanted_secret(cluster: Cluster, name: str) -> str:
    """Return the name under which credentials are sealed, for "registry/<host>" as people write it.

    A value for an addon has the name that it is given. Raises RefusedError for another secret, whose value only its own
    verb makes, for a registry that the spec gives no credentials, and for a name that no file can have.
    """
    if name.startswith(SEALED_FOR_ADDONS):
        if not _ADDON.fullmatch(name):
            raise RefusedError(
                f"{cluster.name}: {name!r} is no name of a secret; write {SEALED_FOR_ADDONS} and lower-case letters, "
                "digits, dots and hyphens"
            )
        return name
    if not name.startswith(PREFIX):
        raise RefusedError(
            f"{cluster.name}: {name} is not set by hand: keys are made by Slipway and replaced by certs.renew, "
            "secrets.encryption and secrets.service-account; set registry/<host> or addons/<name>"
        )
    known = registry_secrets(cluster)
    secret = name.replace(":", "_")
    if secret not in known:
        there = ", ".join(known) or "none"
        raise RefusedError(
            f"{cluster.name}: no node would use {name}; write credentials: true at that registry under "
            f"runtime.registries (with credentials: {there})"
        )
    return secret


def seal_credentials(cluster: Cluster, cluster_dir: Path, secret: str, user: str, password: str) -> str:
    """Seal credentials in place of what is there and return their new id.

    The old id goes first: killed anywhere, this leaves a secret without an id, which render refuses, never a new value
    under an old id, which no host would fetch. Raises RefusedError for what cannot be a user or password, SealingError.
    """
    if not user or ":" in user or any(not letter.isprintable() for letter in user):
        raise RefusedError(f"{cluster.name}: {secret}: the user is empty, or holds a colon or a control character")
    if not password or len(password.encode()) > LONGEST or any(letter in password for letter in "\n\r\0"):
        raise RefusedError(f"{cluster.name}: {secret}: the password is empty, too long, or more than one line")
    return _seal(cluster_dir, secret, base64.b64encode(f"{user}:{password}".encode()))


def seal_value(cluster: Cluster, cluster_dir: Path, secret: str, value: str) -> str:
    """Seal a value for an addon in place of what is there and return its new id, killed anywhere as above.

    Raises RefusedError for a value that is empty, too long or no text, SealingError.
    """
    if not value.strip() or len(value.encode()) > LONGEST or "\0" in value:
        raise RefusedError(f"{cluster.name}: {secret}: the value is empty, too long, or no text")
    return _seal(cluster_dir, secret, value.encode())


def _seal(cluster_dir: Path, secret: str, value: bytes) -> str:
    sealed = sealing.seal(value, sealing.cluster_recipients(cluster_dir))
    entries = dict(PkiStore(cluster_dir).index())
    changes = Changes()
    if entries.pop(secret, None) is not None:
        changes.put(cluster_dir / INDEX_FILE, index_text(entries))
        changes.write()
    entries[secret] = secrets.token_hex(8)
    changes.put(sealing.sealed_path(cluster_dir, secret), sealed)
    changes.put(cluster_dir / INDEX_FILE, index_text(entries))
    changes.write()
    return entries[secret]
