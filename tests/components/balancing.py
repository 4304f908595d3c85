"""The ways into the API as specs for tests: node-local, hosts in front, a virtual address here and there."""

from __future__ import annotations

from generator.spec import load_text
from generator.spec.model import Cluster
from tests.components.clusters import cluster

_LB_POOLS = "lb: {roles: [load-balancer], os: debian-12}"
_LB_HOSTS = 'lb[1:2]: {pool: lb, address: "10.0.3.[1:2]"}'
_ON_LB = "vip: {address: 10.0.3.100/24, role: load-balancer, virtualRouterId: 51, priorities: {lb1: 150, lb2: 100}}"
_ON_CP = "vip: {address: 10.0.0.100, role: control-plane, virtualRouterId: 7, priorities: {cp1: 9, cp2: 8, cp3: 7}%s}"

MODES = {
    "nginx": {},
    "nginx-on-the-api-port": {"more": "api: {balancerPort: 6443}"},
    "haproxy": {"more": "api: {balancer: haproxy}"},
    "haproxy-readyz": {"more": "api: {balancer: haproxy, anonymousPaths: [/livez, /readyz]}"},
    "haproxy-on-the-api-port": {"more": "api: {balancer: haproxy, balancerPort: 6443}"},
    "endpoint": {"more": "api: {balancer: none, nodesUse: endpoint, endpoint: {host: api.example.net, port: 443}}"},
    "hosts-in-front": {"more": "api: {endpoint: {host: api.example.net}}", "pools": _LB_POOLS, "hosts": _LB_HOSTS},
    "vip-on-load-balancers": {"more": f"api: {{{_ON_LB}}}", "pools": _LB_POOLS, "hosts": _LB_HOSTS},
    "vip-on-control-plane": {"more": f"api: {{{_ON_CP % ', port: 9443'}}}"},
    "vip-on-the-api-port": {"more": f"api: {{{_ON_CP % ''}, balancer: none, nodesUse: endpoint}}"},
    "vip-by-interface": {"more": f"api: {{{_ON_CP % ', port: 9443, interface: eth1'}}}"},
}
"""Each mode by name."""


def cluster_of(mode: str, kubernetes: str = "1.36.1") -> Cluster:
    """Return the cluster of a mode: three control-plane hosts, two workers, two hosts in front where there are any."""
    return cluster(kubernetes, **MODES[mode])


def ipv6_cluster() -> Cluster:
    """Return a dual-stack cluster with a virtual IPv6 address on its control plane."""
    return load_text(
        """\
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: demo}
versions: {kubernetes: "1.36.1"}
network: {podCIDR: [10.244.0.0/16, "fd00:10::/56"], serviceCIDR: [10.96.0.0/16, "fd00:20::/112"]}
api:
  vip:
    address: "fd00::100/64"
    role: control-plane
    virtualRouterId: 51
    priorities: {cp1: 3, cp2: 2, cp3: 1}
pools:
  control: {roles: [etcd, control-plane]}
hosts:
  cp[1:3]: {pool: control, address: "10.0.0.[1:3]", secondaryAddress: "fd00::[1:3]"}
"""
    )
