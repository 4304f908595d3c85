"""The API server balancer: each node's own way to all API servers, nginx or haproxy on loopback.

One unit at a port, whichever of the two it runs: a change from one to the other is one restart and never two programs
there. Another port is another unit, which stands beside the old one until the end of the run, since the kubelets of all
nodes go by the old port until their own turn comes.
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
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster, Pool

NAME = "apiserver-balancer"
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
        name, folder, unit = cluster.api.balancer_name, _folder(cluster), _unit_name(cluster)
        yield from system_user(NAME, component=NAME, title="Kubernetes API balancer", home=f"/run/{NAME}")
        yield HostDirectory(folder, NAME, phase)
        if cluster.api.balancer == "haproxy":
            text = haproxy.main_text(cluster, name, folder, settings.config)
            yield HostFile(f"{folder}/haproxy.cfg", text, NAME, phase, reloads=(unit,))
            yield HostFile(f"{folder}/ca.crt", view.material.certificate("ca"), NAME, phase, reloads=(unit,))
        else:
            text = nginx.main_text(cluster, name, folder, settings.config)
            yield HostFile(f"{folder}/nginx.conf", text, NAME, phase, reloads=(unit,))
        yield HostFile(f"{SYSTEMD_DIR}/{unit}", unit_text(settings.unit), NAME, phase, restarts=(unit,))
        yield HostUnit(unit, NAME, phase)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield packages and module by os, and to which API servers it leads by role."""
        assert view.pool is not None
        family, api, phase = view.pool.os_family, view.cluster.api, _phase(view.cluster)
        folder, unit = _folder(view.cluster), _unit_name(view.cluster)
        leads_to = OWN_FIRST if "control-plane" in view.pool.roles else ALL
        if api.balancer == "haproxy":
            yield HostPackage(haproxy.PACKAGE, NAME)
            text = haproxy.frontend_text("node", f"127.0.0.1:{api.balancer_port}", leads_to)
            yield HostFile(f"{folder}/listen.cfg", text, NAME, phase, reloads=(unit,))
            return
        for package in nginx.PACKAGES[family]:
            yield HostPackage(package, NAME)
        # nginx cannot load a module while it runs.
        module = f"load_module {nginx.MODULE[family]};\n"
        yield HostFile(f"{folder}/modules.conf", module, NAME, phase, restarts=(unit,))
        server = nginx.server_text(api.balancer_port, leads_to)
        yield HostFile(f"{folder}/server.conf", server, NAME, phase, reloads=(unit,))

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield on a control-plane host its own order of API servers: itself, and the others while it is down."""
        assert view.host is not None
        if "control-plane" not in view.host.pool.roles:
            return
        cluster, numbers = view.cluster, self.settings(view).config
        folder = _folder(cluster)
        # The program finds both by a pattern, since only control-plane hosts have such a file.
        if cluster.api.balancer == "haproxy":
            path = f"{folder}/own.cfg"
            text = haproxy.backend_text(OWN_FIRST, cluster, folder, numbers, view.host)
        else:
            path = f"{folder}/upstream-own.conf"
            text = nginx.upstream_text(OWN_FIRST, cluster, numbers, view.host)
        yield HostFile(path, text, NAME, _phase(cluster), reloads=(_unit_name(cluster),))


def _folder(cluster: Cluster) -> str:
    return f"/etc/{cluster.api.balancer_name}"


def _unit_name(cluster: Cluster) -> str:
    return f"{cluster.api.balancer_name}.service"


def _phase(cluster: Cluster) -> str:
    """Return the phase; with the API servers' port it comes together with the kubelet, when they have left loopback."""
    return "nodes" if cluster.api.balancer_shares_port else "load-balancer"


def _unit(cluster: Cluster) -> UnitSections:
    name, folder, low_port = cluster.api.balancer_name, _folder(cluster), cluster.api.balancer_port < 1024
    if cluster.api.balancer == "haproxy":
        return haproxy.unit(name, NAME, DESCRIPTION, folder, low_port=low_port)
    return nginx.unit(name, NAME, DESCRIPTION, f"{folder}/nginx.conf", low_port=low_port)


COMPONENT = ApiserverBalancer()
