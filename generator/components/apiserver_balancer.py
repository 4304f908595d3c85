"""The API server balancer: each node's own way to all API servers, nginx or haproxy on loopback.

One unit, whichever of the two it runs: a change from one to the other is one restart and never two programs at a port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.components import haproxy, nginx
from generator.components.accounts import system_user
from generator.components.daemon import UnitSections
from generator.components.items import HostDirectory, HostFile, HostItem, HostPackage, HostUnit
from generator.components.numbers import checked_numbers
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import APISERVER_BALANCER_DIR, SYSTEMD_DIR
from generator.spec.model import Cluster, Pool

NAME = "apiserver-balancer"
UNIT = f"{NAME}.service"
CONFIG_DIR = APISERVER_BALANCER_DIR
CONFIG = f"{CONFIG_DIR}/nginx.conf"
HAPROXY_CONFIG = f"{CONFIG_DIR}/haproxy.cfg"
DESCRIPTION = "The node's way to all API servers"
ALL, OWN_FIRST = "api_servers", "own_first"

# Every node asks every API server: far apart as long as all is well, so that a thousand nodes are no load.
_HAPROXY_NUMBERS: Mapping[str, Any] = {**haproxy.NUMBERS, "inter": "10s", "downinter": "5s"}


@dataclass(frozen=True, slots=True)
class ApiserverBalancer:
    """The way of a node to all API servers; `config` of an override sets numbers by nginx's or haproxy's names."""

    name: str = NAME

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        """Return how it judges API servers, and what it leaves alone."""
        if cluster.api.balancer == "none":
            return ("it runs on no host: api.balancer is none, and nodes enter the API by its endpoint",)
        if cluster.api.balancer == "haproxy":
            return (
                haproxy.check_note(cluster),
                "it has a configuration and a unit of its own and leaves haproxy.service of the distribution alone",
            )
        return (
            "its checks are passive: an API server counts as down only after connections to it have failed (max_fails "
            "within fail_timeout), and it is TCP that is judged, so an API server that accepts connections and never "
            "answers keeps getting them (api.balancer: haproxy checks actively)",
            "it has a configuration and a unit of its own and leaves nginx.service of the distribution alone",
        )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes, unless the spec wants none."""
        return cluster.has_own_balancer(pool)

    def settings(self, view: View) -> Settings:
        """Return the unit and the numbers of the configuration; raises RenderError for a number that is not there."""
        numbers = _HAPROXY_NUMBERS if view.cluster.api.balancer == "haproxy" else nginx.NUMBERS
        settings = resolved(view.overrides(NAME), unit=_unit(view.cluster), config=dict(numbers))
        return checked_numbers(view.cluster, NAME, settings, numbers)

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield user, configuration with all API servers, and unit."""
        cluster, settings, phase = view.cluster, self.settings(view), _phase(view.cluster)
        yield from system_user(NAME, component=NAME, title="Kubernetes API balancer", home=f"/run/{NAME}")
        yield HostDirectory(CONFIG_DIR, NAME, phase)
        if cluster.api.balancer == "haproxy":
            text = haproxy.main_text(cluster, NAME, CONFIG_DIR, settings.config)
            yield HostFile(HAPROXY_CONFIG, text, NAME, phase, reloads=(UNIT,))
            yield HostFile(f"{CONFIG_DIR}/ca.crt", view.material.certificate("ca"), NAME, phase, reloads=(UNIT,))
        else:
            yield HostFile(
                CONFIG, nginx.main_text(cluster, NAME, CONFIG_DIR, settings.config), NAME, phase, reloads=(UNIT,)
            )
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", unit_text(settings.unit), NAME, phase, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, phase)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield packages and module by os, and to which API servers it leads by role."""
        assert view.pool is not None
        family, api, phase = view.pool.os_family, view.cluster.api, _phase(view.cluster)
        leads_to = OWN_FIRST if "control-plane" in view.pool.roles else ALL
        if api.balancer == "haproxy":
            yield HostPackage(haproxy.PACKAGE, NAME)
            text = haproxy.frontend_text("node", f"127.0.0.1:{api.balancer_port}", leads_to)
            yield HostFile(f"{CONFIG_DIR}/listen.cfg", text, NAME, phase, reloads=(UNIT,))
            return
        for package in nginx.PACKAGES[family]:
            yield HostPackage(package, NAME)
        # nginx cannot load a module while it runs.
        module = f"load_module {nginx.MODULE[family]};\n"
        yield HostFile(f"{CONFIG_DIR}/modules.conf", module, NAME, phase, restarts=(UNIT,))
        server = nginx.server_text(api.balancer_port, leads_to)
        yield HostFile(f"{CONFIG_DIR}/server.conf", server, NAME, phase, reloads=(UNIT,))

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield on a control-plane host its own order of API servers: itself, and the others while it is down."""
        assert view.host is not None
        if "control-plane" not in view.host.pool.roles:
            return
        cluster, numbers = view.cluster, self.settings(view).config
        # The program finds both by a pattern, since only control-plane hosts have such a file.
        if cluster.api.balancer == "haproxy":
            path = f"{CONFIG_DIR}/own.cfg"
            text = haproxy.backend_text(OWN_FIRST, cluster, CONFIG_DIR, numbers, view.host)
        else:
            path = f"{CONFIG_DIR}/upstream-own.conf"
            text = nginx.upstream_text(OWN_FIRST, cluster, numbers, view.host)
        yield HostFile(path, text, NAME, _phase(cluster), reloads=(UNIT,))


def _phase(cluster: Cluster) -> str:
    """Return the phase; with the API servers' port it comes together with the kubelet, when they have left loopback."""
    return "nodes" if cluster.api.balancer_shares_port else "load-balancer"


def _unit(cluster: Cluster) -> UnitSections:
    low_port = cluster.api.balancer_port < 1024
    if cluster.api.balancer == "haproxy":
        return haproxy.unit(NAME, DESCRIPTION, CONFIG_DIR, low_port=low_port)
    return nginx.unit(NAME, DESCRIPTION, CONFIG, low_port=low_port)


COMPONENT = ApiserverBalancer()
