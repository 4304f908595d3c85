"""What fleet can do with one host: run a program as root, and open a TCP connection as the host sees it.

Everything above this module speaks to the protocol `Connection`; `fleet.ssh` fills it with asyncssh, tests with a fake.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.tls import ByteReader, ByteWriter

_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(0x7F, 0xA0)) if code not in (9, 10)}
Input = bytes | AsyncIterable[bytes]
CAUSES = {
    "No space left on device": "make room there and run the same command again",
    "Disk quota exceeded": "make room there and run the same command again",
    "Read-only file system": "see why in the host's `dmesg`, mount it writable and run the same command again",
    "Input/output error": "its disk may be failing: see the host's `dmesg`",
    "Structure needs cleaning": "the file system is damaged: see the host's `dmesg`",
}
"""What strerror(3) says in the C locale about a disk that cannot be written, and what is to be done then."""


def printable(text: str) -> str:
    """Return what a host said without the characters by which it could steer a terminal; tabs and lines stay."""
    return text.translate(_CONTROLS)


@dataclass(frozen=True, slots=True)
class Result:
    """What a program on a host answered."""

    exit: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are no UTF-8 are shown, never an error."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def complaint(self) -> str:
        """The last line of standard error that says something, for a message."""
        return next((line for line in reversed(self._lines) if line), f"exit status {self.exit}")

    @property
    def cause(self) -> str:
        """The system's own word for what failed, such as "Read-only file system"; "" where standard error has none."""
        return next((cause for line in self._lines for cause in CAUSES if cause in line), "")

    @property
    def _lines(self) -> list[str]:
        return [printable(line.strip()) for line in self.stderr.decode("utf-8", "backslashreplace").splitlines()]


class Connection(Protocol):
    """One host that answered and whose key is known."""

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        ...

    @property
    def where(self) -> str:
        """Cluster and host, as messages begin: "prod/cp-1"."""
        ...

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        """Run a program as root, feed it `stdin` and return its answer, whatever its exit status.

        Raises HostError where the connection breaks, sudo refuses or the program takes longer than `timeout` seconds.
        """
        ...

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """Open a TCP connection from the host to an address as the host sees it.

        Raises ConnectionError where nobody listens there, HostError where the host cannot relay at all.
        """
        ...

    async def close(self) -> None:
        """Close the connection; twice does no harm."""
        ...
