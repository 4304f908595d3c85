"""The endpoint balancer: haproxy in front of the API servers, on the hosts by which others enter the API.

It runs on hosts of the role load-balancer and, with a virtual address there, on the control plane. With or without a
virtual address it is the same unit, so that one comes and goes without another program at the port.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from generator.components import haproxy
from generator.components.accounts import system_user
from generator.components.items import HostDirectory, HostFile, HostItem, HostPackage, HostUnit
from generator.components.numbers import checked_numbers
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import (
    ENDPOINT_BALANCER_DIR,
    ENDPOINT_HEALTH_SOCKET,
    SYSTEMD_DIR,
    apiserver_balancer,
)
from generator.spec.model import Cluster, Pool

NAME = "endpoint-balancer"
UNIT = f"{NAME}.service"
CONFIG_DIR = ENDPOINT_BALANCER_DIR
CONFIG = f"{CONFIG_DIR}/haproxy.cfg"
ALONE = f"{SYSTEMD_DIR}/{UNIT}.d/10-alone.conf"


@dataclass(frozen=True, slots=True)
class EndpointBalancer:
    """What takes API traffic for the endpoint; `config` of an override sets numbers by haproxy's names."""

    name: str = NAME

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        """Return how it judges API servers, and what it leaves alone."""
        return (
            haproxy.check_note(cluster),
            f"it says on {ENDPOINT_HEALTH_SOCKET} whether it runs and has an API server that passes",
            "it has a configuration and a unit of its own and leaves haproxy.service of the distribution alone",
        )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool stand in front of the API servers."""
        return cluster.carries_endpoint(pool)

    def settings(self, view: View) -> Settings:
        """Return the unit and the numbers of haproxy.cfg; raises RenderError for a number that is not there."""
        low_port = view.cluster.api.front_port < 1024
        unit = haproxy.unit(NAME, NAME, "The endpoint in front of all API servers", CONFIG_DIR, low_port=low_port)
        settings = resolved(view.overrides(NAME), unit=unit, config=dict(haproxy.NUMBERS))
        return checked_numbers(view.cluster, NAME, settings, haproxy.NUMBERS)

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield user, configuration, the CA by which API servers are checked, and unit."""
        cluster, settings, phase = view.cluster, self.settings(view), _phase(view.cluster)
        yield from system_user(NAME, component=NAME, title="Kubernetes API endpoint", home=f"/run/{NAME}")
        yield HostDirectory(CONFIG_DIR, NAME, phase)
        text = "\n".join(
            (
                haproxy.main_text(cluster, NAME, CONFIG_DIR, settings.config),
                haproxy.frontend_text("endpoint", _bind(cluster), "api_servers"),
                _HEALTH,
            )
        )
        yield HostFile(CONFIG, text, NAME, phase, reloads=(UNIT,))
        yield HostFile(f"{CONFIG_DIR}/ca.crt", view.material.certificate("ca"), NAME, phase, reloads=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", unit_text(settings.unit), NAME, phase, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, phase)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the package, and that a node's own balancer that had the port ends first."""
        assert view.pool is not None
        yield HostPackage(haproxy.PACKAGE, NAME)
        if not view.pool.is_node or not view.cluster.api.vip_shares_port:
            # It may be there until the end of a run: the host was a node, or nodes had their balancer at this port.
            former = f"{apiserver_balancer(view.cluster.api.front_port)}.service"
            text = unit_text({"Unit": {"Conflicts": former, "After": former}})
            yield HostFile(ALONE, text, NAME, _phase(view.cluster), restarts=(UNIT,))

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield nothing: no host differs."""
        yield from ()


_HEALTH = f"""\
# Asked by the check of the virtual address, on this host alone.
frontend health
    bind unix@{ENDPOINT_HEALTH_SOCKET} mode 666
    mode http
    monitor-uri /healthz
    monitor fail if {{ nbsrv(api_servers) lt 1 }}
"""


def _phase(cluster: Cluster) -> str:
    """Return the phase: on the control plane the host's API server may have to leave the port first."""
    vip = cluster.api.vip
    return "control-plane" if vip is not None and vip.role == "control-plane" else "load-balancer"


def _bind(cluster: Cluster) -> str:
    """Return where it listens: everywhere, or on the virtual address alone where the API server has the same port.

    `transparent` lets it bind an address that another host carries at the moment (IP_FREEBIND, which needs no right).
    """
    vip, port = cluster.api.vip, cluster.api.front_port
    if vip is not None and cluster.api.vip_shares_port:
        return f"{'[' + vip.address + ']' if vip.family == 6 else vip.address}:{port} transparent"
    has_ipv6 = any(":" in address for host in cluster.hosts for address in host.addresses)
    return f":::{port} v4v6" if has_ipv6 else f"*:{port}"


COMPONENT = EndpointBalancer()
