"""Which parts of a component may be overridden, which flags Slipway owns, and which ones add up over layers.

An owned flag is one on whose value other files, certificates or hosts rest. It is refused under `flags`, with the field
that sets it, and taken under `unsafeFlags`, where a reviewer sees the word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OVERRIDABLE: Mapping[str, frozenset[str]] = {
    "apiserver-balancer": frozenset({"unit", "config"}),
    "bridge": frozenset({"unit", "config"}),
    "containerd": frozenset({"unit", "config"}),
    "csr-approver": frozenset({"unit"}),
    "endpoint-balancer": frozenset({"unit", "config"}),
    "endpoint-vip": frozenset({"unit"}),
    "etcd": frozenset({"flags", "unit"}),
    "etcd-backup": frozenset({"unit"}),
    "kube-apiserver": frozenset({"flags", "unit"}),
    "kube-controller-manager": frozenset({"flags", "unit"}),
    "kube-proxy": frozenset({"flags", "unit", "config"}),
    "kube-scheduler": frozenset({"flags", "unit", "config"}),
    "kubelet": frozenset({"flags", "unit", "config"}),
}
"""What each component lets a spec override; `flags` stands for unsafeFlags too."""

_CONTROL_PLANE = frozenset({"control-plane"})
_NODES = frozenset({"control-plane", "worker"})
ROLES: Mapping[str, frozenset[str]] = {
    "apiserver-balancer": _NODES,
    "bridge": _NODES,
    "containerd": _NODES,
    "csr-approver": _CONTROL_PLANE,
    "endpoint-balancer": _CONTROL_PLANE | {"load-balancer"},
    "endpoint-vip": _CONTROL_PLANE | {"load-balancer"},
    "etcd": frozenset({"etcd"}),
    "etcd-backup": frozenset({"etcd"}),
    "kube-apiserver": _CONTROL_PLANE,
    "kube-controller-manager": _CONTROL_PLANE,
    "kube-proxy": _NODES,
    "kube-scheduler": _CONTROL_PLANE,
    "kubelet": _NODES,
}
"""The roles of which one makes a host run the component."""

ADDITIVE: Mapping[str, frozenset[str]] = {
    "etcd": frozenset({"feature-gates"}),
    "kube-apiserver": frozenset(
        {"feature-gates", "enable-admission-plugins", "disable-admission-plugins", "runtime-config"}
    ),
    "kube-controller-manager": frozenset({"feature-gates", "controllers"}),
    "kube-proxy": frozenset({"feature-gates"}),
    "kube-scheduler": frozenset({"feature-gates"}),
    "kubelet": frozenset({"feature-gates"}),
}
"""List-like flags, whose values from several layers add up."""

_CERTIFICATES = "certificates and their paths belong to the pki section"
_KUBECONFIG = "Slipway writes the kubeconfig itself"
_SERVING = {"tls-cert-file": _CERTIFICATES, "tls-private-key-file": _CERTIFICATES, "client-ca-file": _CERTIFICATES}
_FRONT_PROXY = {
    "requestheader-client-ca-file": _CERTIFICATES,
    "requestheader-allowed-names": _CERTIFICATES,
    "requestheader-username-headers": "the aggregation layer rests on it",
    "requestheader-group-headers": "the aggregation layer rests on it",
    "requestheader-extra-headers-prefix": "the aggregation layer rests on it",
}
_KUBECONFIGS = {
    "kubeconfig": _KUBECONFIG,
    "authentication-kubeconfig": _KUBECONFIG,
    "authorization-kubeconfig": _KUBECONFIG,
}

OWNED: Mapping[str, Mapping[str, str]] = {
    "etcd": {
        "name": "members are named as their hosts",
        "data-dir": "set directories.etcdData",
        "wal-dir": "set directories.etcdWal",
        "config-file": "etcd then passes over every flag",
        **dict.fromkeys(
            ("listen-client-urls", "listen-peer-urls", "listen-metrics-urls", "advertise-client-urls",
             "initial-advertise-peer-urls"),
            "it follows the address of the host",
        ),
        **dict.fromkeys(("initial-cluster", "initial-cluster-state", "initial-cluster-token", "force-new-cluster"),
                        "members come from the hosts, and the state from the first formation"),
        **dict.fromkeys(
            ("cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file"),
            _CERTIFICATES,
        ),
        **dict.fromkeys(
            ("client-cert-auth", "peer-client-cert-auth", "auto-tls", "peer-auto-tls"),
            "etcd always asks for certificates",
        ),
    },
    "kube-apiserver": {
        **_SERVING,
        **_FRONT_PROXY,
        **dict.fromkeys(
            ("etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile"),
            "it follows from the etcd hosts and the pki section",
        ),
        **dict.fromkeys(
            ("kubelet-client-certificate", "kubelet-client-key", "kubelet-certificate-authority",
             "proxy-client-cert-file", "proxy-client-key-file", "service-account-key-file",
             "service-account-signing-key-file"),
            _CERTIFICATES,
        ),
        "service-account-issuer": "it follows network.domain",
        "service-cluster-ip-range": "set network.serviceCIDR",
        "service-node-port-range": "set network.nodePortRange",
        "secure-port": "set api.port",
        **dict.fromkeys(
            ("bind-address", "advertise-address"),
            "balancers and gates enter by the address of each host, ${SLIPWAY_NODE_IP}",
        ),
        "encryption-provider-config": "set encryption",
        "audit-policy-file": "set audit.policy",
        "audit-log-path": "set directories.auditLog",
        "authorization-mode": "Node and RBAC are what certificates and bindings are made for",
        "authorization-config": "Node and RBAC are what certificates and bindings are made for",
        "anonymous-auth": "set api.anonymousPaths",
        "authentication-config": "set api.anonymousPaths",
        "enable-bootstrap-token-auth": "nodes join by bootstrap tokens",
    },
    "kube-controller-manager": {
        **_SERVING,
        **_FRONT_PROXY,
        **_KUBECONFIGS,
        **dict.fromkeys(
            ("cluster-signing-cert-file", "cluster-signing-key-file", "root-ca-file",
             "service-account-private-key-file"),
            _CERTIFICATES,
        ),
        "cluster-cidr": "set network.podCIDR",
        "service-cluster-ip-range": "set network.serviceCIDR",
        "allocate-node-cidrs": "it follows network.plugin",
        **dict.fromkeys(
            ("node-cidr-mask-size", "node-cidr-mask-size-ipv4", "node-cidr-mask-size-ipv6"),
            "set network.nodeMaskSize",
        ),
        "secure-port": "the health gate asks on 10257",
        "use-service-account-credentials": "bindings are made for one account per controller",
    },
    "kube-scheduler": {
        **_SERVING,
        **_FRONT_PROXY,
        **_KUBECONFIGS,
        "config": "set config",
        "secure-port": "the health gate asks on 10259",
    },
    "kubelet": {
        **_SERVING,
        "config": "set config",
        "kubeconfig": _KUBECONFIG,
        "bootstrap-kubeconfig": _KUBECONFIG,
        "cert-dir": "set directories.kubelet",
        "root-dir": "set directories.kubelet",
        "node-ip": "it is the address of the host",
        "hostname-override": "set nodeNaming",
        "node-labels": "set labels of the pool or host",
        "register-with-taints": "set taints of the pool",
        "register-node": "nodes register themselves",
        "container-runtime-endpoint": "the runtime is containerd",
        "cgroup-driver": "set runtime.cgroupDriver",
        "cluster-domain": "set network.domain",
        "cluster-dns": "set network.dnsIP, or config.clusterDNS",
        "pod-infra-container-image": "set runtime.sandboxImage",
    },
    "kube-proxy": {
        "config": "set config",
        "kubeconfig": _KUBECONFIG,
        "hostname-override": "set nodeNaming",
        "cluster-cidr": "set network.podCIDR",
        "proxy-mode": "set network.proxyMode",
    },
}  # fmt: skip
"""Owned flags by component, each with what to do instead, or why."""

OWNED_CONFIG: Mapping[str, Mapping[str, str]] = {
    "kubelet": {"cgroupDriver": "set runtime.cgroupDriver", "clusterDomain": "set network.domain"},
    "kube-proxy": {"clusterCIDR": "set network.podCIDR", "mode": "set network.proxyMode"},
}
"""Fields of configuration files for which the spec has a field of its own, since others must agree with it."""

GUARDED_CONFIG: Mapping[str, Mapping[tuple[str, ...], tuple[Any, str]]] = {
    "kubelet": {
        ("authentication", "anonymous", "enabled"): (False, "lets anybody on the network speak to the kubelets"),
        ("authentication", "webhook", "enabled"): (True, "keeps the API's clients from the kubelets"),
        ("authorization", "mode"): ("Webhook", "lets everybody whom a kubelet knows do everything there"),
        ("readOnlyPort",): (0, "shows the pods of a node to anybody on the network"),
        ("serverTLSBootstrap",): (True, "leaves the kubelets with certificates that nobody can verify"),
        ("rotateCertificates",): (True, "lets the nodes drop out when their certificates end"),
    },
}
"""Fields with a safe value, and what any other does. Other values are taken, with a warning that a reviewer reads."""


def additive_flags(component: str) -> frozenset[str]:
    """Return the list-like flags of a component."""
    return ADDITIVE.get(component, frozenset())
