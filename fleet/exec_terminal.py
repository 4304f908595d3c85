"""A program in a pod at the operator's terminal: raw keys go in, output comes back, and the size follows the window.

The size goes as JSON on the stream for it
(https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/client-go/tools/remotecommand/v3.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import struct
import termios
import tty
from collections.abc import Iterator, Sequence

from fleet.channel import Channel
from fleet.exec_stream import RESIZE, STDIN, Exchange, Say, exec_path
from generator.errors import ApiError

_AT_ONCE = 4096


async def exec_at_terminal(
    channel: Channel, namespace: str, pod: str, argv: Sequence[str], *, container: str, stdin: int, stdout: int
) -> int:
    """Run a program with a terminal in a container and return its exit status; both files are ends of a terminal.

    The terminal is given back as it was, however the program ends. Raises ApiError as `exec_in_pod` does.
    """
    about = f"{channel.cluster}: kube-apiserver: exec in pod {namespace}/{pod}"
    path = exec_path(namespace, pod, argv, container, "stdout", "stdin", "tty")
    terminal = _Terminal(stdin, stdout)
    stream = await channel.open_stream()
    try:
        with _raw(stdin):
            result = await Exchange(stream, about, output=terminal.show, begun=terminal.begin).run(path)
    finally:
        terminal.end()
        stream.tls.close()
    return result.exit


def size_of(file: int) -> bytes | None:
    """Return the size of a terminal as the stream for it takes it, None for one that does not know its own."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(file, termios.TIOCGWINSZ, bytes(8)))
    return json.dumps({"Width": columns, "Height": rows}).encode() if rows and columns else None


class _Terminal:
    """What goes between a terminal and the program. One task sends, so that keys keep their order."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._waiting: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None

    def show(self, stream: int, data: bytes) -> None:
        while data:
            data = data[os.write(self._stdout, data) :]

    def begin(self, say: Say) -> None:
        loop = asyncio.get_running_loop()
        self._resized()
        loop.add_reader(self._stdin, self._typed)
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._sender = asyncio.ensure_future(self._send(say))

    def end(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._stdin)
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(signal.SIGWINCH)
        if self._sender is not None:
            self._sender.cancel()

    def _typed(self) -> None:
        try:
            data = os.read(self._stdin, _AT_ONCE)
        except OSError:
            data = b""
        if not data:
            # The terminal is gone; the program learns of it by the end that a terminal gives it.
            asyncio.get_running_loop().remove_reader(self._stdin)
            data = b"\x04"
        self._waiting.put_nowait((STDIN, data))

    def _resized(self) -> None:
        size = size_of(self._stdout)
        if size is not None:
            self._waiting.put_nowait((RESIZE, size))

    async def _send(self, say: Say) -> None:
        # A connection that breaks is told by whoever reads from it.
        with contextlib.suppress(OSError, ApiError):
            while True:
                await say(*await self._waiting.get())


@contextlib.contextmanager
def _raw(file: int) -> Iterator[None]:
    """Hand every key on as it is typed, Ctrl-C among them, and put the terminal back at the end."""
    before = termios.tcgetattr(file)
    try:
        tty.setraw(file)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)
