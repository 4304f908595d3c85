"""The API server balancer: nginx as a TCP proxy, on each node's loopback and on hosts of the role load-balancer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections, sandbox
from generator.components.items import HostDirectory, HostFile, HostItem, HostPackage, HostUnit
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.errors import RenderError
from generator.formats.units import unit_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster, Host, Pool, bracketed

NAME = "apiserver-balancer"
PHASE = "load-balancer"
UNIT = f"{NAME}.service"
CONFIG_DIR = f"/etc/{NAME}"
CONFIG = f"{CONFIG_DIR}/nginx.conf"
NGINX = "/usr/sbin/nginx"

# Two glob patterns, since a pattern may match nothing: only control-plane hosts have a file of their own.
_MODULES = f"{CONFIG_DIR}/modules.conf"
_SERVER = f"{CONFIG_DIR}/server.conf"
_OWN = f"{CONFIG_DIR}/upstream-own.conf"
_OWN_PATTERN = f"{CONFIG_DIR}/upstream-*.conf"

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "debian": ("nginx", "libnginx-mod-stream"),
    "redhat": ("nginx", "nginx-mod-stream"),
}
_MODULE: Mapping[str, str] = {
    "debian": "/usr/lib/nginx/modules/ngx_stream_module.so",
    "redhat": "/usr/lib64/nginx/modules/ngx_stream_module.so",
}
_DEFAULTS: Mapping[str, Any] = {
    "worker_processes": 2,
    "worker_connections": 8192,
    "worker_shutdown_timeout": "1h",
    "max_fails": 2,
    "fail_timeout": "10s",
    "proxy_connect_timeout": "1s",
    # exec, attach and port-forward may be silent for long; watches ping every 30 s.
    "proxy_timeout": "1h",
}


@dataclass(frozen=True, slots=True)
class ApiserverBalancer:
    """The way of a node to all API servers; `config` of an override sets the numbers of nginx.conf by nginx's names."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "its checks are passive: an API server counts as down only after connections to it have failed (max_fails "
        "within fail_timeout), and it is TCP that is judged, so an API server that accepts connections and never "
        "answers keeps getting them",
        "it has a configuration and a unit of its own and leaves nginx.service of the distribution alone",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes or have the role load-balancer."""
        return pool.is_node or "load-balancer" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return the unit and the numbers of nginx.conf; raises RenderError for a number that is not there."""
        settings = resolved(view.overrides(NAME), unit=_unit(view.cluster), config=dict(_DEFAULTS))
        for key in settings.config:
            if key not in _DEFAULTS:
                near = difflib.get_close_matches(key, _DEFAULTS, 1)
                known = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(_DEFAULTS))}"
                where = settings.origins.get(("config", key), "")
                raise RenderError(f"{view.cluster.name}: {NAME}: config has no field {key} ({where}); {known}")
        for key in _DEFAULTS:
            if key not in settings.config:
                raise RenderError(f"{view.cluster.name}: {NAME}: config.{key} cannot be removed; give it another value")
        return settings

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield user, configuration with all API servers, and unit."""
        settings = self.settings(view)
        yield from system_user(NAME, component=NAME, title="Kubernetes API balancer", home=f"/run/{NAME}")
        yield HostDirectory(CONFIG_DIR, NAME, PHASE)
        yield HostFile(CONFIG, _nginx(view.cluster, settings.config), NAME, PHASE, reloads=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", unit_text(settings.unit), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield packages and module by os, and what is listened on by role."""
        assert view.pool is not None
        for package in _PACKAGES[view.pool.os_family]:
            yield HostPackage(package, NAME)
        # nginx cannot load a module while it runs.
        text = f"load_module {_MODULE[view.pool.os_family]};\n"
        yield HostFile(_MODULES, text, NAME, PHASE, restarts=(UNIT,))
        yield HostFile(_SERVER, _server(view.cluster, view.pool), NAME, PHASE, reloads=(UNIT,))

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield on a control-plane host its own order of API servers: itself, and the others while it is down."""
        assert view.host is not None
        if "control-plane" in view.host.pool.roles:
            text = _upstream("own_first", view.cluster, self.settings(view).config, view.host)
            yield HostFile(_OWN, text, NAME, PHASE, reloads=(UNIT,))


def _nginx(cluster: Cluster, numbers: Mapping[str, Any]) -> str:
    upstream = _upstream("api_servers", cluster, numbers, None)
    indented = "".join(f"    {line}\n" if line else "\n" for line in upstream.splitlines())
    return f"""\
