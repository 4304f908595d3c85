"""SSH to the virtual machines of a project: as its own user, with one key and one known_hosts, without root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

from fleet.ssh import SshConnection, SshFleet
from fleet.ssh_options import error_words
from generator.errors import WorkspaceError


class Machines(SshFleet):
    """Opens connections to virtual machines; `key` is a file without a passphrase, None for those of the agent."""

    no_key = "name the right one with --key, and write its public half into that user's ~/.ssh/authorized_keys there"
    no_way = "see that it is up, and that environments.<env>.hosts and --ssh-port name it rightly"

    def __init__(self, project: str, known_hosts: Path, key: Path | None, port: int = 22) -> None:
        if not known_hosts.is_file():
            raise WorkspaceError(
                f"{known_hosts}: no such file; without the hosts' keys nobody knows who answers, so write them there"
            )
        super().__init__(project, known_hosts)
        self._file = known_hosts
        self._port = port
        self._keys: list[asyncssh.SSHKeyPair] = []
        if key is not None:
            try:
                self._keys = list(asyncssh.load_keypairs([str(key)]))
            except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                raise WorkspaceError(
                    f"{key}: the key cannot be used ({error_words(error)}); name a readable one without a passphrase"
                ) from None

    def options(self) -> dict[str, Any]:
        """Return the options with which every connection is made: only the key that was named, where one was."""
        found = super().options()
        return {**found, "client_keys": self._keys, "agent_path": None} if self._keys else found

    def key_message(self, where: str, host: str, address: str, port: int) -> str:
        """Return what is wrong with the key of a host, and what to do."""
        name = address if port == 22 else f"[{address}]:{port}"
        return (
            f"{where}: ssh: the key that {name} shows is not in {self._file}; compare it with the host's own "
            f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), then write it into that file"
        )

    async def enter(self, host: str, user: str) -> SshConnection:
        """Return a connection that runs programs as the user it entered as; raises HostError where there is none."""
        where = f"{self._cluster}/{host}"
        return SshConnection(where, host, await self._open(where, host, host, self._port, user, ()), None)
