"""SSH host keys: read from the hosts, compared with known_hosts, and the file's next text. Nothing is trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fleet.options import selected
from fleet.ssh import AT_ONCE, SshFleet
from fleet.ssh_options import connect_seconds, error_words
from fleet.tree import Jump, RenderedTree
from generator.errors import HostError

_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")


@dataclass(frozen=True, slots=True)
class ScannedKey:
    """One host key as the host showed it.

    `address` as known_hosts names it, `state`: known, new, or changed (known_hosts has another key for the address).
    """

    host: str
    address: str
    kind: str
    fingerprint: str
    line: str
    state: str


async def scan(tree: RenderedTree, known_hosts: Path, limit: Iterable[str] = ()) -> list[ScannedKey]:
    """Return the keys of the hosts, jump hosts first in the order of travel, then hosts by name.

    A jump host's key counts as known while the hosts behind it are read; it is reported like any other and the whole
    list is for the operator to compare. Raises HostError for an address that does not answer.
    """
    names = selected(tree, limit)
    text = known_hosts.read_text("utf-8", "replace") if known_hosts.is_file() else ""
    found: dict[str, ScannedKey] = {}
    chains = sorted(
        {
            tree.hosts[name].ssh.jumps[: length + 1]
            for name in names
            for length in range(len(tree.hosts[name].ssh.jumps))
        },
        key=len,
    )
    for chain in chains:
        last = chain[-1]
        key = await _scanned(
            tree.cluster,
            f"jump {last.address}",
            last.address,
            last.port,
            chain[:-1],
            text,
            _lines(text, found.values()),
        )
        found.setdefault(key.address, key)
    known = _lines(text, found.values())
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> ScannedKey:
        host = tree.hosts[name]
        async with slots:
            return await _scanned(tree.cluster, name, host.address, host.ssh.port, host.ssh.jumps, text, known)

    hosts = await asyncio.gather(*(one(name) for name in names))
    return [*found.values(), *(key for key in hosts if key.address not in found)]


def known_hosts_text(known_hosts: Path, found: Sequence[ScannedKey]) -> str:
    """Return the next text of known_hosts: without the addresses whose key changed, plus what is new; sorted."""
    changed = {key.address for key in found if key.state == "changed"}
    old = known_hosts.read_text("utf-8", "replace").splitlines() if known_hosts.is_file() else []
    kept = [
        line
        for line in old
        if line.strip() and (line.startswith("#") or not changed & set(line.split(" ", 1)[0].split(",")))
    ]
    lines = {line for line in kept if not line.startswith("#")} | {key.line for key in found if key.state != "known"}
    return "\n".join([*(line for line in kept if line.startswith("#")), *sorted(lines)]) + "\n"


async def _scanned(
    cluster: str, host: str, address: str, port: int, jumps: tuple[Jump, ...], text: str, known: str
) -> ScannedKey:
    ssh = SshFleet(cluster, known)
    try:
        tunnel = await ssh.tunnel(f"{cluster}/{host}", host, jumps) if jumps else None
        async with asyncio.timeout(connect_seconds()):
            key = await asyncssh.get_server_host_key(
                address, port, tunnel=tunnel, config=None, server_host_key_algs=_KINDS
            )
    except (OSError, asyncssh.Error, TimeoutError) as error:
        reason = error_words(error)
        raise HostError(
            f"{cluster}/{host}: ssh: {address}:{port} cannot be reached ({reason}); check address, port and jump hosts",
            host,
        ) from None
    finally:
        await ssh.close()
    if key is None:
        raise HostError(
            f"{cluster}/{host}: ssh: {address}:{port} shows no host key; check that an SSH server listens there", host
        )
    public = key.export_public_key("openssh").decode("ascii").split()
    name = address if port == 22 else f"[{address}]:{port}"
    recorded = [found for group in asyncssh.import_known_hosts(text).match(address, "", port)[:2] for found in group]
    same = any(found.public_data == key.public_data for found in recorded)
    state = "known" if same else "changed" if recorded else "new"
    return ScannedKey(host, name, public[0], key.get_fingerprint("sha256"), f"{name} {public[0]} {public[1]}", state)


def _lines(text: str, found: Iterable[ScannedKey]) -> str:
    return "\n".join([text, *(key.line for key in found)])
