"""Identities: the private half that opens sealed files; found, and if need be opened with a passphrase, in memory."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from generator.errors import SealingError
from generator.sealing.asking import (
    IDENTITY_VARIABLE,
    AskPassphrase,
    PluginDialogue,
    ask_on_terminal,
    plugin_name,
    require_plugin,
)

_ARMORED = b"-----BEGIN AGE ENCRYPTED FILE-----"


@dataclass(frozen=True, slots=True)
class Identity:
    """The private half that opens sealed files; `path` says where it was read, for messages."""

    path: Path
    keys: tuple[Any, ...] = field(repr=False, compare=False)


def default_identity_path(home: Path | None = None) -> Path:
    """Return where a new identity is kept: ~/.config/slipway/identity."""
    return (home or Path.home()) / ".config" / "slipway" / "identity"


def identity_path(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Path:
    """Return the identity file that applies: SLIPWAY_IDENTITY, ~/.config/slipway/identity, ~/.ssh/id_ed25519.

    Raises SealingError when there is none, or when the variable holds a key and not a path (the key is not printed).
    """
    named = (os.environ if environ is None else environ).get(IDENTITY_VARIABLE, "")
    if named:
        if "\n" in named or named.strip().upper().startswith(("AGE-SECRET-KEY-", "AGE-PLUGIN-", "-----BEGIN")):
            raise SealingError(
                f"{IDENTITY_VARIABLE} holds a private key; it must name the file that holds the key. An environment is "
                "read by every child process: unset it, and replace the key if others could see it"
            )
        path = Path(named)
        path = (home or Path.home()) / Path(*path.parts[1:]) if path.parts[:1] == ("~",) else path
        if not path.is_file():
            raise SealingError(
                f"{path}: {IDENTITY_VARIABLE} names this file and it does not exist; correct the path, make one there "
                f"with `age-keygen -o {path}`, or unset the variable, and `invoke new` makes one in its usual place"
            )
        return path
    base = home or Path.home()
    places = (default_identity_path(base), base / ".ssh" / "id_ed25519")
    for path in places:
        if path.is_file():
            return path
    raise SealingError(
        f"no identity to open sealed secrets: {IDENTITY_VARIABLE} is not set, and neither {places[0]} nor {places[1]} "
        "exists; bring the private half of one of the cluster's recipients there"
    )


def load_identity(
    environ: Mapping[str, str] | None = None, home: Path | None = None, ask: AskPassphrase = ask_on_terminal
) -> Identity:
    """Return the operator's identity; a passphrase is asked for once. Raises SealingError that names the path."""
    path = identity_path(environ, home)
    return Identity(path, _parsed(_read(path), path, ask))


def identity_once(
    environ: Mapping[str, str] | None = None, home: Path | None = None, ask: AskPassphrase = ask_on_terminal
) -> Callable[[], Identity]:
    """Return a provider that loads the identity when first called and keeps it: one question per run of a verb."""
    return functools.cache(functools.partial(load_identity, environ, home, ask))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SealingError(
            f"{path}: the identity cannot be read ({error.strerror}); correct its owner or mode"
        ) from error


def _parsed(data: bytes, path: Path, ask: AskPassphrase) -> tuple[Any, ...]:
    if data.startswith((b"age-encryption.org/", _ARMORED)):
        try:
            data = pyrage.passphrase.decrypt(data, ask(f"passphrase of {path}"))
        except pyrage.DecryptError as error:
            raise SealingError(f"{path}: the identity does not open; check the passphrase") from error
    if b"PRIVATE KEY-----" in data:
        return (_ssh_identity(data, path, ask),)
    keys: list[Any] = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if line.upper().startswith("AGE-PLUGIN-"):
                name = plugin_name(line, "age-plugin-")
                require_plugin(name, f"{path}:{number}")
                keys.append(
                    pyrage.plugin.IdentityPluginV1(name, [pyrage.plugin.Identity.from_str(line)], PluginDialogue())
                )
            else:
                keys.append(pyrage.x25519.Identity.from_str(line))
        except (pyrage.IdentityError, RuntimeError, ValueError, OSError):
            # Without the cause: its text could repeat the line, and the line may be a damaged key.
            raise SealingError(
                f"{path}:{number}: no age identity; the file holds AGE-SECRET-KEY-… lines or one ssh private key"
            ) from None
    if not keys:
        raise SealingError(f"{path}: no key in the file; it holds AGE-SECRET-KEY-… lines or one ssh private key")
    return tuple(keys)


def _ssh_identity(data: bytes, path: Path, ask: AskPassphrase) -> Any:
    load: Callable[..., Any] = (
        serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else serialization.load_pem_private_key
    )
    try:
        try:
            key = load(data, password=None)
        except (TypeError, ValueError) as locked:
            if "password" not in str(locked).lower():
                raise
            key = load(data, password=ask(f"passphrase of {path}").encode())
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise SealingError(
            f"{path}: the ssh key does not open; check the passphrase, or that this is a whole private key"
        ) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise SealingError(f"{path}: age opens nothing with an ssh key of this type; use an ed25519, rsa or age key")
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    try:
        return pyrage.ssh.Identity.from_buffer(plain)
    except pyrage.IdentityError:
        raise SealingError(f"{path}: age cannot use this ssh key; use an ed25519, rsa or age key") from None


def create_identity(path: Path, workspace: Path | None = None) -> str:
    """Make an age identity (file 0600, its folder 0700 where new) and return its public half.

    Raises SealingError when the file exists, or lies inside the workspace, from where it could reach git.
    """
    if workspace is not None and path.resolve().is_relative_to(workspace.resolve()):
        raise SealingError(f"{path}: an identity must not lie in the workspace; choose a path outside of it")
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SealingError(f"{path}: there is an identity already; use it, or name another path") from None
    except OSError as error:
        raise SealingError(f"{path}: the identity cannot be written ({error.strerror}); choose another path") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"# public key: {public}\n{identity}\n")
    return public


def public_half(path: Path, ask: AskPassphrase = ask_on_terminal) -> str:
    """Return the line for recipients.txt that belongs to an identity file.

    An ssh key's is read from the .pub file beside it, so no passphrase is asked for. Raises SealingError where the file
    gives none: a plugin's identity, or an ssh key without its .pub.
    """
    data = _read(path)
    if b"PRIVATE KEY-----" in data:
        public = path.with_name(f"{path.name}.pub")
        try:
            return " ".join(public.read_text("utf-8").split()[:2])
        except OSError:
            raise SealingError(f"{public}: it is not there; `ssh-keygen -y -f {path} > {public}` writes it") from None
    for key in _parsed(data, path, ask):
        if isinstance(key, pyrage.x25519.Identity):
            return str(key.to_public())
    raise SealingError(f"{path}: its public half is not known here; write it into recipients.txt yourself")
