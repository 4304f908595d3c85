"""inventory.yaml: hosts and pools, one line for each host, and what fleet needs to enter them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from generator.render.flow import flow
from generator.spec.model import ROLES, Cluster, Host, Pool, Ssh

HEADER = "# written by slipway render; edit clusters/{cluster}/ instead\n"


def inventory_text(cluster: Cluster, components: Mapping[str, tuple[str, ...]]) -> str:
    """Return inventory.yaml; `components` lists what the hosts of each pool run."""
    versions = cluster.versions
    top = {
        "cluster": cluster.name,
        "versions": {
            "kubernetes": versions.kubernetes,
            "etcd": versions.etcd,
            "containerd": versions.containerd,
            "runc": versions.runc,
            "cniPlugins": versions.cni_plugins,
            **({"crictl": versions.crictl} if versions.crictl else {}),
        },
        "artifacts": {"fetch": cluster.artifacts.fetch},
        "ssh": _ssh(cluster.ssh),
    }
    lines = [f"{key}: {flow(value)}" for key, value in top.items()]
    lines.append("pools:")
    lines.extend(f"  {name}: {flow(_pool(cluster.pools[name], components[name]))}" for name in sorted(components))
    lines.append("hosts:")
    lines.extend(f"  {host.name}: {flow(_host(host, cluster.ssh))}" for host in _by_name(cluster.hosts))
    return HEADER.format(cluster=cluster.name) + "\n".join(lines) + "\n"


def _pool(pool: Pool, components: tuple[str, ...]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "roles": [role for role in ROLES if role in pool.roles],
        "components": list(components),
        "os": pool.os,
        "arch": pool.arch,
        "maxUnavailable": pool.max_unavailable,
        "labels": dict(sorted(pool.labels.items())),
        "taints": [_taint(taint.key, taint.value, taint.effect) for taint in pool.taints],
    }
    if pool.system.kernel.wanted:
        entry["kernel"] = pool.system.kernel.wanted
    return {key: value for key, value in entry.items() if value not in ({}, [])}


def _taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, "effect": effect} if value == "" else {"key": key, "value": value, "effect": effect}


def _host(host: Host, usual: Ssh) -> dict[str, Any]:
    entry: dict[str, Any] = {"pool": host.pool.name, "address": host.address}
    if host.secondary_address is not None:
        entry["secondaryAddress"] = host.secondary_address
    if host.pool.is_node:
        entry["node"] = host.node_name
    if host.zone is not None:
        entry["zone"] = host.zone
    if host.labels:
        entry["labels"] = dict(sorted(host.labels.items()))
    if host.system.kernel.wanted != host.pool.system.kernel.wanted:
        entry["kernel"] = host.system.kernel.wanted
    own, base = _ssh(host.ssh), _ssh(usual)
    different = {key: value for key, value in own.items() if value != base[key]}
    if different:
        entry["ssh"] = different
    return entry


def _ssh(ssh: Ssh) -> dict[str, Any]:
    jumps = [{"address": jump.address, "port": jump.port, "user": jump.user} for jump in ssh.jumps]
    return {"user": ssh.user, "port": ssh.port, "jumps": jumps}


def _by_name(hosts: Iterable[Host]) -> list[Host]:
    return sorted(hosts, key=lambda host: host.name)
