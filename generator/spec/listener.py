"""What a listening port is: where it listens, and who may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from generator.spec.yaml_source import Path

VRRP = "vrrp"
"""The protocol by which hosts agree who carries a virtual address: IP protocol 112 (RFC 5798), which has no ports."""
IPIP = "ipip"
"""Tunnels of a pod network: IP protocol 4 (RFC 2003), which has no ports either."""

Scope = Literal["loopback", "address", "virtual", "local", "any", "turned"]
"""Where a port is bound: loopback, the host's own address, the virtual address alone, an address that only the program
itself has and that every host has for itself, or every address.

A port that is turned has no socket: the pod network sends what comes to it, by any address of the host, to a pod.
"""

Caller = Literal["host", "etcd", "control-plane", "load-balancer", "nodes", "pods", "anyone"]
"""Who has a reason to call: the host itself, hosts with a role, all hosts, pods, or anyone who reaches the host."""

YOURS = "yours"
"""What stands for a component in the line of a listener that the user's own spec names."""

LOOPBACK: tuple[Scope, ...] = ("loopback",)
HOST_ITSELF: tuple[Caller, ...] = ("host",)


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening port; `field` is where the spec sets it, empty where it is fixed.

    `last` ends a range of ports, of which any number may be open (0: one port, which is always open). `protocol` is
    tcp, udp, any, vrrp or ipip; with the last two `port` is 0. `sources` are ranges of addresses that may call beside
    the callers.
    """

    port: int
    component: str
    purpose: str
    field: Path = ()
    scopes: tuple[Scope, ...] = LOOPBACK
    callers: tuple[Caller, ...] = HOST_ITSELF
    protocol: str = "tcp"
    last: int = 0
    sources: tuple[str, ...] = ()
