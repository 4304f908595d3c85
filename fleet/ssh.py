"""SSH connections to hosts (asyncssh): keys known beforehand, jump hosts, root by sudo, TCP through the channel.

Host keys come from clusters/<c>/known_hosts and nowhere else; the user's keys from the agent and ~/.ssh, or from the
file that SLIPWAY_SSH_KEY names (fleet.ssh_options, with the time that a host is given). The user's own ~/.ssh/config is
not read: what the spec says is all there is.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import asyncssh

from fleet.connection import Input, Result
from fleet.ssh_options import SSH_ERRORS, connect_seconds, connection_options, error_words
from fleet.ssh_reader import ChannelReader
from fleet.sudo import AskPassword, SudoPassword, sudo_command
from fleet.tls import ByteReader, ByteWriter
from fleet.tree import Host, Jump
from generator.errors import HostError, LostHostError

AT_ONCE = 50
_RELAYS = ("socat - TCP:{address}:{port}", "nc {plain} {port}")


class SshFleet:
    """Opens connections to the hosts of one cluster, at most `AT_ONCE` handshakes at a time; jump hosts are shared.

    `ask_password` is called once, with a prompt, when sudo on a host wants a password; without it such a host is an
    error.
    """

    def __init__(self, cluster: str, known_hosts: Path | str, ask_password: AskPassword | None = None) -> None:
        self._cluster = cluster
        if isinstance(known_hosts, Path):
            # A line with other bytes than text names no host, and is no reason for a traceback.
            known_hosts = known_hosts.read_text("utf-8", "replace") if known_hosts.is_file() else ""
        self._known = known_hosts
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()
        self.sudo = SudoPassword(ask_password)

    @property
    def _shared(self) -> _Shared:
        # A verb may run twice, first to ask the operator and then to act; nothing outlives its event loop.
        return self._by_loop.setdefault(asyncio.get_running_loop(), _Shared())

    async def connect(self, host: Host) -> SshConnection:
        """Return a connection to a host; raises HostError that says what to do where there is none."""
        async with self._shared.slots:
            where = f"{self._cluster}/{host.name}"
            connection = await self._open(where, host.name, host.address, host.ssh.port, host.ssh.user, host.ssh.jumps)
        return SshConnection(where, host.name, connection, self.sudo if host.ssh.user != "root" else None)

    async def _open(
        self, where: str, name: str, address: str, port: int, user: str, jumps: tuple[Jump, ...]
    ) -> asyncssh.SSHClientConnection:
        tunnel = await self.tunnel(where, name, jumps) if jumps else None
        try:
            return await _entered(address, port, username=user, tunnel=tunnel, **self.options())
        except asyncssh.HostKeyNotVerifiable:
            raise HostError(self.key_message(where, name, address, port), name) from None
        except asyncssh.PermissionDenied:
            raise HostError(
                f"{where}: ssh: {user}@{address} accepts none of your keys; load the key into the agent or "
                f"name it in SLIPWAY_SSH_KEY",
                name,
            ) from None
        except SSH_ERRORS as error:
            raise HostError(
                f"{where}: ssh: {address}:{port} cannot be reached ({error_words(error)}); check address, port "
                f"and jump hosts, or use --skip-unreachable",
                name,
            ) from None

    async def tunnel(self, where: str, name: str, jumps: tuple[Jump, ...]) -> asyncssh.SSHClientConnection:
        """Return the connection to the last of some jump hosts, entered one through the other; raises HostError."""
        shared = self._shared
        task = shared.jumps.get(jumps)
        if task is None or _ended(task):
            last = jumps[-1]
            task = asyncio.ensure_future(self._open(where, name, last.address, last.port, last.user, jumps[:-1]))
            shared.jumps[jumps] = task
        return await asyncio.shield(task)

    def options(self) -> dict[str, Any]:
        """Return the options with which every connection is made."""
        return connection_options(self._known)

    def key_message(self, where: str, host: str, address: str, port: int) -> str:
        """Return what is wrong with the host key of an address: not known, or not the known one; and what to do."""
        known = asyncssh.import_known_hosts(self._known)
        name = address if port == 22 else f"[{address}]:{port}"
        recorded = any(known.match(address, "", port)[:2])
        file = f"clusters/{self._cluster}/known_hosts"
        if recorded:
            return (
                f"{where}: ssh: the key of {name} is not the one in {file}: the host was installed anew, or "
                f"somebody stands between; "
                f"find out which, then `invoke hosts.scan --limit {host}` and review the change"
            )
        unknown = f"{where}: ssh: the key of {name} is not known"
        return f"{unknown}; run `invoke hosts.scan`, compare the fingerprint, commit {file}"

    async def close(self) -> None:
        """Close the jump hosts; connections to hosts are closed by those who opened them."""
        for task in self._shared.jumps.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().close()
            else:
                task.cancel()


class _Client(asyncssh.SSHClient):
    """Remembers the connection that is being made."""

    connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn


async def _entered(address: str, port: int, **options: Any) -> asyncssh.SSHClientConnection:
    """Connect and log in; a connection that comes to nothing is closed, which asyncssh leaves to chance."""
    client = _Client()
    try:
        return await asyncssh.connect(address, port, client_factory=lambda: client, **options)
    except BaseException:
        if client.connection is not None:
            client.connection.abort()
        raise


def _ended(jump: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    return jump.done() and (jump.cancelled() or jump.exception() is not None or jump.result().is_closed())


@dataclass
class _Shared:
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    jumps: dict[tuple[Jump, ...], asyncio.Task[asyncssh.SSHClientConnection]] = field(default_factory=dict)


class SshConnection:
    """One host by SSH; fills the protocol `Connection`."""

    def __init__(
        self, where: str, host: str, connection: asyncssh.SSHClientConnection, sudo: SudoPassword | None
    ) -> None:
        self._where = where
        self._host = host
        self._connection = connection
        self._sudo = sudo
        self._with_password: bool | None = None

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    @property
    def where(self) -> str:
        """Cluster and host."""
        return self._where

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        """Run a program as root; see `Connection.run`."""
        if self._sudo is None:
            return await self._command(shlex.join(argv), stdin, timeout)
        if self._with_password is None:
            probe = await self._command("env LC_ALL=C sudo -n true", b"", timeout)
            self._with_password = probe.exit != 0
            if self._with_password:
                if b"password" not in probe.stderr and b"terminal" not in probe.stderr:
                    raise HostError(f"{self._where}: sudo: {probe.complaint}; this user needs sudo to root", self._host)
                answer = await self._command(
                    sudo_command(["true"]), await self._sudo.value(self._where, self._host), timeout
                )
                if answer.exit != 0:
                    raise HostError(
                        f"{self._where}: sudo: the password is refused ({answer.complaint}); try again", self._host
                    )
        if not self._with_password:
            return await self._command(shlex.join(["sudo", "-n", "--", *argv]), stdin, timeout)
        return await self._command(
            sudo_command(argv), _after(await self._sudo.value(self._where, self._host), stdin), timeout
        )

    async def _command(self, command: str, stdin: Input, timeout: float) -> Result:
        begun = False
        try:
            async with asyncio.timeout(timeout) as limit:
                process = await self._connection.create_process(command, encoding=None)
                begun = True
                feeder = asyncio.ensure_future(_feed(process.stdin, stdin))
                try:
                    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
                    await process.wait_closed()
                finally:
                    feeder.cancel()
                    # Not awaited: a host that hangs would not answer this either.
                    process.close()
                status = process.exit_status
        except SSH_ERRORS as error:
            if limit.expired():
                raise HostError(
                    f"{self._where}: a program took longer than {timeout:.0f} s; look at the host", self._host
                ) from None
            raise self._lost(error_words(error), begun=begun) from None
        if status is None:
            raise self._lost("sshd there ended or was killed", begun=True)
        return Result(status, out, err)

    def _lost(self, why: str, *, begun: bool) -> LostHostError:
        text = f"{self._where}: ssh: the connection broke ({why}); run the same command again"
        return LostHostError(text, self._host, begun=begun)

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """Open a TCP connection as the host sees it; where sshd forbids forwarding, socat or nc on the host relays."""
        try:
            async with asyncio.timeout(connect_seconds()):
                reader, writer = await self._connection.open_connection(address, port, encoding=None)
                return ChannelReader(reader, f"{address}:{port}"), writer
        except asyncssh.ChannelOpenError as error:
            if self._connection.is_closed():
                raise self._lost(error_words(error), begun=False) from None
            if error.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                raise ConnectionRefusedError(f"{address}:{port}: {error.reason}") from None
        except TimeoutError:
            raise ConnectionError(f"{address}:{port}: no answer") from None
        except SSH_ERRORS as error:
            raise self._lost(error_words(error), begun=False) from None
        return await self._relay(address, port)

    async def _relay(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        bracketed = f"[{address}]" if ":" in address else address
        for relay in _RELAYS:
            words = relay.format(address=bracketed, plain=address, port=port)
            known = f"sh -c {shlex.quote('command -v ' + words.split()[0])}"
            if (await self._command(known, b"", connect_seconds())).exit == 0:
                try:
                    process = await self._connection.create_process(words, encoding=None)
                except SSH_ERRORS as error:
                    raise self._lost(error_words(error), begun=False) from None
                return ChannelReader(process.stdout, f"{address}:{port}"), process.stdin
        raise HostError(
            f"{self._where}: ssh: sshd forbids TCP forwarding, and neither socat nor nc is there to relay; "
            f"allow one of them",
            self._host,
        )

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        try:
            async with asyncio.timeout(5):
                await self._connection.wait_closed()
        except SSH_ERRORS:
            self._connection.abort()


async def _feed(writer: asyncssh.SSHWriter[bytes], stdin: Input) -> None:
    try:
        if isinstance(stdin, bytes):
            writer.write(stdin)
        else:
            async for chunk in stdin:
                writer.write(chunk)
                await writer.drain()
        await writer.drain()
        writer.write_eof()
    except (OSError, asyncssh.Error):
        # The program ended before it had read everything; its exit status and words say why.
        return


def _after(first: bytes, rest: Input) -> Input:
    if isinstance(rest, bytes):
        return first + rest
    return _chain(first, rest)


async def _chain(first: bytes, rest: AsyncIterator[bytes] | Any) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
