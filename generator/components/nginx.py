"""nginx as a TCP proxy: its configuration, its packages and its unit; for the component that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.components.daemon import UnitSections
from generator.formats.sandbox import sandbox
from generator.spec.model import Cluster, Host, bracketed

PROGRAM = "/usr/sbin/nginx"
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "debian": ("nginx", "libnginx-mod-stream"),
    "redhat": ("nginx", "nginx-mod-stream"),
}
MODULE: Mapping[str, str] = {
    "debian": "/usr/lib/nginx/modules/ngx_stream_module.so",
    "redhat": "/usr/lib64/nginx/modules/ngx_stream_module.so",
}
NUMBERS: Mapping[str, Any] = {
    "worker_processes": 2,
    "worker_connections": 8192,
    "worker_shutdown_timeout": "1h",
    "max_fails": 2,
    "fail_timeout": "10s",
    "proxy_connect_timeout": "1s",
    # exec, attach and port-forward may be silent for long; watches ping every 30 s.
    "proxy_timeout": "1h",
}


def main_text(cluster: Cluster, name: str, folder: str, numbers: Mapping[str, Any]) -> str:
    """Return nginx.conf, with every API server; `name` is that of its folder below /run, `folder` has its files."""
    upstream = upstream_text("api_servers", cluster, numbers)
    indented = "".join(f"    {line}\n" if line else "\n" for line in upstream.splitlines())
    return f"""\
# The way to the Kubernetes API: TCP is passed on, TLS ends at the API server.
# The checks are passive: a server is left out for fail_timeout after max_fails connections to it have failed.
include {folder}/modules.conf;
worker_processes {numbers["worker_processes"]};
# After a reload the old workers keep their connections, but not for ever: clients connect anew.
worker_shutdown_timeout {numbers["worker_shutdown_timeout"]};
daemon off;
pid /run/{name}/nginx.pid;
error_log stderr warn;

events {{
    worker_connections {numbers["worker_connections"]};
}}

stream {{
{indented}    include {folder}/upstream-*.conf;

    server {{
        include {folder}/server.conf;
        proxy_connect_timeout {numbers["proxy_connect_timeout"]};
        proxy_timeout {numbers["proxy_timeout"]};
    }}
}}
"""


def upstream_text(name: str, cluster: Cluster, numbers: Mapping[str, Any], own: Host | None = None) -> str:
    """Return an upstream block; with `own` that host comes first and the others only stand in for it."""
    limits = f"max_fails={numbers['max_fails']} fail_timeout={numbers['fail_timeout']}"
    lines = [f"upstream {name} {{", f"    zone {name} 64k;", "    least_conn;"]
    others = [host for host in cluster.control_plane if own is None or host.name != own.name]
    for server in ([] if own is None else [own]) + others:
        backup = "" if own is None or server is own else " backup"
        lines.append(f"    server {bracketed(server.address)}:{cluster.api.port} {limits}{backup};")
    return "\n".join([*lines, "}"]) + "\n"


def server_text(port: int, upstream: str) -> str:
    """Return what is listened on, and to which upstream it leads."""
    return f"listen 127.0.0.1:{port} so_keepalive=on;\nproxy_pass {upstream};\n"


def unit(name: str, user: str, description: str, config: str, *, low_port: bool) -> UnitSections:
    """Return the unit of an nginx of ours; `name` is that of its folder below /run."""
    command = f"{PROGRAM} -c {config}"
    return {
        "Unit": {
            "Description": description,
            "Documentation": "https://nginx.org/en/docs/stream/ngx_stream_core_module.html",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "User": user,
            "Group": user,
            "RuntimeDirectory": name,
            "WorkingDirectory": f"/run/{name}",
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
