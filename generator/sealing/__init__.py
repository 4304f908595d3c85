"""Sealing with age: recipients, identities, seal and unseal. Nothing else in Slipway knows age.

Sealed files are armored age text (https://age-encryption.org/v1), so that `age --decrypt` opens them too. A private
key of the operator is read, and if need be opened with a passphrase, in memory only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyrage

from generator.errors import SealingError
from generator.sealing.asking import IDENTITY_VARIABLE, AskPassphrase, PluginDialogue, ask_on_terminal, require_plugin
from generator.sealing.identities import (
    Identity,
    create_identity,
    default_identity_path,
    identity_once,
    identity_path,
    load_identity,
    public_half,
)
from generator.sealing.places import sealed_path, shown
from generator.sealing.recipients import (
    RECIPIENTS_FILE,
    Recipient,
    cluster_recipients,
    parse_recipient,
    read_recipients,
)

__all__ = [
    "IDENTITY_VARIABLE",
    "RECIPIENTS_FILE",
    "AskPassphrase",
    "Identity",
    "Recipient",
    "ask_on_terminal",
    "cluster_recipients",
    "create_identity",
    "default_identity_path",
    "identity_once",
    "identity_path",
    "is_sealed",
    "load_identity",
    "opened",
    "parse_recipient",
    "public_half",
    "read_recipients",
    "seal",
    "sealed_path",
    "shown",
    "unseal",
    "unseal_file",
]

ARMOR_BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----"
ARMOR_END = "-----END AGE ENCRYPTED FILE-----"


def seal(value: bytes, recipients: Sequence[Recipient]) -> str:
    """Return a value sealed for the recipients, as armored age text. Raises SealingError."""
    if not recipients:
        raise SealingError("there is nobody to seal for; write a public key into recipients.txt")
    keys: list[Any] = []
    plugins: dict[str, list[Any]] = {}
    for recipient in recipients:
        if isinstance(recipient.key, pyrage.plugin.Recipient):
            plugins.setdefault(recipient.key.plugin(), []).append(recipient.key)
        else:
            keys.append(recipient.key)
    try:
        for name, members in sorted(plugins.items()):
            require_plugin(name, RECIPIENTS_FILE)
            keys.append(pyrage.plugin.RecipientPluginV1(name, members, [], PluginDialogue()))
        sealed: bytes = pyrage.encrypt(value, keys, armored=True)
    except (pyrage.EncryptError, pyrage.RecipientError, RuntimeError, OSError, ValueError) as error:
        raise SealingError(
            f"{RECIPIENTS_FILE}: cannot seal for these recipients ({error}); check each of them"
        ) from error
    return sealed.decode("ascii").rstrip("\n") + "\n"


def is_sealed(text: str) -> bool:
    """Return whether a text has the outer form of a sealed file; what is inside shows only when it is opened."""
    stripped = text.strip()
    return stripped.startswith(ARMOR_BEGIN) and stripped.endswith(ARMOR_END)


def unseal(text: str, identity: Identity, what: str = "the sealed secret") -> bytes:
    """Return what a sealed text holds; `what` names it in messages. Raises SealingError."""
    return opened(text.encode("utf-8"), identity, what)


def opened(data: bytes, identity: Identity, what: str) -> bytes:
    """Return what a file of age holds, armored or not, in memory. Raises SealingError."""
    try:
        value: bytes = pyrage.decrypt(data, list(identity.keys))
    except pyrage.DecryptError as error:
        if "no matching keys" in str(error).lower():
            raise SealingError(
                f"{what}: the identity {identity.path} is not among its recipients; use the identity of a recipient "
                f"({IDENTITY_VARIABLE} names another file), or have one of them seal it anew for you"
            ) from None
        raise SealingError(f"{what}: the sealed file is damaged ({_first_line(error)}); restore it from git") from None
    return value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def unseal_file(path: Path, identity: Identity) -> bytes:
    """Return what a sealed file holds. Raises SealingError that names the path and what to do."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SealingError(f"{shown(path)}: there is no such sealed file; restore it from git") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SealingError(f"{shown(path)}: the sealed file cannot be read; restore it from git") from error
    return unseal(text, identity, shown(path))
