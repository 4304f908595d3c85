"""A small cluster and small components, with which render is tried without the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from generator.components.items import HostBinary, HostFile, HostItem, HostPackage, HostUnit, SecretRef
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.flags import flag_words
from generator.spec import load_text
from generator.spec.model import Cluster, Pool

NETWORK = "network: {podCIDR: 10.244.0.0/16, serviceCIDR: 10.96.0.0/16}"
BASE = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: small}
versions: {kubernetes: "1.36.1"}
network: {podCIDR: 10.244.0.0/16, serviceCIDR: 10.96.0.0/16}
pools:
  control: {roles: [etcd, control-plane], os: debian-12, arch: amd64}
  workers: {roles: [worker], os: debian-12, arch: amd64%(pool)s}
hosts:
  cp1: {pool: control, address: 10.0.0.1}
  worker-[01:%(workers)02d]: {pool: workers, address: "10.0.1.[1:%(workers)d]"}
%(host)s
%(rest)s
"""


def small_cluster(*, workers: int = 3, pool: str = "", host: str = "", rest: str = "") -> Cluster:
    """Return a cluster of one control-plane host and some workers; the texts are put into its spec."""
    return load_text(BASE % {"workers": workers, "pool": pool, "host": host, "rest": rest}, name="small")


@dataclass
class Small:
    """A component with a unit made of flags, a file that depends on the pool and one that depends on the host."""

    name: str = "kubelet"
    roles: frozenset[str] = frozenset({"control-plane", "worker"})
    flags: dict[str, str] = field(default_factory=lambda: {"v": "2"})
    extra: tuple[HostItem, ...] = ()
    host_extra: tuple[HostItem, ...] = ()

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether the pool has one of the roles."""
        return bool(pool.roles & self.roles)

    def settings(self, view: View) -> Settings:
        """Return the flags after all layers."""
        return resolved(view.overrides(self.name), flags=self.flags)

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the unit, and a file only where the flag `v` is set."""
        flags = self.settings(view).flags
        text = "\n".join(["[Service]", *flag_words(flags)]) + "\n"
        unit = f"{self.name}.service"
        yield HostFile(f"/etc/systemd/system/{unit}", text, self.name, "nodes", restarts=(unit,))
        if "v" in flags:
            yield HostFile(f"/etc/{self.name}/verbosity", f"{flags['v']}\n", self.name, "nodes")
        yield HostUnit(unit, self.name, "nodes", drain_key="runtime")
        yield from self.extra

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield what the architecture decides."""
        assert view.pool is not None
        version = view.cluster.versions.kubernetes
        yield HostBinary(f"/opt/{self.name}/{version}/{self.name}", "kubelet", version, view.pool.arch, "", self.name)
        yield HostPackage(f"{self.name}-{view.pool.os_family}", self.name)

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield the host's address."""
        assert view.host is not None
        yield HostFile(f"/etc/slipway/{self.name}.env", f"SLIPWAY_NODE_IP={view.host.address}\n", self.name, "nodes")
        yield from self.host_extra


def key_file(name: str, component: str = "kubelet") -> HostFile:
    """Return a file that is one secret."""
    return HostFile(f"/etc/{component}/key", SecretRef(name), component, "nodes", 0o400)
