"""Sealing with age: recipients, identities, seal and unseal. Nothing else in Slipway knows age.

Sealed files are armored age text (https://age-encryption.org/v1), so that `age --decrypt` opens them too. A private
key of the operator is read, and if need be opened with a passphrase, in memory only.
"""

from __future__ import annotations

import functools
import getpass
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from generator.errors import SealingError

RECIPIENTS_FILE = "recipients.txt"
IDENTITY_VARIABLE = "SLIPWAY_IDENTITY"
ARMOR_BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----"
ARMOR_END = "-----END AGE ENCRYPTED FILE-----"

AskPassphrase = Callable[[str], str]
"""Asks for a passphrase with the given prompt; raises SealingError where there is nobody to ask."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One line of recipients.txt: a public key for which secrets are sealed."""

    text: str
    key: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """The private half that opens sealed files; `path` says where it was read, for messages."""

    path: Path
    keys: tuple[Any, ...] = field(repr=False, compare=False)


def shown(path: Path) -> str:
    """Return a path as messages write it: from clusters/ on where it lies in a workspace, else as it is."""
    parts = path.parts
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "clusters":
            return "/".join(parts[index:])
    return str(path)


def sealed_path(cluster_dir: Path, secret: str) -> Path:
    """Return where a secret lies sealed: "pki/<certificate>" in pki/, any other name below secrets/."""
    if secret.startswith("pki/"):
        return cluster_dir / f"{secret}.key.age"
    return cluster_dir / "secrets" / f"{secret}.age"


# --- recipients -----------------------------------------------------------------------------------------------------


class _PluginDialogue:
    """What an age plugin may ask: Slipway shows its messages on standard error and answers nothing for the operator."""

    def display_message(self, message: str) -> None:
        print(message, file=sys.stderr)

    def confirm(self, message: str, yes_string: str, no_string: str | None) -> bool | None:
        return None

    def request_public_string(self, description: str) -> str | None:
        return None

    def request_passphrase(self, description: str) -> str | None:
        return ask_on_terminal(description)


def _plugin_name(text: str, prefix: str) -> str:
    return text.lower().rpartition("1")[0].removeprefix(prefix).strip("-")


def _require_plugin(name: str, where: str) -> None:
    if shutil.which(f"age-plugin-{name}") is None:
        raise SealingError(
            f"{where}: the age plugin {name!r} is needed and age-plugin-{name} is not installed; "
            "install it and have it in PATH"
        )


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
            _require_plugin(name, RECIPIENTS_FILE)
            keys.append(pyrage.plugin.RecipientPluginV1(name, members, [], _PluginDialogue()))
        sealed: bytes = pyrage.encrypt(value, keys, armored=True)
    except (pyrage.EncryptError, pyrage.RecipientError, RuntimeError, OSError, ValueError) as error:
        raise SealingError(
            f"{RECIPIENTS_FILE}: cannot seal for these recipients ({error}); check each of them"
        ) from error
    return sealed.decode("ascii").rstrip("\n") + "\n"


# --- identities -----------------------------------------------------------------------------------------------------


def default_identity_path(home: Path | None = None) -> Path:
    """Return where a new identity is kept: ~/.config/slipway/identity."""
    return (home or Path.home()) / ".config" / "slipway" / "identity"


def ask_on_terminal(prompt: str) -> str:
    """Ask for a passphrase on the controlling terminal, without echo; raises SealingError where there is none."""
    try:
        with open("/dev/tty", "rb"):
            pass
    except OSError:
        raise SealingError(
            f"{prompt}: there is no terminal to ask on; run this on a terminal, or point {IDENTITY_VARIABLE} to an "
            "identity without a passphrase"
        ) from None
    return getpass.getpass(f"{prompt}: ")


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
            raise SealingError(f"{path}: {IDENTITY_VARIABLE} names this file and it does not exist; correct the path")
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SealingError(
            f"{path}: the identity cannot be read ({error.strerror}); correct its owner or mode"
        ) from error
    return Identity(path, _parsed(data, path, ask))


def identity_once(
    environ: Mapping[str, str] | None = None, home: Path | None = None, ask: AskPassphrase = ask_on_terminal
) -> Callable[[], Identity]:
    """Return a provider that loads the identity when first called and keeps it: one question per run of a verb."""
    return functools.cache(functools.partial(load_identity, environ, home, ask))


def _parsed(data: bytes, path: Path, ask: AskPassphrase) -> tuple[Any, ...]:
    if data.startswith((b"age-encryption.org/", ARMOR_BEGIN.encode())):
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
                name = _plugin_name(line, "age-plugin-")
                _require_plugin(name, f"{path}:{number}")
                keys.append(
                    pyrage.plugin.IdentityPluginV1(name, [pyrage.plugin.Identity.from_str(line)], _PluginDialogue())
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


# --- opening --------------------------------------------------------------------------------------------------------


def is_sealed(text: str) -> bool:
    """Return whether a text has the outer form of a sealed file; what is inside shows only when it is opened."""
    stripped = text.strip()
    return stripped.startswith(ARMOR_BEGIN) and stripped.endswith(ARMOR_END)


def unseal(text: str, identity: Identity, what: str = "the sealed secret") -> bytes:
    """Return what a sealed text holds; `what` names it in messages. Raises SealingError."""
    try:
        value: bytes = pyrage.decrypt(text.encode("utf-8"), list(identity.keys))
    except pyrage.DecryptError as error:
        if "no matching keys" in str(error).lower():
            raise SealingError(
                f"{what}: the identity {identity.path} is not among its recipients; use the identity of a recipient "
                f"({IDENTITY_VARIABLE} names another file), or have one of them seal it anew for you"
            ) from None
        raise SealingError(f"{what}: the sealed file is damaged ({error}); restore it from git") from None
    return value


def unseal_file(path: Path, identity: Identity) -> bytes:
    """Return what a sealed file holds. Raises SealingError that names the path and what to do."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SealingError(f"{shown(path)}: there is no such sealed file; restore it from git") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SealingError(f"{shown(path)}: the sealed file cannot be read; restore it from git") from error
    return unseal(text, identity, shown(path))
