"""What one host says of itself when it is asked how it is: units since when, listeners, certificates."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePosixPath

from cryptography import x509

from fleet.host_scripts import Lines
from fleet.state import HostState
from fleet.status.backup import Backup, backup_folder, failure_from, good_from
from fleet.status.listening import Listening, listening_from
from fleet.tree import Host, RenderedTree
from fleet.unit_show import shown_blocks
from generator.errors import HostError

_PEM = b"-----BEGIN CERTIFICATE-----"
_SERVING = "kubelet-server-current.pem"
"""The kubelet's own name for its serving certificate, beside its client certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it lies on a host. `rotates`: the kubelet itself renews it long before its end."""

    subject: str
    begins: datetime
    ends: datetime
    rotates: bool

    @property
    def lifetime(self) -> float:
        """Its whole life in seconds."""
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host. `seconds` says for each unit how long it has been up, or down; missing where systemd does not tell.

    `unreadable` are paths at which there is something else than a certificate; `absent` those with nothing. `backup` is
    None where the host makes no backups of etcd.
    """

    state: HostState
    seconds: Mapping[str, float] = field(default_factory=dict)
    listening: tuple[Listening, ...] = ()
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    backup: Backup | None = None


def certificate_paths(tree: RenderedTree, host: Host) -> tuple[str, ...]:
    """Return where certificates lie on a host: those that we install, then those of its kubelet."""
    ours = [item.path for item in host.items if item.kind == "file" and _PEM in item.content]
    return (*sorted(ours), *kubelet_paths(tree, host))


def kubelet_paths(tree: RenderedTree, host: Host) -> tuple[str, ...]:
    """Return the paths of the certificates that the kubelet gets and renews by itself; none where there is no node."""
    found: list[str] = []
    for phase in tree.phases:
        if phase.join and host.node and phase.roles & host.pool.roles:
            client = PurePosixPath(str(phase.join["clientCertificate"]))
            found += [str(client), str(client.with_name(_SERVING))]
    return tuple(found)


def inquiry(tree: RenderedTree, host: Host) -> bytes:
    """Return what fleet/scripts/status.sh is to look at on a host."""
    lines = [f"unit\t{unit.name}" for unit in host.units()]
    lines += [f"certificate\t{path}" for path in certificate_paths(tree, host)]
    folder = backup_folder(host)
    lines += [f"backup\t{folder}"] if folder else []
    return "".join(f"{line}\n" for line in lines).encode()


def facts_from(tree: RenderedTree, state: HostState, lines: Lines) -> HostFacts:
    """Return the facts in an answer; raises HostError for one that the script cannot have given."""
    host = tree.hosts[state.host]
    up: float | None = None
    sockets: list[tuple[str, ...]] = []
    shown: list[str] = []
    ders: dict[str, bytes] = {}
    backup = Backup() if backup_folder(host) else None
    try:
        for word, *rest in lines:
            match word:
                case "slipway":
                    if rest != ["1"]:
                        raise ValueError("another version of the protocol")
                case "up":
                    up = float(rest[0])
                case "show":
                    shown.append("\t".join(rest))
                case "listen" | "holder":
                    sockets.append((word, *rest))
                case "backup-good" if backup is not None:
                    backup = replace(backup, good=good_from(" ".join(rest)))
                case "backup-failure" if backup is not None:
                    backup = replace(backup, failure=failure_from(" ".join(rest)))
                case "certificate":
                    ders[rest[0]] = base64.b64decode(rest[1]) if rest[1] != "-" else b""
                case _:
                    raise ValueError(f"unknown line {word}")
        listening = listening_from(sockets)
        seconds = {} if up is None else _seconds(shown, up)
    except (ValueError, IndexError) as error:
        raise HostError(
            f"{host.name}: status: the answer is not understood ({error}); look at the host", host.name
        ) from None
    rotating = set(kubelet_paths(tree, host))
    certificates: dict[str, Certificate] = {}
    unreadable: list[str] = []
    for path, der in ders.items():
        try:
            certificates[path] = _certificate(der, rotates=path in rotating)
        except ValueError:
            unreadable.append(path)
    absent = tuple(path for path in certificate_paths(tree, host) if path not in ders)
    return HostFacts(state, seconds, listening, certificates, tuple(unreadable), absent, backup)


def _certificate(der: bytes, *, rotates: bool) -> Certificate:
    found = x509.load_der_x509_certificate(der)
    return Certificate(found.subject.rfc4514_string(), found.not_valid_before_utc, found.not_valid_after_utc, rotates)


def _seconds(lines: list[str], up: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for block in shown_blocks(lines):
        way = "Active" if block.get("ActiveState") in {"active", "reloading"} else "Inactive"
        moment = block.get(f"{way}EnterTimestampMonotonic", "")
        if moment.isdigit() and int(moment):
            found[block.get("Id", "")] = max(0.0, up - int(moment) / 1_000_000)
    return found
