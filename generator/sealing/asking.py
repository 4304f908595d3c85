"""What is asked of the operator: a passphrase on the terminal, by Slipway itself or by an age plugin."""

from __future__ import annotations

import getpass
import shutil
import sys
from collections.abc import Callable

from generator.errors import SealingError

IDENTITY_VARIABLE = "SLIPWAY_IDENTITY"

AskPassphrase = Callable[[str], str]
"""Asks for a passphrase with the given prompt; raises SealingError where there is nobody to ask."""


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


class PluginDialogue:
    """What an age plugin may ask: Slipway shows its messages on standard error and answers nothing for the operator."""

    def display_message(self, message: str) -> None:
        """Show what the plugin says."""
        print(message, file=sys.stderr)

    def confirm(self, message: str, yes_string: str, no_string: str | None) -> bool | None:
        """Confirm nothing on behalf of the operator."""
        return None

    def request_public_string(self, description: str) -> str | None:
        """Answer no question."""
        return None

    def request_passphrase(self, description: str) -> str | None:
        """Ask the operator for the plugin's PIN."""
        return ask_on_terminal(description)


def plugin_name(text: str, prefix: str) -> str:
    """Return the name of the plugin that a key belongs to: the part of its Bech32 prefix after `prefix`."""
    return text.lower().rpartition("1")[0].removeprefix(prefix).strip("-")


def require_plugin(name: str, where: str) -> None:
    """Raise SealingError where the program of an age plugin is not installed."""
    if shutil.which(f"age-plugin-{name}") is None:
        raise SealingError(
            f"{where}: the age plugin {name!r} is needed and age-plugin-{name} is not installed; "
            "install it and have it in PATH"
        )
