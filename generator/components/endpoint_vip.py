"""The virtual address of the endpoint: keepalived, which agrees with its peers who carries it.

Every host begins as BACKUP with the priority that the spec writes, and nopreempt lets one that comes back wait: the
address moves when it must and not once more. Unicast, so that peers are known and no switch must pass on multicast.
VRRP version 2 for IPv4, since version 3 knows no password (RFC 5798, 9); version 3 without one for IPv6, which version
2 cannot carry. The password crosses the wire in plain text: it keeps groups apart, a firewall keeps strangers out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections
from generator.components.items import (
    HostDirectory,
    HostFile,
    HostItem,
    HostPackage,
    HostUnit,
    SecretTemplate,
)
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.errors import RenderError
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.spec.layout import ENDPOINT_HEALTH_SOCKET, SYSTEMD_DIR, env_file
from generator.spec.model import Cluster, Host, Pool
from generator.spec.sections_network import Vip

NAME = "endpoint-vip"
UNIT = f"{NAME}.service"
CONFIG_DIR = f"/etc/{NAME}"
CONFIG = f"{CONFIG_DIR}/keepalived.conf"
CHECK = "/usr/local/lib/slipway/endpoint-check"
INTERFACE = "/usr/local/lib/slipway/endpoint-interface"
INTERFACE_FILE = f"/run/{NAME}/interface.conf"
PASSWORD = "vrrp/password"
_AUTHENTICATION = ("auth_type PASS", f"auth_pass {{{{secret:{PASSWORD}}}}}")


@dataclass(frozen=True, slots=True)
class EndpointVip:
    """keepalived with one virtual address, and the check by which a host gives it up."""

    name: str = NAME

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        """Return how a host is judged, and what keepalived is left alone."""
        return (
            "a host gives the address up when its own endpoint-balancer does not answer or finds no API server that "
            "passes; no request goes to an API server for that, and no credentials are needed",
            "it has a configuration and a unit of its own and leaves keepalived.service of the distribution alone",
        )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool carry the virtual address."""
        return cluster.carries_vip(pool)

    def settings(self, view: View) -> Settings:
        """Return the unit."""
        return resolved(view.overrides(NAME), unit=_unit(_vip(view.cluster)) if view.cluster.api.vip else {})

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the user of the check, the check, and unit."""
        phase = _phase(view.cluster)
        yield from system_user(NAME, component=NAME, title="Check of the API endpoint", home=f"/run/{NAME}")
        yield HostDirectory(CONFIG_DIR, NAME, phase)
        yield HostFile(CHECK, _script("endpoint-check.sh"), NAME, phase, mode=0o755)
        if _vip(view.cluster).interface is None:
            yield HostFile(INTERFACE, _script("endpoint-interface.sh"), NAME, phase, mode=0o755)
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", unit_text(self.settings(view).unit), NAME, phase, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, phase)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the packages; curl, by which the check asks, is a part of every system of the RHEL family (rpm)."""
        assert view.pool is not None
        yield HostPackage("keepalived", NAME)
        if view.pool.os_family == "debian":
            yield HostPackage("curl", NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the host's priority, address and peers, for root alone: a password is among them."""
        assert view.host is not None
        cluster, phase = view.cluster, _phase(view.cluster)
        vip = _vip(cluster)
        if vip.interface is None:
            facts = f"SLIPWAY_NODE_IP={_own_address(vip, view.host)}\n"
            yield HostFile(env_file(NAME), facts, NAME, phase, restarts=(UNIT,))
        text = _keepalived(cluster, vip, view.host)
        content = SecretTemplate(text) if vip.has_password else text
        yield HostFile(CONFIG, content, NAME, phase, mode=0o400, reloads=(UNIT,))


def _vip(cluster: Cluster) -> Vip:
    if cluster.api.vip is None:
        raise RenderError(f"{cluster.name}: {NAME}: there is no api.vip; report this as a defect")
    return cluster.api.vip


def _phase(cluster: Cluster) -> str:
    """Return the phase of endpoint-balancer, beside which it runs."""
    return "control-plane" if _vip(cluster).role == "control-plane" else "load-balancer"


def _own_address(vip: Vip, host: Host) -> str:
    """Return the host's address of the virtual address's family; the loader has made sure that it has one."""
    return next(address for address in host.addresses if (":" in address) == (vip.family == 6))


def _keepalived(cluster: Cluster, vip: Vip, host: Host) -> str:
    peers = [_own_address(vip, other) for other in cluster.vip_hosts if other.name != host.name]
    lines = [
        "# Who carries the virtual address of the Kubernetes API.",
        "global_defs {",
        f"    router_id {host.name}",
        "    enable_script_security",
        f"    script_user {NAME}",
        "    vrrp_check_unicast_src",
        "}",
        "",
        *([f"include {INTERFACE_FILE}", ""] if vip.interface is None else []),
        "vrrp_script endpoint_balancer {",
        f'    script "{CHECK}"',
        f"    user {NAME}",
        "    interval 2",
        "    timeout 2",
        "    fall 2",
        "    rise 2",
        "}",
        "",
        "vrrp_instance endpoint {",
        "    state BACKUP",
        "    nopreempt",
        f"    version {2 if vip.has_password else 3}",
        f"    interface {vip.interface or '$ENDPOINT_INTERFACE'}",
        f"    virtual_router_id {vip.virtual_router_id}",
        f"    priority {vip.priorities[host.name]}",
        "    advert_int 1",
        "    garp_master_refresh 60",
        f"    unicast_src_ip {_own_address(vip, host)}",
        *_block("unicast_peer", peers),
        *_block("authentication", _AUTHENTICATION if vip.has_password else ()),
        # One address and no network: with the prefix of the spec the kernel would call others by it (IPv6, where the
        # newest address of a network is taken, or an IPv4 prefix that the interface has not), and etcd refuses members
        # that call by an address outside of their certificates. As /128 keepalived also marks it as deprecated.
        *_block("virtual_ipaddress", [f"{vip.address}/{32 if vip.family == 4 else 128}"]),
        *_block("track_script", ["endpoint_balancer"]),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _block(name: str, entries: list[str] | tuple[str, ...]) -> list[str]:
    return [f"    {name} {{", *(f"        {entry}" for entry in entries), "    }"] if entries else []


def _script(name: str) -> str:
    text = resources.files("generator.components").joinpath(name).read_text(encoding="utf-8")
    return text.replace("@SOCKET@", ENDPOINT_HEALTH_SOCKET).replace("@FILE@", INTERFACE_FILE)


def _unit(vip: Vip) -> UnitSections:
    run = f"/run/{NAME}"
    finds_interface = {"EnvironmentFile": env_file(NAME), "ExecStartPre": INTERFACE} if vip.interface is None else {}
    return {
        "Unit": {
            "Description": "The virtual address of the endpoint",
            "Documentation": "man:keepalived.conf(5)",
            "Wants": "network-online.target",
            "After": "network-online.target endpoint-balancer.service",
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "RuntimeDirectory": NAME,
            "WorkingDirectory": run,
            **finds_interface,
            "ExecStart": (
                f"/usr/sbin/keepalived --vrrp --dont-fork --log-console --no-syslog --use-file {CONFIG}"
                f" --pid {run}/keepalived.pid --vrrp_pid {run}/vrrp.pid"
            ),
            "ExecReload": "/bin/kill -HUP $MAINPID",
            # keepalived stops its own process of VRRP, which first gives the address to a peer.
            "KillMode": "mixed",
            "TimeoutStopSec": 5,
            "Restart": "always",
            "RestartSec": 5,
            **sandbox(),
            # Root, but for addresses, raw sockets and the user of the check it may do nothing.
            "CapabilityBoundingSet": "CAP_NET_ADMIN CAP_NET_RAW CAP_SETUID CAP_SETGID CAP_KILL",
            "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


COMPONENT = EndpointVip()
