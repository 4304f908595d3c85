"""What single addons are let, each with its reason: the reviewed lists that tests/addons/test_hardening.py compares.

Names are <addon>/<workload>/<container>, or <addon>/<workload> for what concerns the whole pod. One that holds for a
single variation of an addon ends with " (<variation>)".
"""

from __future__ import annotations

PRIVILEGED: frozenset[str] = frozenset(
    {"calico/calico-node/calico-node", "node-problem-detector/node-problem-detector/kmsg"}
)
"""Containers whose program does not work without: the reason stands beside it in the addon."""

MAY_ESCALATE: frozenset[str] = frozenset(
    {
        # CAP_SYS_ADMIN, beside which the API server refuses allowPrivilegeEscalation: false.
        "gpu-device-plugin/nvidia-device-plugin/device-plugin-mig",
        # newuidmap, which is set-uid, maps the users of images that are built without root.
        "jenkins/buildkitd/buildkitd",
        "jenkins/agent-slipway/agent (buildah)",
    }
)
"""Containers whose program takes up a right that it does not begin with."""

MAY_WRITE_ROOT: frozenset[str] = frozenset(
    {
        # iptables-wrappers link iptables to the kind that the host uses.
        "flannel/kube-flannel-ds/kube-flannel",
        "node-local-dns/node-local-dns/node-cache (default)",
        "node-local-dns/node-local-dns/node-cache (dual-stack)",
        "node-local-dns/node-local-dns/node-cache (ipvs)",
        "calico/calico-node/calico-node",
        # Before 3.26.5 and 3.27.3 it sets bits of files of its image, and stops where it cannot.
        "calico/calico-node/install-cni (kubernetes-1.20)",
        "ingress-nginx/ingress-nginx-controller/controller",
    }
)
"""Containers whose program writes into its own image."""

RUNS_AS_ROOT: frozenset[str] = frozenset(
    {
        "calico/calico-node/calico-node",
        "calico/calico-node/install-cni",
        "coredns/coredns/coredns (1-20)",
        "flannel/kube-flannel-ds/install-cni",
        "flannel/kube-flannel-ds/install-cni-plugin",
        "flannel/kube-flannel-ds/kube-flannel",
        "node-local-dns/node-local-dns/node-cache",
        "node-problem-detector/node-problem-detector/journal",
        "node-problem-detector/node-problem-detector/kmsg",
        "gpu-device-plugin/nvidia-device-plugin/device-plugin",
        "gpu-device-plugin/nvidia-device-plugin/device-plugin-mig",
        "etcd-backup/etcd-backup/etcd-backup",
    }
)
"""Containers that are root: for sockets, devices, routes or files of the host."""

HOST_NETWORK: frozenset[str] = frozenset(
    {
        "flannel/kube-flannel-ds",
        "node-local-dns/node-local-dns",
        "node-problem-detector/node-problem-detector",
        "calico/calico-node",
        "calico/calico-typha",
        "etcd-backup/etcd-backup",
    }
)
"""Pods that share their host's network: those that make the pods' network, or serve the host itself."""

HOST_PATHS_WRITTEN: frozenset[str] = frozenset(
    {
        "calico/calico-node:/opt/cni/bin",
        "calico/calico-node:/etc/cni/net.d",
        "calico/calico-node:/run/xtables.lock",
        "calico/calico-node:/var/run/calico",
        "calico/calico-node:/var/lib/calico",
        "flannel/kube-flannel-ds:/dev/net/tun",
        "flannel/kube-flannel-ds:/etc/cni/net.d",
        "flannel/kube-flannel-ds:/opt/cni/bin",
        "flannel/kube-flannel-ds:/run/flannel",
        "flannel/kube-flannel-ds:/run/xtables.lock",
        "node-local-dns/node-local-dns:/run/xtables.lock",
        "etcd-backup/etcd-backup:/var/lib/slipway/etcd-backup",
        "etcd-backup/etcd-backup:/var/backups/etcd",
        "gpu-device-plugin/nvidia-device-plugin:/data/kubelet/device-plugins",
        "gpu-device-plugin/nvidia-device-plugin:/var/lib/kubelet/device-plugins",
    }
)
"""<addon>/<workload>:<path> that a container may write on the host."""

WITHOUT_PROBES: frozenset[str] = frozenset(
    {
        # Below 1.16 the injector listens on nothing, and its image has no shell.
        "cert-manager/cert-manager-cainjector/cainjector",
        # It listens on a socket of the kubelet's alone, which takes the cards away when nobody answers there.
        "gpu-device-plugin/nvidia-device-plugin/device-plugin",
        "gpu-device-plugin/nvidia-device-plugin/device-plugin-mig",
        # It listens on nothing.
        "local-path/local-path-provisioner/local-path-provisioner",
        # They listen on nothing: java ends where the controller is lost for good, and Jenkins shows who is connected.
        *(f"jenkins/agent-{name}/agent" for name in ("go", "java", "nodejs", "php", "python", "slipway")),
    }
)
"""Containers that offer nothing by which one could see whether they work."""

WILDCARDS: frozenset[tuple[str, str]] = frozenset(
    {
        # Names that cert-manager gives to all issuers of a kind, and no pattern of Kubernetes'.
        (
            "ClusterRole cert-manager-controller-approve:cert-manager-io",
            "approve cert-manager.io/signers names=issuers.cert-manager.io/*,clusterissuers.cert-manager.io/*",
        ),
    }
)
"""Rules for everything of a kind: (role, rule) as test_hardening writes them."""