# The way to the Kubernetes API: TCP is passed on, TLS ends at the API server.
# The checks are passive: a server is left out for fail_timeout after max_fails connections to it have failed.
include {_MODULES};
worker_processes {numbers["worker_processes"]};
# After a reload the old workers keep their connections, but not for ever: clients connect anew.
worker_shutdown_timeout {numbers["worker_shutdown_timeout"]};
daemon off;
pid /run/{NAME}/nginx.pid;
error_log stderr warn;

events {{
    worker_connections {numbers["worker_connections"]};
}}

stream {{
{indented}    include {_OWN_PATTERN};

    server {{
        include {_SERVER};
        proxy_connect_timeout {numbers["proxy_connect_timeout"]};
        proxy_timeout {numbers["proxy_timeout"]};
    }}
}}
"""


def _upstream(name: str, cluster: Cluster, numbers: Mapping[str, Any], own: Host | None) -> str:
    """Return an upstream block; with `own` that host comes first and the others only stand in for it."""
    limits = f"max_fails={numbers['max_fails']} fail_timeout={numbers['fail_timeout']}"
    lines = [f"upstream {name} {{", f"    zone {name} 64k;", "    least_conn;"]
    others = [host for host in cluster.control_plane if own is None or host.name != own.name]
    for server in ([] if own is None else [own]) + others:
        backup = "" if own is None or server is own else " backup"
        lines.append(f"    server {bracketed(server.address)}:{cluster.api.port} {limits}{backup};")
    return "\n".join([*lines, "}"]) + "\n"


def _server(cluster: Cluster, pool: Pool) -> str:
    """Return what is listened on, and to which upstream it leads."""
    lines = []
    if pool.is_node:
        lines.append(f"listen 127.0.0.1:{cluster.api.balancer_port} so_keepalive=on;")
    if "load-balancer" in pool.roles:
        lines.append(f"listen {cluster.api.endpoint_port} so_keepalive=on;")
        if any(":" in address for host in cluster.hosts for address in host.addresses):
            lines.append(f"listen [::]:{cluster.api.endpoint_port} so_keepalive=on;")
    lines.append(f"proxy_pass {'own_first' if 'control-plane' in pool.roles else 'api_servers'};")
    return "\n".join(lines) + "\n"


def _unit(cluster: Cluster) -> UnitSections:
    command = f"{NGINX} -c {CONFIG}"
    low_port = min(cluster.api.balancer_port, cluster.api.endpoint_port) < 1024
    return {
        "Unit": {
            "Description": "The node's way to all API servers",
            "Documentation": "https://nginx.org/en/docs/stream/ngx_stream_core_module.html",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "User": NAME,
            "Group": NAME,
            "RuntimeDirectory": NAME,
            "WorkingDirectory": f"/run/{NAME}",
            "ExecStartPre": f"{command} -t -q",
            "ExecStart": command,
            # A configuration that does not pass is not loaded; connections stay with the old workers on a reload.
            "ExecReload": [f"{command} -t -q", "/bin/kill -HUP $MAINPID"],
            "KillSignal": "SIGQUIT",
            "KillMode": "mixed",
            "TimeoutStopSec": 5,
            "Restart": "always",
            "RestartSec": 5,
            "LimitNOFILE": 32768,
            **sandbox(low_port=low_port),
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


COMPONENT = ApiserverBalancer()
