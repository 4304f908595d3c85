"""Connections by a real sshd on loopback, on a free port, with keys that live as long as the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from fleet.host_keys import known_hosts_text, scan
from fleet.inventory import Host, Jump, Pool, Ssh
from fleet.ssh import SshFleet
from generator.errors import HostError, LostHostError, WorkspaceError
from tests.fleet.small_tree import write_tree

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(SSHD).exists(), reason="needs root and an sshd (package openssh-server)"
)
POOL = Pool("workers", frozenset({"worker"}), (), "debian-12", "amd64", "1", {}, ())


class Server:
    """One sshd, which allows or forbids TCP forwarding."""

    def __init__(self, folder: Path, *, forwarding: bool = True) -> None:
        folder.mkdir(parents=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.key.write_private_key(str(folder / "host_key"))
        (folder / "host_key").chmod(0o600)
        user = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = folder / "user_key"
        user.write_private_key(str(self.user_key))
        self.user_key.chmod(0o600)
        (folder / "authorized").write_bytes(user.export_public_key())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\nAllowTcpForwarding {'yes' if forwarding else 'no'}\n"
        )
        self.process = subprocess.Popen([SSHD, "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)

    @property
    def known(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}"

    def host(self, name: str = "n1", jumps: tuple[Jump, ...] = ()) -> Host:
        return Host(name, POOL, "127.0.0.1", name, "", {}, Ssh("root", self.port, jumps), ())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server(tmp_path / "sshd")
    monkeypatch.setenv("SLIPWAY_SSH_KEY", str(one.user_key))
    yield one
    one.stop()


def known_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return path


def test_a_program_gets_its_input_and_answers_with_its_status(server: Server, tmp_path: Path) -> None:
    async def main() -> None:
        ssh = SshFleet("demo", known_file(tmp_path, server.known))
        connection = await ssh.connect(server.host())
        result = await connection.run(["sh", "-c", "cat; echo sorry >&2; exit 3"], b"\0words \xff")
        assert (result.exit, result.stdout, result.complaint) == (3, b"\0words \xff", "sorry")

        async def stream() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b"x" * 100_000

        counted = await connection.run(["wc", "-c"], stream())
        assert counted.text.strip() == "4000000"
        # A program that does not read its input is no reason to hang.
        assert (await connection.run(["true"], b"y" * 5_000_000)).exit == 0
        with pytest.raises(HostError, match="took longer than 1 s"):
            await connection.run(["sleep", "30"], timeout=1)
        await connection.close()
        await ssh.close()

    asyncio.run(main())


def test_an_unknown_key_says_how_to_know_it(server: Server, tmp_path: Path) -> None:
    ssh = SshFleet("demo", known_file(tmp_path, ""))
    with pytest.raises(HostError, match=r"demo/n1: ssh: the key of \[127.*is not known; run `invoke hosts.scan`"):
        asyncio.run(ssh.connect(server.host()))


def test_a_changed_key_is_told_from_an_unknown_one(server: Server, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    ssh = SshFleet("demo", known_file(tmp_path, f"[127.0.0.1]:{server.port} {other}"))
    with pytest.raises(
        HostError, match=r"is not the one in clusters/demo/known_hosts: the host was installed anew, or"
    ):
        asyncio.run(ssh.connect(server.host()))


def test_a_key_that_the_host_does_not_take_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    monkeypatch.setenv("SLIPWAY_SSH_KEY", str(stranger))
    ssh = SshFleet("demo", known_file(tmp_path, server.known))
    with pytest.raises(HostError, match=r"root@127\.0\.0\.1 accepts none of your keys"):
        asyncio.run(ssh.connect(server.host()))


def test_nobody_there_is_a_host_error(server: Server, tmp_path: Path) -> None:
    server.stop()
    ssh = SshFleet("demo", known_file(tmp_path, server.known))
    with pytest.raises(HostError, match="cannot be reached"):
        asyncio.run(ssh.connect(server.host()))


async def _echo_through(connection: object) -> bytes:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readline())
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        reader, writer = await connection.open_tcp("127.0.0.1", port)  # type: ignore[attr-defined]
        writer.write(b"you\n")
        await writer.drain()
        heard: bytes = await asyncio.wait_for(reader.read(100), 10)
        writer.close()
        return heard
    finally:
        listener.close()
        await listener.wait_closed()


def test_tcp_rides_on_the_connection_and_a_closed_port_is_refused(server: Server, tmp_path: Path) -> None:
    async def main() -> None:
        ssh = SshFleet("demo", known_file(tmp_path, server.known))
        connection = await ssh.connect(server.host())
        assert await _echo_through(connection) == b"heard you\n"
        with pytest.raises(ConnectionError):
            await connection.open_tcp("127.0.0.1", 1)
        await connection.close()

    asyncio.run(main())


def test_a_stream_ends_in_a_reset_when_the_connection_breaks(server: Server, tmp_path: Path) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        ssh = SshFleet("demo", known_file(tmp_path, server.known))
        connection = await ssh.connect(server.host())
        listener = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await connection.open_tcp("127.0.0.1", port)
        answer = asyncio.ensure_future(reader.read(100))
        await asyncio.sleep(0.2)
        for pid in _sessions(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectionResetError, match=f"127.0.0.1:{port}: the SSH connection broke"):
            await asyncio.wait_for(answer, 10)
        writer.close()
        await asyncio.sleep(0.1)
        listener.close()
        await connection.close()

    asyncio.run(main())


@pytest.mark.skipif(not (shutil.which("socat") or shutil.which("nc")), reason="needs socat or nc to relay")
def test_a_relay_takes_over_where_sshd_forbids_forwarding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path / "sshd", forwarding=False)
    monkeypatch.setenv("SLIPWAY_SSH_KEY", str(server.user_key))

    async def main() -> None:
        ssh = SshFleet("demo", known_file(tmp_path, server.known))
        connection = await ssh.connect(server.host())
        assert await _echo_through(connection) == b"heard you\n"
        await connection.close()

    try:
        asyncio.run(main())
    finally:
        server.stop()


def test_jump_hosts_are_entered_in_a_row_and_their_keys_are_checked(server: Server, tmp_path: Path) -> None:
    jump = Jump("127.0.0.1", server.port, "root")

    async def main(known: str, jumps: tuple[Jump, ...]) -> str:
        ssh = SshFleet("demo", known_file(tmp_path, known))
        try:
            first, second = await asyncio.gather(
                ssh.connect(server.host("n1", jumps)), ssh.connect(server.host("n2", jumps))
            )
            answer = await first.run(["sh", "-c", "echo $SSH_CONNECTION"])
            await first.close()
            await second.close()
            return answer.text
        finally:
            await ssh.close()

    assert asyncio.run(main(server.known, (jump, jump))).startswith("127.0.0.1 ")
    with pytest.raises(HostError, match="is not known"):
        asyncio.run(main("", (jump,)))


def test_scan_shows_fingerprints_and_writes_only_what_is_new(server: Server, tmp_path: Path) -> None:
    hosts = {"n1": {"pool": "workers", "address": "127.0.0.1", "ssh": {"port": server.port}}}
    tree = write_tree(tmp_path, hosts=hosts)
    path = tmp_path / "known"
    (new,) = asyncio.run(scan(tree, path))
    assert new.state == "new" and new.fingerprint == server.key.get_fingerprint()
    path.write_text("# kept\n" + known_hosts_text(path, [new]))
    (known,) = asyncio.run(scan(tree, path))
    assert known.state == "known"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    path.write_text(f"# kept\n[127.0.0.1]:{server.port} {other}\n10.9.9.9 {other}\n")
    (changed,) = asyncio.run(scan(tree, path))
    assert changed.state == "changed"
    text = known_hosts_text(path, [changed])
    assert text.startswith("# kept\n10.9.9.9 ") and changed.line in text and text.count(f":{server.port}") == 1
    assert known_hosts_text(path, [replace(changed, state="known")]).count("\n") == 3


def test_the_users_own_known_hosts_vouch_for_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SSH_KEY", str(server.user_key))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(server.known)
    with pytest.raises(HostError, match=r"is not known; run `invoke hosts\.scan`"):
        asyncio.run(SshFleet("demo", "").connect(server.host()))


def test_a_key_that_cannot_be_used_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(locked), passphrase="a passphrase")
    for path in (locked, tmp_path / "nowhere"):
        monkeypatch.setenv("SLIPWAY_SSH_KEY", str(path))
        with pytest.raises(WorkspaceError, match=f"SLIPWAY_SSH_KEY={path}: the key cannot be used"):
            asyncio.run(SshFleet("demo", server.known).connect(server.host()))


def test_a_machine_that_takes_a_connection_and_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SSH_CONNECT_SECONDS", "1")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        host = Host("n1", POOL, "127.0.0.1", "n1", "", {}, Ssh("root", mute.getsockname()[1], ()), ())
        with pytest.raises(HostError, match=r"cannot be reached \(no answer within 1 s\)"):
            asyncio.run(SshFleet("demo", "").connect(host))


def _sessions(listener: int) -> list[int]:
    """The processes of sshd that serve connections; what runs in a session is let be."""
    children = [int(one) for one in Path(f"/proc/{listener}/task/{listener}/children").read_text().split()]
    served = [one for one in children if Path(f"/proc/{one}/comm").read_text().startswith("sshd")]
    return served + [one for child in served for one in _sessions(child)]


@pytest.mark.parametrize(
    ("fault", "why"), [(signal.SIGKILL, "the connection broke"), (signal.SIGSTOP, "the host said nothing for 2 s")]
)
def test_a_connection_that_breaks_in_mid_program_is_told_and_the_next_one_works(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: signal.Signals, why: str
) -> None:
    monkeypatch.setenv("SLIPWAY_SSH_SILENT_SECONDS", "2")

    async def main() -> None:
        ssh = SshFleet("demo", known_file(tmp_path, server.known))
        connection = await ssh.connect(server.host())
        program = asyncio.create_task(connection.run(["sleep", "30"], timeout=30))
        await asyncio.sleep(1)
        sessions = _sessions(server.process.pid)
        assert sessions
        for pid in sessions:
            os.kill(pid, fault)
        try:
            with pytest.raises(LostHostError, match=why) as caught:
                await program
            assert caught.value.begun
            with pytest.raises(LostHostError) as caught:
                await connection.run(["true"])
            assert not caught.value.begun
        finally:
            for pid in sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        again = await ssh.connect(server.host())
        assert (await again.run(["true"])).exit == 0
        await again.close()
        await connection.close()

    asyncio.run(main())
