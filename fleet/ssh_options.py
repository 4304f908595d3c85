"""How every SSH connection is made: keys, ciphers, and how long a host may be silent before it is given up.

Two settings of the environment bound every wait for a host: SLIPWAY_SSH_CONNECT_SECONDS (20) for a connection to be
made, log-in included, and SLIPWAY_SSH_SILENT_SECONDS (60) for a host that has been entered and says nothing any more:
a live sshd answers keep-alive questions however long the program takes that runs there.
"""

from __future__ import annotations

import errno
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncssh

from fleet.connection import printable
from generator.errors import WorkspaceError

CONNECT_VARIABLE = "SLIPWAY_SSH_CONNECT_SECONDS"
SILENT_VARIABLE = "SLIPWAY_SSH_SILENT_SECONDS"
_DEFAULTS = {CONNECT_VARIABLE: 20.0, SILENT_VARIABLE: 60.0}
_QUESTIONS = 3
"""Keep-alive questions that may stay without an answer; one more interval passes before the first is asked."""
# Ciphers that processors have instructions for come first: binaries of some hundred MB go through here.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)
SSH_ERRORS = (OSError, asyncssh.Error)
"""What a connection can end with; a TimeoutError is an OSError."""


def connect_seconds() -> float:
    """Return how long a connection may take to be made; raises WorkspaceError for a setting that is no number."""
    return _seconds(CONNECT_VARIABLE)


def silent_seconds() -> float:
    """Return how long a host may be silent once it has been entered; raises WorkspaceError as above."""
    return _seconds(SILENT_VARIABLE)


def _seconds(variable: str) -> float:
    text = os.environ.get(variable, "")
    if not text:
        return _DEFAULTS[variable]
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3600:
        raise WorkspaceError(f"{variable}={text}: not a number of seconds from 1 to 3600; correct it or unset it")
    return value


def connection_options(known_hosts: str) -> dict[str, Any]:
    """Return the options with which every connection is made; raises WorkspaceError for what cannot be used."""
    key = os.environ.get("SLIPWAY_SSH_KEY")
    options: dict[str, Any] = {
        "known_hosts": _known(known_hosts),
        "config": None,
        "preferred_auth": "publickey",
        "gss_host": None,
        "encryption_algs": CIPHERS,
        "connect_timeout": connect_seconds(),
        "login_timeout": connect_seconds(),
        "keepalive_interval": silent_seconds() / (_QUESTIONS + 1),
        "keepalive_count_max": _QUESTIONS,
    }
    if key:
        try:
            options["client_keys"] = asyncssh.load_keypairs([str(Path(key).expanduser())])
        except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise WorkspaceError(
                f"SLIPWAY_SSH_KEY={key}: the key cannot be used ({error_words(error)}); name a readable key without "
                "a passphrase, or load it into the agent and unset SLIPWAY_SSH_KEY"
            ) from None
    return options


@lru_cache(maxsize=16)
def _known(text: str) -> asyncssh.SSHKnownHosts:
    """Return known_hosts as asyncssh looks things up in it, read once.

    Given as text it is read anew for each connection, which at a thousand hosts takes longer than to enter them.
    """
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError as error:
        raise WorkspaceError(
            f"known_hosts: {printable(str(error))}; correct the line, or take it out and run `invoke hosts.scan`"
        ) from None


def error_words(error: BaseException) -> str:
    """Return what an error of a connection says, in words for an operator."""
    text = str(error)
    if isinstance(error, TimeoutError) and not text:
        return f"no answer within {connect_seconds():.0f} s"
    if "keepalive" in text:
        return f"the host said nothing for {silent_seconds():.0f} s"
    if isinstance(error, OSError) and error.errno in _PLAIN:
        return _PLAIN[error.errno]
    return printable(text) or type(error).__name__


_PLAIN = {
    errno.ECONNREFUSED: "connection refused: the host is up and no sshd listens there",
    errno.EHOSTUNREACH: "no route to host: it is off, or its network is",
    errno.ENETUNREACH: "network is unreachable: this machine has no way there",
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "connection reset by the other side",
}
