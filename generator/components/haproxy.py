"""haproxy as a TCP proxy with active checks: its configuration and its unit; for the components that run it.

Written for haproxy 1.8 (RHEL 8) and later, which is why it logs to /dev/log (`log stderr` came with 1.9) and why each
server names its check in full. TLS ends at the API servers; haproxy holds no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.components.daemon import UnitSections
from generator.formats.sandbox import sandbox
from generator.spec.model import Cluster, Host, bracketed

PROGRAM = "/usr/sbin/haproxy"
PACKAGE = "haproxy"
READYZ = "/readyz"
NUMBERS: Mapping[str, Any] = {
    "maxconn": 8192,
    "nbthread": 2,
    "hard-stop-after": "1h",
    "inter": "2s",
    "fastinter": "1s",
    "downinter": "2s",
    "fall": 2,
    "rise": 2,
    "timeout check": "3s",
    "timeout connect": "1s",
    # exec, attach and port-forward may be silent for long; watches ping every 30 s.
    "timeout client": "1h",
    "timeout server": "1h",
    "timeout tunnel": "1h",
}


def checks_readyz(cluster: Cluster) -> bool:
    """Return whether a request without credentials may ask an API server if it is ready."""
    return READYZ in cluster.api.anonymous_paths


def check_note(cluster: Cluster) -> str:
    """Return in words which check is used and why."""
    if checks_readyz(cluster):
        return (
            "its check is a GET of /readyz over TLS that is verified against the cluster's CA and the server's name: "
            "api.anonymousPaths opens that path to requests without credentials"
        )
    why = (
        "put /readyz into api.anonymousPaths to have it asked"
        if cluster.versions.minor >= (1, 32)
        else f"Kubernetes {cluster.versions.minor_text} cannot open single paths, 1.32 and later can"
    )
    return (
        "its check is a TLS handshake that is verified against the cluster's CA and the server's name, no request: "
        f"anonymous access is off, so /readyz answers nobody without credentials ({why})"
    )


def main_text(cluster: Cluster, name: str, folder: str, numbers: Mapping[str, Any]) -> str:
    """Return the sections global and defaults, and the backend with every API server.

    `name` is that of its folder below /run, `folder` where its files and its copy of the CA lie.
    """
    return f"""\
# The way to the Kubernetes API: TCP is passed on, TLS ends at the API server.
global
    log /dev/log local0 notice
    maxconn {numbers["maxconn"]}
    nbthread {numbers["nbthread"]}
    # After a reload the old process keeps its connections, but not for ever: clients connect anew.
    hard-stop-after {numbers["hard-stop-after"]}
    ssl-default-server-options ssl-min-ver TLSv1.2
    # To read, for root alone; nothing can be changed by it.
    stats socket /run/{name}/stats.sock mode 600 level user

defaults
    mode tcp
    log global
    option clitcpka
    option srvtcpka
    option redispatch 1
    retries 3
    timeout connect {numbers["timeout connect"]}
    timeout check {numbers["timeout check"]}
    timeout client {numbers["timeout client"]}
    timeout server {numbers["timeout server"]}
    timeout tunnel {numbers["timeout tunnel"]}

{backend_text("api_servers", cluster, folder, numbers)}"""


def backend_text(name: str, cluster: Cluster, folder: str, numbers: Mapping[str, Any], own: Host | None = None) -> str:
    """Return a backend; with `own` that host comes first and the others, all of them, only stand in for it."""
    lines = [f"backend {name}", "balance leastconn"]
    if own is not None:
        lines.append("option allbackups")
    if checks_readyz(cluster):
        lines += [f"option httpchk GET {READYZ}", "http-check expect status 200"]
    lines.append(
        "default-server "
        + " ".join(f"{key} {numbers[key]}" for key in ("inter", "fastinter", "downinter", "fall", "rise"))
    )
    others = [host for host in cluster.control_plane if own is None or host.name != own.name]
    for server in ([] if own is None else [own]) + others:
        # Its certificate must be the cluster's and its own; the name is that of the host, since addresses are not
        # compared here.
        check = f"check check-ssl verify required ca-file {folder}/ca.crt verifyhost {server.name}"
        backup = "" if own is None or server is own else " backup"
        lines.append(f"server {server.name} {bracketed(server.address)}:{cluster.api.port} {check}{backup}")
    return "\n    ".join(lines) + "\n"


def frontend_text(name: str, bind: str, backend: str) -> str:
    """Return a frontend that passes on what comes in at `bind`."""
    return f"frontend {name}\n    bind {bind}\n    default_backend {backend}\n"


def unit(name: str, user: str, description: str, folder: str, *, low_port: bool) -> UnitSections:
    """Return the unit of a haproxy of ours, which reads *.cfg of a folder; `name` is that of its folder below /run.

    -Ws is haproxy's master with systemd's notification; on SIGUSR2 it reads its files anew and lets old workers end.
    """
    check = f"{PROGRAM} -c -q -f {folder}"
    return {
        "Unit": {
            "Description": description,
            "Documentation": "man:haproxy(1)",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "Type": "notify",
            "User": user,
            "Group": user,
            "RuntimeDirectory": name,
            "WorkingDirectory": f"/run/{name}",
            "ExecStartPre": check,
            "ExecStart": f"{PROGRAM} -Ws -f {folder} -p /run/{name}/haproxy.pid",
            # A configuration that does not pass is not loaded; connections stay with the old workers on a reload.
            "ExecReload": [check, "/bin/kill -USR2 $MAINPID"],
            "KillMode": "mixed",
            "TimeoutStopSec": 5,
            "SuccessExitStatus": 143,
            "Restart": "always",
            "RestartSec": 5,
            "LimitNOFILE": 32768,
            **sandbox(low_port=low_port),
        },
        "Install": {"WantedBy": "multi-user.target"},
    }
