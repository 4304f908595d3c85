"""Rules about versions, encryption, certificates, folders, the runtime, kernel parameters and files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from generator.spec.faults import Findings
from generator.spec.layout import SYSTEM_FOLDERS
from generator.spec.model import Cluster, ExtraFile, Host, Source
from generator.spec.scalars import days
from generator.spec.schema import ClusterSpec
from generator.spec.versions import incompatibilities, unsupported
from generator.spec.yaml_source import Path

_OUR_FOLDERS = (
    "/etc/slipway",
    "/etc/kubernetes/pki",
    "/etc/etcd/pki",
    "/var/lib/slipway",
    "/run/slipway",
    "/proc",
    "/sys",
    "/dev",
)
_RESOURCE = re.compile(r"\*\.(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?|[a-z][a-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")
_SYSCTL = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_*-]+)+")
_SECRET_TEXT = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1")
_FORWARDING = {
    4: {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"},
    6: {"net.ipv6.conf.all.forwarding": "1", "net.bridge.bridge-nf-call-ip6tables": "1"},
}
# What the kubelet compares at its start, number by number (setupKernelTunables in pkg/kubelet/cm).
_KUBELET_WANTS = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.keys.root_maxbytes": "25000000",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
}


def check_versions(cluster: Cluster, findings: Findings) -> None:
    """Check that versions are supported and go together."""
    versions = cluster.versions
    refused = unsupported(versions.kubernetes)
    if refused is not None:
        findings.fault(("versions", refused.component), refused.what, refused.todo)
        return
    for one in incompatibilities(versions.kubernetes, versions.etcd, versions.containerd):
        findings.fault(("versions", one.component), one.what, one.todo)
    mode, path = cluster.network.proxy_mode, ("network", "proxyMode")
    if mode == "nftables" and versions.minor < (1, 31):
        findings.fault(
            path,
            f"kube-proxy {versions.minor_text} has no nftables mode that is on (k/k#124383: 1.31)",
            "use iptables, or upgrade",
        )
    if mode == "ipvs" and versions.minor >= (1, 35):
        findings.warn(path, "ipvs is deprecated since Kubernetes 1.35 (k/k#134539)", "use nftables or iptables")


def check_settings(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check everything that needs no list of hosts."""
    _encryption(cluster, findings)
    _certificates(spec, cluster, findings)
    _folders(cluster, findings)
    _runtime(cluster, findings)
    _sysctl(cluster, findings)
    _files(cluster, findings)
    if not cluster.audit.enabled and cluster.audit.policy is not None:
        findings.warn(
            ("audit", "policy"), "the audit log is off, so the policy is not used", "turn it on, or take the policy out"
        )


def _encryption(cluster: Cluster, findings: Findings) -> None:
    path: Path = ("encryption", "resources")
    resources = cluster.encryption.resources
    for resource in resources:
        covering = _covering(resource, resources)
        if covering is not None:
            what = f"{resource} is covered by {covering} already, and the API server refuses both in one list"
            findings.fault(path, what, "keep one of the two")
        if not _RESOURCE.fullmatch(resource):
            findings.fault(
                path,
                f"{resource!r} is not a resource",
                "write the plural name, with .group outside the core: deployments.apps",
            )
        elif "*" in resource and cluster.versions.minor < (1, 27):
            what = f"Kubernetes {cluster.versions.minor_text} takes no wildcard here (1.27 does)"
            findings.fault(path, what, "name the resources")
    if cluster.encryption.provider == "":
        findings.warn(("encryption", "provider"), "Secrets lie in etcd and its backups in plain text", "use secretbox")
    elif not {"secrets", "*.", "*.*"} & set(cluster.encryption.resources):
        findings.warn(path, "secrets are not among what is encrypted", "add secrets")
    if cluster.encryption.provider == "aesgcm":
        findings.warn(
            ("encryption", "provider"),
            "aesgcm is safe only while its key is rotated every 200,000 writes",
            "use secretbox",
        )


