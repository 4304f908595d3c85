"""Where the binaries of a cluster are published, and how a mirror of them is laid out.

Sources: https://kubernetes.io/releases/download/ (dl.k8s.io), and the release pages of etcd, containerd, runc,
the CNI plugins and cri-tools on github.com. URLs only; digests are read, never written here.
"""

from __future__ import annotations

from dataclasses import dataclass

_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")


@dataclass(frozen=True, slots=True)
class Publication:
    """How one artifact is published; `{v}` stands for the version, `{a}` for the architecture.

    `path` lies below the root of a mirror or directory. `checksums` is the published file with its SHA-256, which
    holds either the digest alone or lines of digest and file name; "" where there is none, and the download is read.
    """

    path: str
    url: str
    checksums: str


_ETCD = "https://github.com/etcd-io/etcd/releases/download/v{v}"
_CONTAINERD = "https://github.com/containerd/containerd/releases/download/v{v}"
_RUNC = "https://github.com/opencontainers/runc/releases/download/v{v}"
_CNI = "https://github.com/containernetworking/plugins/releases/download/v{v}"
_AGE = "https://github.com/FiloSottile/age/releases/download/v{v}"
_CRICTL = "https://github.com/kubernetes-sigs/cri-tools/releases/download/v{v}"

PUBLICATIONS = {
    **{
        name: Publication(
            f"kubernetes/v{{v}}/bin/linux/{{a}}/{name}",
            f"https://dl.k8s.io/v{{v}}/bin/linux/{{a}}/{name}",
            f"https://dl.k8s.io/v{{v}}/bin/linux/{{a}}/{name}.sha256",
        )
        for name in _KUBERNETES
    },
    "etcd": Publication(
        "etcd/v{v}/etcd-v{v}-linux-{a}.tar.gz", f"{_ETCD}/etcd-v{{v}}-linux-{{a}}.tar.gz", f"{_ETCD}/SHA256SUMS"
    ),
    "containerd": Publication(
        "containerd/v{v}/containerd-{v}-linux-{a}.tar.gz",
        f"{_CONTAINERD}/containerd-{{v}}-linux-{{a}}.tar.gz",
        f"{_CONTAINERD}/containerd-{{v}}-linux-{{a}}.tar.gz.sha256sum",
    ),
    "runc": Publication("runc/v{v}/runc.{a}", f"{_RUNC}/runc.{{a}}", f"{_RUNC}/runc.sha256sum"),
    "cni-plugins": Publication(
        "cni-plugins/v{v}/cni-plugins-linux-{a}-v{v}.tgz",
        f"{_CNI}/cni-plugins-linux-{{a}}-v{{v}}.tgz",
        f"{_CNI}/cni-plugins-linux-{{a}}-v{{v}}.tgz.sha256",
    ),
    "crictl": Publication(
        "crictl/v{v}/crictl-v{v}-linux-{a}.tar.gz",
        f"{_CRICTL}/crictl-v{{v}}-linux-{{a}}.tar.gz",
        f"{_CRICTL}/crictl-v{{v}}-linux-{{a}}.tar.gz.sha256",
    ),
    # Its releases have transparency proofs and no file of digests; the lock reads the archive itself.
    "age": Publication("age/v{v}/age-v{v}-linux-{a}.tar.gz", f"{_AGE}/age-v{{v}}-linux-{{a}}.tar.gz", ""),
}


def mirror_path(name: str, version: str, arch: str) -> str:
    """Return where an artifact lies below the root of a mirror or directory."""
    return PUBLICATIONS[name].path.format(v=version, a=arch)


def official_url(name: str, version: str, arch: str) -> str:
    """Return the URL of an artifact's official download."""
    return PUBLICATIONS[name].url.format(v=version, a=arch)


def checksum_url(name: str, version: str, arch: str) -> str:
    """Return the URL of the published file that holds an artifact's SHA-256, "" where there is none."""
    return PUBLICATIONS[name].checksums.format(v=version, a=arch)
