"""The operator's key on hosts that know a password: real SSH on loopback, the login's home a scratch folder."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleet.authorize import FAILED, OPENS, UNPROVED, WOULD, WRITTEN, Outcome, authorize
from fleet.inventory import Host, Jump, Pool, Ssh
from fleet.operator_key import operator_key
from fleet.ssh import SshFleet
from generator.errors import WorkspaceError

PASSWORD = "pass word'\"$x"
POOL = Pool("workers", frozenset({"worker"}), (), "debian-12", "amd64", "1", {}, ())


class Auth(asyncssh.SSHServer):
    """Lets in by authorized_keys, and by the password in the ways that the host offers."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self.connection = connection

    def begin_auth(self, username: str) -> bool:
        file = self.server.home / ".ssh" / "authorized_keys"
        if file.exists() and self.server.reads_keys:
            self.connection.set_authorized_keys(asyncssh.read_authorized_keys([str(file)]))
        return True

    def password_auth_supported(self) -> bool:
        return "password" in self.server.ways

    def validate_password(self, username: str, password: str) -> bool:
        self.server.tried.append(password)
        if self.server.expired:
            raise asyncssh.PasswordChangeRequired("too old")
        return password == PASSWORD

    def kbdint_auth_supported(self) -> bool:
        return "keyboard" in self.server.ways

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", self.server.prompts

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        self.server.tried += list(responses)
        # PAM closes with a question without prompts.
        return ("", "", "", []) if list(responses) == [PASSWORD] else list(responses) == []