def _covering(resource: str, resources: Sequence[str]) -> str | None:
    """Return the wildcard of the same list that covers a resource, as validateResourceOverlap of the API server."""
    name, _, group = resource.partition(".")
    wildcards = ("*.*",) if name == "*" else ("*.*", f"*.{group}")
    return next((one for one in wildcards if one != resource and one in resources), None)


def _certificates(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    pki = cluster.pki
    validity = spec.pki.validity
    leaves: Mapping[str, str] = {str(name): text for name, text in validity.leaves.items()}
    shortest_ca = min(pki.ca_days.values())
    for name, leaf in pki.leaf_days.items():
        own = leaves.get(name)
        path: Path = ("pki", "validity", "leaves", name) if own is not None else ("pki", "validity", "leaf")
        if leaf > shortest_ca:
            findings.fault(
                path,
                f"{own or validity.leaf} is longer than the shortest CA, {shortest_ca}d",
                "no certificate outlives its CA",
            )
        if leaf <= pki.warn_days:
            what = f"{own or validity.leaf} is not longer than pki.warnBefore, {spec.pki.warn_before}"
            findings.fault(path, what, "use a longer validity, or a shorter warnBefore")
    if "kube-proxy" in validity.leaves and not pki.kube_proxy_leaf:
        what = "kube-proxy has no certificate of its own: it uses the kubelet's"
        findings.warn(
            ("pki", "validity", "leaves", "kube-proxy"), what, "set pki.kubeProxyCertificate, or take the line out"
        )
    if "addons/metrics-server" in validity.leaves and not cluster.addons.metrics_server.enabled:
        what = "metrics-server does not run, so it has no certificate"
        findings.warn(("pki", "validity", "leaves", "addons/metrics-server"), what, "enable it, or take the line out")
    written = findings.document.lines
    if pki.external_ca:
        for path in (("pki", "validity", "ca"), ("pki", "validity", "cas")):
            if path in written:
                findings.fault(
                    path, "is decided by the external CA that signs ours", "take it out, or set externalCA: false"
                )
    if min(days(validity.ca), shortest_ca) < 365:
        findings.warn(
            ("pki", "validity"),
            "a CA is valid for less than a year, and its renewal touches every host",
            "use several years",
        )


def _folders(cluster: Cluster, findings: Findings) -> None:
    folders = cluster.directories
    named = {"etcdData": folders.etcd_data, "etcdWal": folders.etcd_wal, "kubelet": folders.kubelet,
             "containerd": folders.containerd, "auditLog": folders.audit_log}  # fmt: skip
    seen: list[tuple[str, PurePosixPath]] = []
    for key, text in named.items():
        if text is None:
            continue
        path = PurePosixPath(text)
        if any(path.is_relative_to(folder) for folder in SYSTEM_FOLDERS) or path.is_relative_to("/var/lib/slipway"):
            findings.fault(
                ("directories", key), f"{text} lies in a folder of the system", "use a folder below /var, /srv or /data"
            )
        for other, taken in seen:
            if path.is_relative_to(taken) or taken.is_relative_to(path):
                findings.fault(
                    ("directories", key), f"{text} and {taken} of {other} lie in one another", "let them be apart"
                )
        seen.append((key, path))


def _runtime(cluster: Cluster, findings: Findings) -> None:
    hosts = [registry.host for registry in cluster.runtime.registries]
    path: Path = ("runtime", "registries")
    for host in sorted({host for host in hosts if hosts.count(host) > 1}):
        findings.fault(path, f"{host} is there twice", "put its mirrors into one entry")
    for registry in cluster.runtime.registries:
        if registry.credentials and registry.host == "_default":
            findings.fault(path, "_default has credentials, and they are one registry's", "name the registry")
        if registry.skip_verify and registry.ca_file is not None:
            findings.fault(path, f"{registry.host} has a caFile, and skipVerify passes over it", "keep one of the two")
        elif registry.skip_verify:
            findings.warn(
                path,
                f"the certificate of {registry.host} is not checked: anybody on the way can change images",
                "use caFile",
            )
    if cluster.runtime.cgroup_driver == "cgroupfs":
        what = "with cgroupfs the kubelet and systemd manage cgroups beside each other"
        findings.warn(("runtime", "cgroupDriver"), what, "use systemd, except on hosts that cannot")


def _sysctl(cluster: Cluster, findings: Findings) -> None:
    first, last = cluster.network.node_port_range
    protects = any(_protects_kernel_defaults(cluster, host) for host in cluster.nodes)
    families = {ipaddress.ip_network(cidr).version for cidr in cluster.network.pod_cidrs}
    forwarding = {key: value for family in families for key, value in _FORWARDING[family].items()}
    for key, value in cluster.sysctl.items():
        at: Path = ("sysctl", key)
        if not _SYSCTL.fullmatch(key):
            findings.fault(at, f"{key!r} is not a kernel parameter", "write it as sysctl does, like vm.max_map_count")
        if value is not None and (value == "" or "\n" in value):
            findings.fault(at, "is empty or holds a line break", "write its value on one line, or null")
        # sysctl.d(5) takes slashes for dots.
        plain = key.replace("/", ".")
        if plain in forwarding and value != forwarding[plain]:
            findings.fault(at, f"must be {forwarding[plain]}: without it no pod reaches another host", "take it out")
        if plain in _KUBELET_WANTS and protects and value != _KUBELET_WANTS[plain]:
            what = f"must be {_KUBELET_WANTS[plain]}: with protectKernelDefaults the kubelet exits otherwise"
            findings.fault(at, what, "take it out, or set protectKernelDefaults: false in the kubelet's config")
        if plain == "net.ipv4.ip_local_reserved_ports" and not _covers(value, first, last):
            what = f"does not hold the node ports {first}-{last}, which outgoing connections would then take"
            findings.fault(at, what, f"add {first}-{last}, or take it out")


def _protects_kernel_defaults(cluster: Cluster, host: Host) -> bool:
    """Return whether the kubelet of a host stops on other kernel settings, which ours does unless the spec says not."""
    for layer in (host.components, host.pool.components, cluster.components):
        if "kubelet" in layer and "protectKernelDefaults" in layer["kubelet"].config:
            return layer["kubelet"].config["protectKernelDefaults"] is True
    return True


def _covers(value: str | None, first: int, last: int) -> bool:
    for span in (value or "").split(","):
        match = re.fullmatch(r"([0-9]{1,5})(-([0-9]{1,5}))?", span.strip())
        if match is not None and int(match[1]) <= first and last <= int(match[3] or match[1]):
            return True
    return False


def _files(cluster: Cluster, findings: Findings) -> None:
    layers: list[tuple[Path, tuple[ExtraFile, ...]]] = [(("files",), cluster.files)]
    layers += [(("pools", pool.name, "files"), pool.files) for pool in cluster.pools.values()]
    layers += [((*findings.host_paths[host.name], "files"), host.files) for host in cluster.hosts]
    seen: set[tuple[str, Source]] = set()
    for path, files in layers:
        for file in files:
            if (file.path, file.where) in seen:
                continue
            seen.add((file.path, file.where))
            at = _entry(path, file, findings)
            if any(PurePosixPath(file.path).is_relative_to(folder) for folder in _OUR_FOLDERS):
                findings.fault(at, f"{file.path} lies in a folder that Slipway keeps for itself", "use another path")
            if _SECRET_TEXT.search(file.content):
                findings.fault(
                    at,
                    f"the source of {file.path} holds a private key, and rendered files are plain text",
                    "use a sealed secret",
                )


def _entry(path: Path, file: ExtraFile, findings: Findings) -> Path:
    index = 0
    while (*path, index) in findings.document.lines:
        if findings.document.lines[(*path, index)] == file.where.line:
            return (*path, index)
        index += 1
    return path
