"""Clusters for tests of components, each from a spec text, and certificates that are only names."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from generator.components.items import HostFile, HostItem, item_key
from generator.components.view import Component, View
from generator.spec import load_text
from generator.spec.model import Cluster

MINORS = tuple(f"1.{minor}" for minor in range(20, 37))


class NamedMaterial:
    """Certificates as their names, ids that follow from names."""

    def certificate(self, name: str) -> str:
        return f"certificate {name}\n"

    def secret_id(self, name: str) -> str:
        return f"{len(name):016x}"

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        return ()

    def encryption_keys(self) -> tuple[str, ...]:
        return ("encryption/1",)

    def service_account_keys(self) -> tuple[str, ...]:
        return ("sa",)


def cluster(kubernetes: str = "1.36.1", more: str = "", network: str = "", pools: str = "", hosts: str = "") -> Cluster:
    """Three control-plane hosts and two workers; `more` is top-level YAML, the others go into their sections."""
    text = f"""\
apiVersion: slipway.io/v1
kind: Cluster
metadata: {{name: demo}}
versions: {{kubernetes: "{kubernetes}"}}
network:
  podCIDR: 10.244.0.0/16
  serviceCIDR: 10.96.0.0/16
{textwrap.indent(textwrap.dedent(network), "  ")}
pools:
  control: {{roles: [etcd, control-plane], os: debian-12, arch: amd64}}
  workers: {{roles: [worker], os: ubuntu-24.04, arch: arm64}}
{textwrap.indent(textwrap.dedent(pools), "  ")}
hosts:
  cp[1:3]: {{pool: control, address: "10.0.0.[1:3]"}}
  worker[1:2]: {{pool: workers, address: "10.0.1.[1:2]"}}
{textwrap.indent(textwrap.dedent(hosts), "  ")}
{textwrap.dedent(more)}
"""
    return load_text(text)


def bridged() -> Cluster:
    """The same cluster in miniature with the bridge plugin, dual-stack."""
    return load_text(
        """\
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: demo}
versions: {kubernetes: "1.30.0"}
network:
  podCIDR: [10.244.0.0/16, "fd00:10::/56"]
  serviceCIDR: [10.96.0.0/16, "fd00:20::/112"]
  plugin: bridge
pools:
  control: {roles: [etcd, control-plane], os: debian-12, arch: amd64}
  workers: {roles: [worker], os: debian-12, arch: amd64}
hosts:
  cp1:
    {pool: control, address: 10.0.0.1, secondaryAddress: "fd00::1", podSubnet: [10.244.10.0/24, "fd00:10:0:a::/64"]}
  worker1:
    {pool: workers, address: 10.0.0.2, secondaryAddress: "fd00::2", podSubnet: [10.244.2.0/24, "fd00:10:0:2::/64"]}
"""
    )


def keyed(items: Iterable[HostItem]) -> dict[str, HostItem]:
    return {item_key(item): item for item in items}


def shared(component: Component, cluster: Cluster, pool: str = "") -> dict[str, HostItem]:
    """Return what is shared, or what one pool has of it where it differs there."""
    return keyed(component.shared(View(cluster, NamedMaterial(), cluster.pools[pool] if pool else None)))


def of_pool(component: Component, cluster: Cluster, name: str) -> dict[str, HostItem]:
    return keyed(component.pool(View(cluster, NamedMaterial(), cluster.pools[name])))


def of_host(component: Component, cluster: Cluster, name: str) -> dict[str, HostItem]:
    host = next(host for host in cluster.hosts if host.name == name)
    return keyed(component.host(View(cluster, NamedMaterial(), host.pool, host)))


def all_of(component: Component, cluster: Cluster, name: str) -> dict[str, HostItem]:
    """Return everything that a component puts on a host, by key."""
    pool = next(host.pool.name for host in cluster.hosts if host.name == name)
    return {**shared(component, cluster), **of_pool(component, cluster, pool), **of_host(component, cluster, name)}


def text(items: dict[str, HostItem], path: str) -> str:
    item = items[path]
    assert isinstance(item, HostFile)
    assert isinstance(item.content, str)
    return item.content
