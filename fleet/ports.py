"""The port table of the rendered tree: on which ports each host is to listen, where, and who has a reason to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

YOURS = "yours"
"""What the port table calls a listener of the user's own, which is not ours to start or to miss."""
_WITHOUT_PORTS = frozenset({"vrrp", "ipip"})
_PODS = frozenset({"calico", "flannel", "node-local-dns", "node-problem-detector"})
"""Components that run as pods on the network of hosts: whether and where they run, the API says."""


@dataclass(frozen=True, slots=True)
class Port:
    """One line of ports.yaml. `last` is the end of a range of which any port may be open; one port has itself there.

    `scopes` are loopback, address (the host's own), virtual (an address that moves between hosts), local (an address of
    the program alone, the same on every host), any, and turned (no socket: the pod network sends what comes to the port
    to a pod); `callers` host, etcd, control-plane, load-balancer, nodes, pods, operator, anyone, or ranges.
    """

    first: int
    last: int
    protocol: str
    scopes: frozenset[str]
    callers: frozenset[str]
    component: str
    purpose: str

    @property
    def may_be_shut(self) -> bool:
        """Whether it need not be open.

        A range, a protocol without ports, a listener of a pod or of the user's own, or a port that is turned.
        """
        outside = self.component == YOURS or self.component in _PODS
        return self.last != self.first or self.protocol in _WITHOUT_PORTS or outside or self.is_turned

    @property
    def is_turned(self) -> bool:
        """Whether the pod network takes what comes to it, so that a listener there would not be reached."""
        return "turned" in self.scopes

    @property
    def is_tcp(self) -> bool:
        """Whether a TCP listener may hold it."""
        return self.protocol not in {"udp", *_WITHOUT_PORTS}

    def holds(self, port: int) -> bool:
        """Return whether a port is this one or of this range."""
        return self.first <= port <= self.last


def table_of(entries: Any, ssh_port: int) -> tuple[Port, ...]:
    """Return the ports that entries of ports.yaml name; `ssh` stands for the host's own ssh port.

    Raises KeyError, TypeError or ValueError for entries that render would not have written.
    """
    return tuple(_port(entry, ssh_port) for entry in entries or ())


def _port(entry: Mapping[str, Any], ssh_port: int) -> Port:
    first, _, last = str(ssh_port if entry["port"] == "ssh" else entry["port"]).partition("-")
    return Port(
        first=int(first),
        last=int(last or first),
        protocol=str(entry["protocol"]),
        scopes=frozenset(entry["listens"]),
        callers=frozenset(entry["from"]),
        component=str(entry["component"]),
        purpose=str(entry["purpose"]),
    )
