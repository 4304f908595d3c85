"""ports.yaml: on which ports the hosts of each pool listen, where, and who has a reason to call."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from generator.render.flow import flow
from generator.render.inventory import HEADER
from generator.spec.listener import Listener
from generator.spec.model import Cluster, Host, Pool
from generator.spec.ports import listeners, listens_otherwise, node_ports, own_listeners

PORTS_FILE = "ports.yaml"

_WORDS = """\
# listens: on loopback, on the host's own address, on the virtual address alone, on an address of the program alone that
# is the same on every host (local), or on any. from: the host itself, hosts with a role (etcd, control-plane,
# load-balancer), all hosts of the cluster (nodes), pods, the operator, ranges of addresses, or anyone. ssh is each
# host's own ssh port (inventory.yaml); vrrp and ipip are protocols without ports. Of a range any port may be open, and
# what the spec lists itself (component yours) or pods hold (calico, flannel, node-local-dns,
# node-problem-detector) need not be; the others all are.
"""

_TURNED = """\
# A port that is turned has no listener: the pod network sends what comes to it to a pod, while one runs on the host.
"""


def ports_text(cluster: Cluster, pools: Collection[str]) -> str:
    """Return ports.yaml for the pools that have hosts, by port; hosts with overrides of their own have their own."""
    turned = any("turned" in one.scopes for name in pools for one in listeners(cluster, cluster.pools[name]))
    lines = [HEADER.format(cluster=cluster.name) + _WORDS + (_TURNED if turned else "") + "everyHost:"]
    ssh = {"port": "ssh", "protocol": "tcp", "listens": ["any"], "from": ["operator"], "component": "sshd"}
    lines.append(f"- {flow({**ssh, 'purpose': 'the way in for Slipway'})}")
    lines.append("pools:")
    for name in sorted(pools):
        pool = cluster.pools[name]
        lines.append(f"  {name}:")
        lines.extend(f"  - {flow(entry)}" for entry in _entries(cluster, listeners(cluster, pool), pool))
    return "\n".join(lines) + "\n"


def own_ports(cluster: Cluster) -> Iterator[tuple[str, bytes]]:
    """Yield hosts/<host>/ports.yaml for each host that listens otherwise than its pool, by overrides or for time."""
    for host in cluster.hosts:
        own = listeners(cluster, host.pool, host) if listens_otherwise(host) else ()
        if own and own != listeners(cluster, host.pool):
            yield f"hosts/{host.name}/{PORTS_FILE}", _own_text(cluster, host, own).encode()


def _own_text(cluster: Cluster, host: Host, own: tuple[Listener, ...]) -> str:
    lines = [HEADER.format(cluster=cluster.name) + "ports:"]
    lines.extend(f"- {flow(entry)}" for entry in _entries(cluster, own, host.pool))
    return "\n".join(lines) + "\n"


def _entries(cluster: Cluster, found: tuple[Listener, ...], pool: Pool) -> list[dict[str, Any]]:
    every = [*found, *([node_ports(cluster)] if pool.is_node else []), *own_listeners(pool)]
    return [_entry(one) for one in sorted(every, key=lambda one: (one.port, one.component, one.purpose))]


def _entry(one: Listener) -> dict[str, Any]:
    return {
        "port": f"{one.port}-{one.last}" if one.last else one.port,
        "protocol": one.protocol,
        "listens": list(one.scopes),
        "from": [*one.callers, *one.sources],
        "component": one.component,
        "purpose": one.purpose,
    }
