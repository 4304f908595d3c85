"""Rules about user-data: targets that go together, and logins that lock nobody out, Slipway least of all."""

from __future__ import annotations

from collections.abc import Sequence

from generator.spec.cloud_init import NONE
from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.schema import ClusterSpec
from generator.spec.schema_cloud import LoginSpec
from generator.spec.yaml_source import Path

ROOT = "root"


def check_cloud_init(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check the cloudInit sections and who logs in to hosts that they make."""
    sections: list[tuple[Path, Sequence[str] | None, Sequence[LoginSpec] | None]] = []
    if spec.cloud_init is not None:
        sections.append((("cloudInit",), spec.cloud_init.targets, spec.cloud_init.users))
    for name, pool in spec.pools.items():
        if pool.cloud_init is not None:
            sections.append((("pools", name, "cloudInit"), pool.cloud_init.targets, pool.cloud_init.users))
    for path, targets, users in sections:
        if targets is not None and NONE in targets and len(targets) > 1:
            findings.fault((*path, "targets"), "none stands beside other targets", "keep none, or take it out")
        names = [user.name for user in users or ()]
        for index, name in enumerate(names):
            if name in names[:index]:
                findings.fault((*path, "users", index), f"{name} is there twice", "put the keys into one entry")
    _logins(spec, cluster, findings)


def _logins(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check that Slipway's own login of each host is among those that user-data makes."""
    said: set[tuple[str, str]] = set()
    for host in cluster.hosts:
        made = host.pool.cloud_init
        login = host.ssh.user
        if made is None or not made.logins or (host.pool.name, login) in said:
            continue
        said.add((host.pool.name, login))
        own = spec.pools[host.pool.name].cloud_init
        at: Path = ("cloudInit", "users")
        if own is not None and own.users is not None:
            at = ("pools", host.pool.name, *at)
        found = next((one for one in made.logins if one.name == login), None)
        if found is None and login != ROOT:
            what = f"{login}, by whom Slipway enters {host.name}, is not among them: apply could not enter the host"
            findings.fault(at, what, f"add {login} with its public key, or set ssh.user to one of them")
        elif found is not None and login != ROOT and not found.sudo:
            what = f"{login}, by whom Slipway enters {host.name}, has no sudo, and no password with which to ask for it"
            findings.fault(at, what, "set sudo: true for this user")