class Server:
    """One SSH server; programs run here, as the user of the test, with the scratch folder as home."""

    def __init__(self, home: Path, loop: asyncio.AbstractEventLoop) -> None:
        home.mkdir()
        self.home = home
        self.ways = {"password"}
        self.prompts: list[tuple[str, bool]] = [("Password: ", False)]
        self.expired = False
        self.reads_keys = True
        self.tried: list[str] = []
        self.commands: list[str] = []
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.listener = asyncio.run_coroutine_threadsafe(self.listen(), loop).result()
        self.port = self.listener.get_port()

    async def listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: Auth(self), "127.0.0.1", 0, server_host_keys=[self.key], process_factory=self.program, encoding=None
        )

    async def end(self) -> None:
        self.listener.close()
        await self.listener.wait_closed()

    async def program(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert process.command is not None
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_shell(
            process.command, stdin=-1, stdout=-1, stderr=-1, env={"PATH": os.environ["PATH"], "HOME": str(self.home)}
        )
        out, err = await child.communicate(await process.stdin.read())
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(child.returncode or 0)

    @property
    def known(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}"

    @property
    def keys(self) -> Path:
        return self.home / ".ssh" / "authorized_keys"


class Place:
    """Some servers as hosts of one cluster, and a key of the operator."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.folder = folder
        self.servers = {name: Server(folder / name, loop) for name in ("n1", "n2")}
        self.private = folder / "id"
        key = asyncssh.generate_private_key("ssh-ed25519", "op@desk")
        key.write_private_key(str(self.private))
        key.write_public_key(f"{self.private}.pub")
        self.asked: list[str] = []
        self.password = PASSWORD
        self.known = "\n".join(server.known for server in self.servers.values())
        self.jumps: tuple[Jump, ...] = ()

    def ask(self, prompt: str) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        self.asked.append(prompt)
        return self.password

    def run(self, *names: str, dry_run: bool = False) -> dict[str, Outcome]:
        hosts = {
            name: Host(name, POOL, "127.0.0.1", name, "", {}, Ssh("ops", server.port, self.jumps), ())
            for name, server in self.servers.items()
        }

        class Tree:
            cluster = "demo"

        tree: Any = Tree()
        tree.hosts = hosts
        key = operator_key(f"{self.private}.pub")
        ssh = SshFleet("demo", self.known)
        return {one.host: one for one in authorize(tree, ssh, names or tuple(hosts), key, self.ask, dry_run=dry_run)}

    def states(self, *names: str, dry_run: bool = False) -> dict[str, str]:
        return {name: one.state for name, one in self.run(*names, dry_run=dry_run).items()}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    one = asyncio.new_event_loop()
    thread = threading.Thread(target=one.run_forever, daemon=True)
    thread.start()
    yield one
    one.call_soon_threadsafe(one.stop)
    thread.join()
    one.close()


@pytest.fixture
def place(tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("SLIPWAY_SSH_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    one = Place(tmp_path, loop)
    yield one
    for server in one.servers.values():
        asyncio.run_coroutine_threadsafe(server.end(), loop).result()


def test_the_key_goes_to_all_is_proved_and_the_password_asked_for_once(place: Place) -> None:
    assert place.states() == {"n1": WRITTEN, "n2": WRITTEN}
    assert place.asked == ["password of ops on 2 hosts of demo: "]
    for server in place.servers.values():
        assert server.keys.read_text() == Path(f"{place.private}.pub").read_text()
        assert (server.keys.stat().st_mode & 0o777, server.keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert server.tried == [PASSWORD]
        assert not any(PASSWORD in command for command in server.commands)
        assert [path.name for path in server.keys.parent.iterdir()] == ["authorized_keys"]


def test_where_the_key_opens_nothing_is_done_and_nobody_asked(place: Place) -> None:
    place.run("n1")
    before = place.servers["n1"].keys.stat().st_mtime_ns
    place.asked.clear()
    assert place.states() == {"n1": OPENS, "n2": WRITTEN}
    assert place.asked == ["password of ops on 1 hosts of demo: "]
    assert place.states() == {"n1": OPENS, "n2": OPENS}
    assert len(place.asked) == 1
    assert place.servers["n1"].keys.stat().st_mtime_ns == before


def test_a_dry_run_asks_nobody_and_writes_nothing(place: Place) -> None:
    place.run("n1")
    place.asked.clear()
    assert place.states(dry_run=True) == {"n1": OPENS, "n2": WOULD}
    assert place.asked == [] and not place.servers["n2"].keys.exists()


@pytest.mark.parametrize("ways", [{"keyboard"}, {"keyboard", "password"}])
def test_servers_that_ask_by_keyboard_are_answered(place: Place, ways: set[str]) -> None:
    place.servers["n1"].ways = ways
    assert place.states("n1") == {"n1": WRITTEN}
    assert place.servers["n1"].tried.count(PASSWORD) == 1


@pytest.mark.parametrize("ways", [{"keyboard"}, {"password"}, {"keyboard", "password"}])
def test_a_wrong_password_is_tried_once_named_and_not_shown(place: Place, ways: set[str]) -> None:
    place.servers["n1"].ways = ways
    place.password = "not-this-one"
    outcomes = place.run()
    assert outcomes["n1"].state == outcomes["n2"].state == FAILED
    assert outcomes["n1"].detail == "demo/n1: ssh: the password of ops@127.0.0.1 is refused; it was tried once"
    assert place.servers["n1"].tried == ["not-this-one"]
    assert "not-this-one" not in str(outcomes)


def _no_passwords(server: Server) -> None:
    server.ways = set()


def _second_factor(server: Server) -> None:
    server.ways, server.prompts = {"keyboard"}, [("Password: ", False), ("One-time code: ", True)]


def _expired(server: Server) -> None:
    server.expired = True


def _blind(server: Server) -> None:
    server.reads_keys = False


def _no_home(server: Server) -> None:
    server.home.rmdir()


def _restricted(server: Server) -> None:
    server.keys.parent.mkdir()
    key = (server.home.parent / "id.pub").read_text()
    server.keys.write_text(f'# ours\ncommand="/bin/false" {key}')
    server.reads_keys = False


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_no_passwords, "sshd takes no password from ops@127.0.0.1; put the key there by the console"),
        (_second_factor, "sshd asks ops@127.0.0.1 for more than a password (Password: One-time code:)"),
        (_expired, "the password of ops@127.0.0.1 has expired; log in once by hand"),
        (_blind, "the key is in authorized_keys and does not open: sshd passes over the file"),
        (_no_home, "the login has no home folder"),
        (_restricted, "names this key with options, and sshd goes by that line; take the line out"),
    ],
)
def test_what_stands_in_the_way_is_named_and_the_others_go_on(
    place: Place, fault: Callable[[Server], None], words: str
) -> None:
    fault(place.servers["n1"])
    outcomes = place.run()
    assert (outcomes["n1"].state, outcomes["n2"].state) == (FAILED, WRITTEN)
    assert words in outcomes["n1"].detail
    assert PASSWORD not in outcomes["n1"].detail


def test_an_unknown_or_changed_host_key_ends_it_before_the_password(place: Place) -> None:
    place.known = place.servers["n2"].known
    outcomes = place.run()
    assert outcomes["n1"].state == FAILED
    assert "is not known; run `invoke hosts.scan`" in outcomes["n1"].detail
    place.known += f"\n[127.0.0.1]:{place.servers['n1'].port} {place.servers['n2'].key.export_public_key().decode()}"
    assert "is not the one in clusters/demo/known_hosts" in place.run()["n1"].detail
    assert place.servers["n1"].tried == []


def test_a_jump_host_that_does_not_know_the_key_is_named(place: Place) -> None:
    place.jumps = (Jump("127.0.0.1", place.servers["n2"].port, "ops"),)
    outcome = place.run("n1")["n1"]
    assert (outcome.state, place.asked) == (FAILED, [])
    assert "ops@127.0.0.1 accepts none of your keys" in outcome.detail


def test_what_is_there_is_kept(place: Place) -> None:
    server = place.servers["n1"]
    server.keys.parent.mkdir(mode=0o755)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    text = f"# of the team\n\n{other} bob\nno-pty {other[:-2]}xx carol"
    server.keys.write_text(text)
    server.keys.chmod(0o644)
    assert place.states("n1") == {"n1": WRITTEN}
    assert server.keys.read_text() == f"{text}\n{Path(f'{place.private}.pub').read_text()}"
    assert (server.keys.stat().st_mode & 0o777, server.keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_link_is_followed(place: Place) -> None:
    server = place.servers["n1"]
    server.keys.parent.mkdir()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (server.home / "elsewhere").write_text(other)
    server.keys.symlink_to(server.home / "elsewhere")
    outcome = place.run("n1")["n1"]
    assert outcome.state == WRITTEN, outcome.detail
    assert server.keys.is_symlink() and (server.home / "elsewhere").read_text().startswith(f"{other}ssh-ed25519 ")


def test_a_colleagues_key_is_written_and_said_to_be_unproved(place: Place) -> None:
    place.private.unlink()
    assert place.states("n1") == {"n1": UNPROVED}
    written = place.servers["n1"].keys.read_text()
    assert place.states("n1") == {"n1": UNPROVED}
    assert place.servers["n1"].keys.read_text() == written


def test_a_key_in_the_agent_proves_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = place.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while not socket.exists():
            pass
        place.private.chmod(0o600)
        subprocess.run(["ssh-add", "-q", str(place.private)], check=True)
        place.private.unlink()
        assert place.states("n1") == {"n1": WRITTEN}
        assert place.states("n1") == {"n1": OPENS}
    finally:
        agent.terminate()
        agent.wait()


# --- which key ------------------------------------------------------------------------------------------------------


def test_the_key_is_the_named_one_the_variables_or_the_first_at_home(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    made = {}
    for name, path in (("rsa", ".ssh/id_rsa"), ("ed", ".ssh/id_ed25519"), ("own", "own"), ("named", "named")):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_public_key(str(tmp_path / f"{path}.pub"))
        made[name] = key.get_fingerprint("sha256")
    environ = {"SLIPWAY_SSH_KEY": str(tmp_path / "own")}
    assert operator_key(str(tmp_path / "named.pub"), environ, tmp_path).fingerprint == made["named"]
    assert operator_key(None, environ, tmp_path).fingerprint == made["own"]
    assert operator_key(None, {}, tmp_path).fingerprint == made["ed"]
    with pytest.raises(WorkspaceError, match="no public key: SLIPWAY_SSH_KEY is not set"):
        operator_key(None, {}, tmp_path / "nobody")


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "words", "\x00\xff"])
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "id.pub").write_text(text)
    with pytest.raises(WorkspaceError, match=r"id\.pub: this is not one public key"):
        operator_key(str(tmp_path / "id.pub"), {}, tmp_path)


def test_two_keys_and_a_private_one_are_refused(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "two.pub").write_bytes(key.export_public_key() * 2)
    with pytest.raises(WorkspaceError, match="not one public key"):
        operator_key(str(tmp_path / "two.pub"))
    key.write_private_key(str(tmp_path / "id"))
    with pytest.raises(WorkspaceError, match="this is a private key, which stays where it is") as raised:
        operator_key(str(tmp_path / "id"))
    assert (tmp_path / "id").read_text().splitlines()[1] not in str(raised.value)
    with pytest.raises(WorkspaceError, match=r"none\.pub: the public key cannot be read"):
        operator_key(str(tmp_path / "none.pub"))
