"""A setting of the host as a component: who has it follows from the section `system` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from generator.components.items import HostItem
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.spec.model import Cluster, Pool
from generator.spec.sections_system import System

Items = Callable[[View], Iterable[HostItem]]


def nothing(view: View) -> Iterable[HostItem]:
    """Yield nothing: this level has nothing of its own."""
    return ()


@dataclass(frozen=True, slots=True)
class HostSetting:
    """One setting. `used` says whether settings ask for it; hosts of a pool run it as soon as one of them does.

    The three others yield what a component yields at each level, and nothing where `used` says no there.
    """

    name: str
    used: Callable[[System], bool]
    everywhere: Items = nothing
    of_pool: Items = nothing
    of_host: Items = nothing
    roles: frozenset[str] = frozenset()

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether the pool or one of its hosts asks for the setting."""
        if self.roles and not self.roles & pool.roles:
            return False
        return self.used(pool.system) or any(
            self.used(host.system) for host in cluster.hosts if host.pool.name == pool.name
        )

    def settings(self, view: View) -> Settings:
        """Return nothing but provenance: the section `system` says it all."""
        return resolved(view.overrides(self.name))

    def shared(self, view: View) -> Iterable[HostItem]:
        """Return what every host with these settings has."""
        return self.everywhere(view) if self.used(view.system) else ()

    def pool(self, view: View) -> Iterable[HostItem]:
        """Return what depends on the pool's os."""
        return self.of_pool(view) if self.used(view.system) else ()

    def host(self, view: View) -> Iterable[HostItem]:
        """Return what depends on one host's facts."""
        return self.of_host(view) if self.used(view.system) else ()
