"""For whom a sealed file is sealed, as far as its header tells: kinds of key, and for ssh keys a short tag.

An age header has one stanza per recipient (https://age-encryption.org/v1, C2SP age specification). That of an age key
says nothing about the key, so only their number shows; that of an ssh key begins with four bytes of its digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from generator.errors import SealingError
from generator.sealing.recipients import Recipient

_BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----"
_END = "-----END AGE ENCRYPTED FILE-----"


@dataclass(frozen=True, slots=True)
class Stanza:
    """One recipient of a sealed file: "X25519", "ssh-ed25519", "ssh-rsa" or a plugin's kind; `tag` "" where none."""

    kind: str
    tag: str = ""


def stanzas(text: str, what: str = "the sealed file") -> tuple[Stanza, ...]:
    """Return the recipients of an armored file; raises SealingError where it has no readable header."""
    body = text.strip().removeprefix(_BEGIN).removesuffix(_END)
    try:
        lines = base64.b64decode("".join(body.split()), validate=True).split(b"\n")
    except binascii.Error:
        lines = []
    if lines[:1] != [b"age-encryption.org/v1"]:
        raise SealingError(f"{what}: this is no sealed file (age, armored); restore it from git")
    found: list[Stanza] = []
    for line in lines[1:]:
        if line.startswith(b"---"):
            break
        if line.startswith(b"-> "):
            kind, *arguments = line[3:].decode("ascii", "replace").split(" ")
            # Some writers add a stanza that is for nobody, so that readers stay ready for kinds to come.
            if not kind.endswith("-grease"):
                found.append(Stanza(kind, arguments[0] if kind.startswith("ssh-") and arguments else ""))
    return tuple(found)


def ssh_tag(recipient: Recipient) -> str:
    """Return the tag by which a stanza names an ssh key, "" for a recipient of another kind."""
    kind, *rest = recipient.text.split()
    if not kind.startswith("ssh-") or not rest:
        return ""
    digest = hashlib.sha256(base64.b64decode(rest[0])).digest()
    return base64.b64encode(digest[:4]).decode("ascii").rstrip("=")


def difference(sealed: Sequence[Stanza], recipients: Sequence[Recipient]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who is new among the recipients and who of a sealed file is no longer there, as far as the header tells.

    New ones are texts of recipients; those that left are words such as "an ssh-ed25519 key with the tag …". Age keys
    and plugins are counted only: one more or one fewer shows, one for another does not.
    """
    tags = {stanza.tag for stanza in sealed if stanza.tag}
    wanted = {ssh_tag(recipient): recipient.text for recipient in recipients if ssh_tag(recipient)}
    added = [text for tag, text in wanted.items() if tag not in tags]
    left = [f"an {one.kind} key with the tag {one.tag}" for one in sealed if one.tag and one.tag not in wanted]
    before = sum(1 for one in sealed if not one.tag)
    now = sum(1 for recipient in recipients if not ssh_tag(recipient))
    if now > before:
        added.append(_counted(now - before))
    if now < before:
        left.append(_counted(before - now))
    return tuple(added), tuple(left)


def _counted(number: int) -> str:
    return "one age key (a header does not say which)" if number == 1 else f"{number} age keys"
