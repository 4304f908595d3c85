"""The operator's public key on hosts that know only a password: put there once, and proved by logging in with it alone.

The password is asked for once, only where some host needs it, goes to sshd inside the encrypted channel and nowhere
else, and is tried once on each host, so that nobody's account is locked. Host keys must be known, as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncssh

from fleet.connection import printable
from fleet.host_scripts import run_script
from fleet.operator_key import OperatorKey, key_pairs
from fleet.ssh import AT_ONCE, SshConnection, SshFleet
from fleet.ssh_options import SSH_ERRORS, error_words
from fleet.tree import Host, RenderedTree
from generator.errors import HostError

OPENS, WRITTEN, UNPROVED, WOULD, FAILED = "opens already", "authorized", "written, not proved", "would ask", "failed"
AskPassword = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went on one host: `state` is one of the words above, `detail` why and what to do where it failed."""

    host: str
    login: str
    state: str
    detail: str = ""


def authorize(
    tree: RenderedTree,
    ssh: SshFleet,
    names: Sequence[str],
    key: OperatorKey,
    ask: AskPassword,
    *,
    dry_run: bool = False,
) -> list[Outcome]:
    """Let a key open hosts, and return the outcome of each by name; a host that fails does not stop the others.

    `ask` is called once with a prompt, outside of the event loop, where a host does not open by the key alone. With
    `dry_run` nobody is asked and nothing is written.
    """
    run = _Run(tree.cluster, ssh, key)
    hosts = [tree.hosts[name] for name in names]
    first = asyncio.run(run.all(run.probed, hosts))
    closed = [host for host, outcome in zip(hosts, first, strict=True) if outcome is None]
    found = {outcome.host: outcome for outcome in first if outcome is not None}
    if closed and dry_run:
        detail = f"for the password, and write {key.path} into authorized_keys"
        found |= {host.name: Outcome(host.name, login(host), WOULD, detail) for host in closed}
    elif closed:
        users = sorted({host.ssh.user for host in closed})
        run.password = ask(f"password of {', '.join(users)} on {len(closed)} hosts of {tree.cluster}: ")
        found |= {one.host: one for one in asyncio.run(run.all(run.placed, closed)) if one is not None}
    return [found[name] for name in names]


def login(host: Host) -> str:
    """Return user and address of a host, as ssh writes them."""
    return f"{host.ssh.user}@{host.address}"


class _Run:
    def __init__(self, cluster: str, ssh: SshFleet, key: OperatorKey) -> None:
        self.cluster = cluster
        self.ssh = ssh
        self.key = key
        self.password = ""
        self.pairs: list[asyncssh.SSHKeyPair] = []

    async def all(self, work: Callable[[Host], Any], hosts: Sequence[Host]) -> list[Outcome | None]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(host: Host) -> Outcome | None:
            async with slots:
                try:
                    outcome: Outcome | None = await work(host)
                except HostError as error:
                    return Outcome(host.name, login(host), FAILED, str(error))
                return outcome

        async with key_pairs(self.key) as self.pairs:
            try:
                return list(await asyncio.gather(*(one(host) for host in hosts)))
            finally:
                await self.ssh.close()

    async def probed(self, host: Host) -> Outcome | None:
        """Return the outcome of a host that needs no password, None for one that does. Raises HostError."""
        return Outcome(host.name, login(host), OPENS) if await self._opens(host) else None

    async def placed(self, host: Host) -> Outcome:
        """Log in with the password, write the key, and prove it. Raises HostError."""
        asked = _PasswordOnce(self.password)
        connection = await self._connect(
            host,
            {"client_keys": None, "client_factory": lambda: asked, "preferred_auth": "password,keyboard-interactive"},
        )
        if connection is None:
            raise HostError(f"{self._where(host)}: ssh: {asked.reason(host)}", host.name)
        # As the login itself and not as root: the key is for this login.
        shell = SshConnection(self._where(host), host.name, connection, None)
        try:
            await run_script(shell, "authorize", stdin=f"{self.key.line}\n".encode())
        finally:
            await shell.close()
        if not self.pairs:
            return Outcome(host.name, login(host), UNPROVED, "the private half is neither here nor in the agent")
        if await self._opens(host):
            return Outcome(host.name, login(host), WRITTEN)
        raise HostError(
            f"{self._where(host)}: ssh: the key is in authorized_keys and does not open: sshd passes over the file "
            "where others may write the home folder, or reads another (AuthorizedKeysFile), or forbids keys or this "
            "user; its journal says which",
            host.name,
        )

    async def _opens(self, host: Host) -> bool:
        """Return whether the key alone opens a host; without its private half nothing can be said."""
        if not self.pairs:
            return False
        connection = await self._connect(
            host, {"client_keys": self.pairs, "agent_path": None, "preferred_auth": "publickey"}
        )
        if connection is None:
            return False
        connection.close()
        await connection.wait_closed()
        return True

    async def _connect(self, host: Host, more: dict[str, Any]) -> asyncssh.SSHClientConnection | None:
        """Return a connection, None where sshd does not let us in; raises HostError where we do not get that far."""
        where = self._where(host)
        tunnel = await self.ssh.tunnel(where, host.name, host.ssh.jumps) if host.ssh.jumps else None
        options = {**self.ssh.options(), **more}
        try:
            return await asyncssh.connect(host.address, host.ssh.port, username=host.ssh.user, tunnel=tunnel, **options)
        except asyncssh.HostKeyNotVerifiable:
            raise HostError(self.ssh.key_message(where, host.name, host.address, host.ssh.port), host.name) from None
        except asyncssh.PermissionDenied:
            return None
        except SSH_ERRORS as error:
            raise HostError(
                f"{where}: ssh: {host.address}:{host.ssh.port} cannot be reached ({error_words(error)}); check "
                "address, port and jump hosts",
                host.name,
            ) from None

    def _where(self, host: Host) -> str:
        return f"{self.cluster}/{host.name}"


class _PasswordOnce(asyncssh.SSHClient):
    """Gives the password once, to whichever of the two ways sshd asks for it, and remembers how it was asked."""

    def __init__(self, password: str) -> None:
        self._password: str | None = password
        self._asked = False
        self._expired = False
        self._strange = ""

    def _given(self) -> str | None:
        given, self._password = self._password, None
        self._asked = True
        return given

    def password_auth_requested(self) -> str | None:
        return self._given()

    def password_change_requested(self, prompt: str, lang: str) -> Any:
        self._expired = True
        return NotImplemented

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._password is not None else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        if not prompts:
            return []
        if len(prompts) != 1 or prompts[0][1] or self._password is None:
            self._strange = printable(" ".join(prompt.strip() for prompt, _ in prompts))[:80]
            return None
        return [self._given() or ""]

    def reason(self, host: Host) -> str:
        """Return why sshd did not let us in, and what to do."""
        who = f"{host.ssh.user}@{host.address}"
        if self._expired:
            return f"the password of {who} has expired; log in once by hand and change it"
        if self._strange:
            return f"sshd asks {who} for more than a password ({self._strange}); put the key there by hand"
        if not self._asked:
            return (
                f"sshd takes no password from {who}; put the key there by the console, or allow passwords for a while"
            )
        root = ", or sshd keeps root from using one (PermitRootLogin)" if host.ssh.user == "root" else ""
        return f"the password of {who} is refused{root}; it was tried once"
