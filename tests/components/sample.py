"""A cluster of every role, what its certificates and secrets are called, and the items of one component on a host."""

from __future__ import annotations

from collections.abc import Sequence

from generator.components.items import HostFile, HostItem, SecretRef, SecretTemplate, item_key
from generator.components.view import Component, Material, View
from generator.spec import load_text
from generator.spec.model import Cluster, Host

MINORS = tuple(f"1.{minor}" for minor in range(20, 37))

SPEC = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {{name: sample}}
versions: {{kubernetes: "{kubernetes}"{versions}}}
network: {{podCIDR: {pods}, serviceCIDR: {services}}}
pools:
  control: {{roles: [etcd, control-plane], os: debian-12, arch: amd64{control}}}
  workers: {{roles: [worker], os: debian-12, arch: arm64}}
hosts:
  cp1: {{pool: control, address: {first}{host}}}
  cp2: {{pool: control, address: 10.0.0.2}}
  cp3: {{pool: control, address: 10.0.0.3}}
  w1: {{pool: workers, address: 10.0.0.11}}
{rest}
"""


def sample_cluster(
    minor: str = "1.36",
    rest: str = "",
    *,
    versions: str = "",
    control: str = "",
    host: str = "",
    pods: str = "10.244.0.0/16",
    services: str = "10.96.0.0/16",
    first: str = "10.0.0.1",
) -> Cluster:
    """Return the sample cluster at a minor; the texts go into its spec."""
    kubernetes = minor if minor.count(".") == 2 else f"{minor}.2"
    text = SPEC.format(
        kubernetes=kubernetes,
        versions=versions,
        control=control,
        host=host,
        pods=pods,
        services=services,
        first=first,
        rest=rest,
    )
    return load_text(text, name="sample")


class Named(Material):
    """Material whose certificates are their names; `keys` are the names of encryption keys, newest last."""

    def __init__(self, keys: Sequence[str] = ("encryption/1",)) -> None:
        self.keys = tuple(keys)

    def certificate(self, name: str) -> str:
        """Return a line with the name."""
        return f"certificate {name}\n"

    def secret_id(self, name: str) -> str:
        """Return an id made of the name."""
        return f"id of {name}"

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        """Return none."""
        return ()

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the keys, the newest first."""
        return self.keys[::-1]

    def service_account_keys(self) -> tuple[str, ...]:
        """Return the only pair."""
        return ("sa",)


def host_items(
    component: Component, cluster: Cluster, host: str = "cp1", material: Material | None = None
) -> dict[str, HostItem]:
    """Return what a component puts on a host, by key; two items under one key are an error."""
    found = named_host(cluster, host)
    view = View(cluster, material or Named(), found.pool, found)
    items: dict[str, HostItem] = {}
    for item in (*component.shared(view), *component.pool(view), *component.host(view)):
        assert item_key(item) not in items, item_key(item)
        items[item_key(item)] = item
    return items


def named_host(cluster: Cluster, name: str) -> Host:
    """Return a host of the cluster."""
    return next(host for host in cluster.hosts if host.name == name)


def text_of(item: HostItem) -> str:
    """Return the text of a file, templates with their slots, keys as their name."""
    assert isinstance(item, HostFile)
    match item.content:
        case SecretTemplate(text=text):
            return text
        case SecretRef(name=name):
            return f"secret {name}"
        case text:
            return text


def flags_of(unit: str) -> dict[str, str]:
    """Return the flags behind ExecStart of a unit's text."""
    lines = [line.strip().removesuffix(" \\") for line in unit.splitlines()]
    words = [line for line in lines if line.startswith("--")]
    return dict(word.removeprefix("--").split("=", 1) for word in words)
