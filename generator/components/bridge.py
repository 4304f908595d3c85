"""The bridge network plugin: a bridge per node and a route per node, for labs and flat networks."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

from generator.components.daemon import UnitSections
from generator.components.items import HostDirectory, HostFile, HostItem, HostUnit
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import CNI_CONF_DIR, SYSTEMD_DIR, env_file
from generator.spec.model import Cluster, Host, Pool

NAME = "bridge"
PHASE = "network"
UNIT = "bridge-routes.service"
CONFLIST = f"{CNI_CONF_DIR}/10-bridge.conflist"
ROUTES = "/etc/bridge/routes"
SCRIPT = "/usr/local/lib/slipway/bridge-routes"


@dataclass(frozen=True, slots=True)
class Bridge:
    """Pod networking without an overlay; `config` of an override is merged into the bridge plugin's entry."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "every node must reach every other without a router in between: the routes lead to the nodes' addresses",
        "pods are masqueraded only when they leave the pod network, by bridge-routes.service and not by the plugin, "
        "which would hide the sender also between nodes",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes of a cluster that uses this plugin."""
        return cluster.network.plugin == NAME and pool.is_node

    def settings(self, view: View) -> Settings:
        """Return the unit and the fields of the bridge plugin."""
        return resolved(view.overrides(NAME), unit=_unit(view.cluster), config=_bridge())

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the list of routes, the program that installs them, and its unit.

        Nothing restarts: a reload runs the program again, while a restart would take the routes away in between.
        """
        reloads = (UNIT,)
        yield HostDirectory("/etc/bridge", NAME, PHASE)
        yield HostDirectory("/usr/local/lib/slipway", NAME, PHASE)
        yield HostFile(ROUTES, _routes(view.cluster), NAME, PHASE, reloads=reloads)
        yield HostFile(SCRIPT, _script(), NAME, PHASE, mode=0o755, reloads=reloads)
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", unit_text(self.settings(view).unit), NAME, PHASE, reloads=reloads)
        yield HostUnit(UNIT, NAME, PHASE)

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no pool differs."""
        return ()

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the node's pod subnets as CNI configuration, and its addresses, which have no route."""
        assert view.host is not None
        # The runtime watches the folder by itself.
        yield HostFile(CONFLIST, _conflist(view.host, dict(self.settings(view).config)), NAME, PHASE)
        facts = f"SLIPWAY_NODE_IP={','.join(view.host.addresses)}\n"
        yield HostFile(env_file(NAME), facts, NAME, PHASE, reloads=(UNIT,))


def _bridge() -> dict[str, Any]:
    return {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        # A pod may reach itself through its Service.
        "hairpinMode": True,
    }


def _conflist(host: Host, bridge: dict[str, Any]) -> str:
    """Return the network configuration list, CNI 0.4.0: the newest that every supported containerd reads."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}] for subnet in host.pod_subnets],
        "routes": [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in host.pod_subnets],
    }
    plugins = [
        {**dict(sorted(bridge.items())), "ipam": {**ipam, **bridge.get("ipam", {})}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": NAME, "plugins": plugins}, indent=2) + "\n"


def _routes(cluster: Cluster) -> str:
    """Return one line for each pod subnet, in the order of numbers: `<subnet> via <address of its node>`."""
    pairs = [
        (ipaddress.ip_network(subnet), address)
        for host in cluster.nodes
        for subnet in host.pod_subnets
        for address in host.addresses
        if (":" in subnet) == (":" in address)
    ]
    pairs.sort(key=lambda pair: (pair[0].version, int(pair[0].network_address), pair[1]))
    return "".join(f"{subnet} via {address}\n" for subnet, address in pairs)


def _script() -> str:
    return (resources.files("generator.components") / "bridge-routes.sh").read_text(encoding="utf-8")


def _unit(cluster: Cluster) -> UnitSections:
    networks = "systemd-networkd.service NetworkManager.service networking.service"
    return {
        "Unit": {
            "Description": "Routes to the pods of the other nodes",
            "Wants": "network-online.target",
            "After": f"network-online.target {networks}",
            # These may drop routes that they did not make when they start anew; then ours are made anew too.
            "PartOf": networks,
        },
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": True,
            "WorkingDirectory": "/",
            "Environment": f"SLIPWAY_POD_CIDRS={','.join(cluster.network.pod_cidrs)}",
            "EnvironmentFile": env_file(NAME),
            "ExecStart": f"/bin/sh {SCRIPT} install",
            "ExecReload": f"/bin/sh {SCRIPT} install",
            "ExecStop": f"/bin/sh {SCRIPT} remove",
            # What kube-proxy bears, which runs iptables too; modules of the packet filter are loaded on the way.
            "UMask": "0077",
            "CapabilityBoundingSet": "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_MODULE",
            "NoNewPrivileges": True,
            "ProtectSystem": "full",
            "ProtectHome": True,
            "PrivateTmp": True,
            "ProtectHostname": True,
            "ProtectClock": True,
            "ProtectKernelLogs": True,
            "ProtectControlGroups": True,
            "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "RestrictNamespaces": True,
            "RestrictRealtime": True,
            "RestrictSUIDSGID": True,
            "LockPersonality": True,
            "MemoryDenyWriteExecute": True,
            "SystemCallArchitectures": "native",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


COMPONENT = Bridge()
