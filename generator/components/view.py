"""The view of a cluster from which a component speaks: the whole cluster, one pool, or one host of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from generator.components.items import HostItem
from generator.components.settings import Settings
from generator.spec.model import Cluster, Host, Override, Pool
from generator.spec.sections_system import System


class Material(Protocol):
    """Public facts about certificates and secrets. Nothing here ever opens a sealed file.

    Certificate names are kubeadm's, those of one host under `hosts/<host>/`: "ca", "etcd/ca", "front-proxy-ca",
    "signing", "hosts/cp1/apiserver", "hosts/cp1/etcd/server", …; "sa.pub" is the service-account public key.
    Secret names: "pki/<certificate name>" for a private key ("pki/sa", "pki/ca", "pki/hosts/cp1/apiserver"),
    else the name below secrets/ ("encryption/1").
    """

    def certificate(self, name: str) -> str:
        """Return a certificate as words and PEM (in goldens: its request as words)."""
        ...

    def secret_id(self, name: str) -> str:
        """Return the id of a secret; raises RenderError where no such secret is sealed."""
        ...

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names of what is sealed below secrets/ and begins with a prefix ("addons/"), sorted."""
        ...

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the names of the encryption keys that API servers know, the one that writes first."""
        ...

    def service_account_keys(self) -> tuple[str, ...]:
        """Return the names of the service-account key pairs that API servers know ("sa"), the one that signs first."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """A level of the spec. `pool` and `host` are None where the level does not know them."""

    cluster: Cluster
    material: Material
    pool: Pool | None = None
    host: Host | None = None

    @property
    def system(self) -> System:
        """What hosts are set to, as this level has it."""
        level = self.host or self.pool or self.cluster
        return level.system

    def overrides(self, component: str) -> tuple[tuple[str, Override], ...]:
        """Return the layers of the spec that apply here, weakest first, each with its name."""
        layers: list[tuple[str, Mapping[str, Override]]] = [("cluster", self.cluster.components)]
        if self.pool is not None:
            layers.append((f"pool {self.pool.name}", self.pool.components))
        if self.host is not None:
            layers.append((f"host {self.host.name}", self.host.components))
        return tuple((name, found[component]) for name, found in layers if component in found)


class Component(Protocol):
    """One thing that runs or lives on a host. Render calls the three methods at each level that may differ.

    `shared` may use only the cluster (never view.pool or view.host, except through `settings`); what depends on the
    pool's os, arch, roles or labels belongs to `pool`; what depends on one host's facts to `host`.
    """

    @property
    def name(self) -> str:
        """The component's name, exactly that of its program where it has one."""
        ...

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool run the component."""
        ...

    def settings(self, view: View) -> Settings:
        """Return flags, unit and config after all layers, with provenance."""
        ...

    def shared(self, view: View) -> Iterable[HostItem]:
        """Return what is the same on every host that runs the component."""
        ...

    def pool(self, view: View) -> Iterable[HostItem]:
        """Return what depends on the pool; `view.pool` is set."""
        ...

    def host(self, view: View) -> Iterable[HostItem]:
        """Return what depends on one host's facts; `view.pool` and `view.host` are set."""
        ...
