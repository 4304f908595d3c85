"""Root by sudo where the login is not root: the password is asked for once and travels on standard input only."""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections.abc import Callable, Sequence

from generator.errors import HostError

AskPassword = Callable[[str], str]
"""Asks for a password with the given prompt."""


class SudoPassword:
    """The password for sudo, asked for at most once and only when a host wants it."""

    def __init__(self, ask: AskPassword | None) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._password: bytes | None = None

    async def value(self, where: str, host: str) -> bytes:
        """Return the password as the line that sudo reads; raises HostError where nobody can be asked."""
        return await asyncio.to_thread(self._asked, where, host) + b"\n"

    def _asked(self, where: str, host: str) -> bytes:
        with self._lock:
            if self._password is None:
                if self._ask is None:
                    raise HostError(
                        f"{where}: sudo: it wants a password and there is no terminal to ask; allow sudo "
                        f"without one, or run on a terminal",
                        host,
                    )
                self._password = self._ask(f"sudo password on the hosts (first asked by {where}): ").encode()
            return self._password


def sudo_command(argv: Sequence[str]) -> str:
    """Return a command line that runs a program as root after sudo has read the password from standard input."""
    # -k makes sudo read the password even where it remembers one; else the password would land in the program's input.
    return shlex.join(["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", "", "--", *argv])
