"""What a tree says of those whom a restore concerns: members of etcd, and the services that run on what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.formation import etcd_gate
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import WorkspaceError

FORMATION = "/etc/etcd/formation.env"
API_SERVER = "kube-apiserver.service"
_CLUSTER = re.compile(r"^ETCD_INITIAL_CLUSTER=(.+)$", re.MULTILINE)
_WAL = re.compile(r"--wal-dir=(\S+)/wal(?:\s|$)")
_USER = re.compile(r"^User=(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Members:
    """What the tree says of etcd: `cluster` as initial-cluster, peer URLs by host, `wal` "-" where it lies in data."""

    phase: Phase
    hosts: tuple[Host, ...]
    cluster: str
    urls: Mapping[str, str]
    unit: str
    owner: str
    data: str
    wal: str
    etcdctl: str


def members_of(tree: RenderedTree) -> Members:
    """Return what the tree says of etcd; raises WorkspaceError for a tree that does not say it."""
    phase, hosts = tree.etcd_phase, tuple(tree.with_role("etcd"))
    access = etcd_gate(phase) if phase is not None else None
    if phase is None or access is None or not hosts:
        raise WorkspaceError(f"{tree.cluster}: the tree has no etcd of its own, so there is nothing to restore into")
    unit = str(phase.formation["unit"])
    texts = {item.path: item.content.decode("utf-8", "replace") for item in hosts[0].items if item.kind == "file"}
    text = next((content for path, content in texts.items() if path.endswith(f"/{unit}")), "")
    cluster, owner, wal = _CLUSTER.search(texts.get(FORMATION, "")), _USER.search(text), _WAL.search(text)
    if cluster is None or owner is None:
        raise WorkspaceError(f"{tree.cluster}: {FORMATION} or {unit} is not as render writes it; run `invoke render`")
    urls = dict(word.split("=", 1) for word in cluster[1].strip().split(","))
    return Members(
        phase, hosts, cluster[1].strip(), urls, unit, owner[1], str(phase.formation["data"]), wal[1] if wal else "-",
        str(access["etcdctl"]),
    )  # fmt: skip


def control_plane_of(tree: RenderedTree) -> tuple[Phase, tuple[Host, ...], tuple[str, ...]]:
    """Return the phase of the API servers, their hosts, and the services that run on what etcd holds."""
    for phase in tree.phases:
        hosts = tuple(host for host in tree.hosts.values() if phase.roles & host.pool.roles)
        units = [unit.name for unit in hosts[0].units(phase.name) if unit.start] if hosts else []
        if API_SERVER in units:
            services = [name for name in units if name.endswith(".service") and name.startswith("kube-")]
            return phase, hosts, tuple(sorted(services, key=lambda name: (name != API_SERVER, name)))
    raise WorkspaceError(f"{tree.cluster}: no phase of the tree has API servers; run `invoke render`")
