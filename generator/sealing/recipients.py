"""Recipients: the public keys in clusters/<c>/recipients.txt for which secrets are sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage

from generator.errors import SealingError
from generator.sealing.places import shown

RECIPIENTS_FILE = "recipients.txt"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One line of recipients.txt: a public key for which secrets are sealed."""

    text: str
    key: Any = field(repr=False, compare=False)


def parse_recipient(text: str) -> Recipient:
    """Return the recipient that one line names: an age, age plugin, ssh-ed25519 or ssh-rsa public key.

    Raises ValueError with what is wrong; the key itself is public and may be shown.
    """
    kind = text.split()[0]
    try:
        if kind in {"ssh-ed25519", "ssh-rsa"}:
            return Recipient(text, pyrage.ssh.Recipient.from_str(text))
        if kind.startswith(("ssh-", "ecdsa-", "sk-")):
            raise ValueError(f"age cannot seal for a key of type {kind}; use ssh-ed25519, ssh-rsa or an age key")
        if "secret-key" in kind.lower() or kind.upper().startswith("AGE-PLUGIN-"):
            raise ValueError("this is a private key, which must not be here; write its public half and replace the key")
        prefix = kind.lower().rpartition("1")[0]
        if prefix == "age1tag":
            return Recipient(text, pyrage.tag.Recipient.from_str(kind))
        if prefix == "age1tagpq":
            return Recipient(text, pyrage.tagpq.Recipient.from_str(kind))
        if prefix.startswith("age1"):
            return Recipient(text, pyrage.plugin.Recipient.from_str(kind))
        if kind.startswith("age1"):
            return Recipient(text, pyrage.x25519.Recipient.from_str(kind))
    except pyrage.RecipientError as error:
        raise ValueError(f"the public key is not complete or was changed ({error}); copy it again") from error
    raise ValueError("this is no recipient; write an age1… key or an ssh-ed25519 or ssh-rsa public key")


def read_recipients(path: Path) -> tuple[Recipient, ...]:
    """Return the recipients of a recipients.txt; blank lines and lines with # are passed over.

    Raises SealingError with all faults, each with file and line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise SealingError(
            f"{shown(path)}: there is no such file; write one public key per line into it (age1…, ssh-ed25519, ssh-rsa)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SealingError(f"{shown(path)}: the file cannot be read ({error}); make it a readable text file") from error
    found: list[Recipient] = []
    faults: list[str] = []
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            found.append(parse_recipient(line))
        except ValueError as error:
            faults.append(f"{shown(path)}:{number}: {error}")
    if not found and not faults:
        faults.append(f"{shown(path)}: there is no recipient; write one public key per line")
    if faults:
        raise SealingError("\n".join(faults))
    return tuple(found)


def cluster_recipients(cluster_dir: Path) -> tuple[Recipient, ...]:
    """Return the recipients of a cluster, from clusters/<c>/recipients.txt."""
    return read_recipients(cluster_dir / RECIPIENTS_FILE)
