"""What every host has before anything of Kubernetes: Slipway's own folders and the kernel settings of the spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.components.items import HostDirectory, HostFile, HostItem
from generator.components.settings import Settings, resolved
from generator.components.sysctl import SYSCTL_UNIT, Sysctl, sysctl_text
from generator.components.view import View
from generator.spec.layout import ENV_DIR, STATE_DIR
from generator.spec.model import Cluster, Pool

NAME = "host-base"
PHASE = "host-base"
SYSCTL = "/etc/sysctl.d/90-slipway.conf"

_DEFAULTS = (
    Sysctl("net.core.somaxconn", "32768", "Everything connects at once when an API server or a balancer comes back."),
)


@dataclass(frozen=True, slots=True)
class HostBase:
    """The base of every host. There is no limits.conf: each unit states its own limits, and logins are not ours."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return that every host has a base."""
        return True

    def settings(self, view: View) -> Settings:
        """Return what the spec says; kernel settings are the field `sysctl` of a cluster."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the folders and the kernel settings."""
        yield HostDirectory(ENV_DIR, NAME, PHASE)
        yield HostDirectory(STATE_DIR, NAME, PHASE, mode=0o700)
        text = sysctl_text(_DEFAULTS, view.cluster.sysctl)
        yield HostFile(SYSCTL, text, NAME, PHASE, restarts=(SYSCTL_UNIT,))

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no pool differs."""
        return ()

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no host differs."""
        return ()


COMPONENT = HostBase()
