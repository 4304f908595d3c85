"""The operator's SSH key: its public half, and the private one where it can be used without asking."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from generator.errors import WorkspaceError

NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
"""Names under ~/.ssh in which a key is looked for, the first that is there."""


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """A public key: `line` as authorized_keys has it, `path` where it was read, `private` where its half may be."""

    path: Path
    line: str
    fingerprint: str
    public: asyncssh.SSHKey
    private: Path


def operator_key(named: str | None, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> OperatorKey:
    """Return the key that is meant: the file named, that of SLIPWAY_SSH_KEY, else the first of ~/.ssh.

    Raises WorkspaceError where there is none, and for the file of a private key, which is not read further.
    """
    if named:
        return _read(Path(named).expanduser())
    if environ.get("SLIPWAY_SSH_KEY"):
        private = Path(environ["SLIPWAY_SSH_KEY"]).expanduser()
        return _read(private.with_name(f"{private.name}.pub"))
    folder = (home or Path.home()) / ".ssh"
    for name in NAMES:
        if (folder / f"{name}.pub").is_file():
            return _read(folder / f"{name}.pub")
    raise WorkspaceError(
        f"no public key: SLIPWAY_SSH_KEY is not set and {folder} has no {NAMES[0]}.pub or the like; make a key with "
        "`ssh-keygen -t ed25519`, or name one with --key FILE.pub"
    )


def _read(path: Path) -> OperatorKey:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise WorkspaceError(
            f"{path}: the public key cannot be read ({reason}); `ssh-keygen -y -f PRIVATE > PRIVATE.pub` writes it anew"
        ) from None
    if "PRIVATE KEY" in text:
        raise WorkspaceError(
            f"{path}: this is a private key, which stays where it is; name its public half, {path}.pub"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        public = asyncssh.import_public_key(lines[0] if len(lines) == 1 else "")
        kind, blob = public.export_public_key("openssh").decode("ascii").split()[:2]
    except (asyncssh.KeyImportError, ValueError):
        raise WorkspaceError(
            f"{path}: this is not one public key in OpenSSH's form; name a file such as id_ed25519.pub"
        ) from None
    comment = "".join(letter for letter in " ".join(lines[0].split()[2:]) if letter.isprintable())
    line = f"{kind} {blob} {comment}".rstrip()
    return OperatorKey(path, line, public.get_fingerprint("sha256"), public, path.with_suffix(""))


@asynccontextmanager
async def key_pairs(key: OperatorKey) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
    """Hold the pair to log in by this key alone, from its file, else the agent; none where neither has it."""
    try:
        pairs = list(asyncssh.load_keypairs([str(key.private)]))
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        pairs = []
    own = [pair for pair in pairs if pair.public_data == key.public.public_data]
    socket = os.environ.get("SSH_AUTH_SOCK", "")
    if own or not socket:
        yield own
        return
    async with AsyncExitStack() as stack:
        try:
            agent = await stack.enter_async_context(asyncssh.connect_agent(socket))
            held = list(await agent.get_keys([key.public.public_data]))
        except (OSError, ValueError, asyncssh.Error):
            held = []
        yield held
