"""The reading half of a TCP connection inside an SSH connection, with errors that callers of sockets know."""

from __future__ import annotations

import asyncssh

from fleet.ssh_options import error_words


class ChannelReader:
    """Reads from a channel; where the SSH connection breaks meanwhile, that is a ConnectionResetError.

    asyncssh raises errors of its own, which no caller of a stream expects: a killed sshd would end in a traceback.
    """

    def __init__(self, reader: asyncssh.SSHReader[bytes], where: str) -> None:
        self._reader = reader
        self._where = where

    async def read(self, n: int = -1, /) -> bytes:
        """Return up to n bytes, b"" at the end of the stream; raises ConnectionResetError."""
        try:
            return await self._reader.read(n)
        except asyncssh.Error as error:
            raise ConnectionResetError(f"{self._where}: the SSH connection broke ({error_words(error)})") from None
