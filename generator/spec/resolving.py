"""From the schema to the model: defaults that depend on other fields filled in, everything in canonical order."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace

from generator.spec import inventory
from generator.spec.addons.etcd_backup import EtcdBackupSection, recipient
from generator.spec.addons.jenkins import JenkinsSection
from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.overriding import files, overrides, text_of
from generator.spec.scalars import days
from generator.spec.schema import ClusterSpec
from generator.spec.schema_network import ApiSpec, NetworkSpec, VipSpec
from generator.spec.schema_settings import PkiSpec, VersionsSpec
from generator.spec.sections import (
    Artifacts,
    Audit,
    Backup,
    Directories,
    Encryption,
    Firewall,
    PkiSettings,
    Registry,
    Runtime,
    Verify,
    Versions,
)
from generator.spec.sections_network import Api, Network, Vip
from generator.spec.system_layers import system_of
from generator.spec.versions import AGE, companions, default_crictl, minor_of

CA_NAMES = ("ca", "etcd/ca", "front-proxy-ca")
LEAF_NAMES = (
    "apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "controller-manager", "csr-approver",
    "etcd/backup", "etcd/healthcheck-client", "etcd/peer", "etcd/server", "front-proxy-client", "kube-proxy",
    "scheduler",
    "addons/calico-node", "addons/metrics-server", "addons/typha",
)  # fmt: skip
_SUBJECT_FIELDS = {"country": "C", "state": "ST", "locality": "L", "organizational_unit": "OU"}


def resolved(spec: ClusterSpec, findings: Findings) -> Cluster:
    """Return the cluster; hosts that cannot be expanded or name no pool are left out and stand in `findings`."""
    versions = _versions(spec.versions)
    found = inventory.machines(spec, findings)
    system = system_of((inventory.system_layer(spec),), findings)
    pools = inventory.pools(spec, versions.minor, system, findings)
    return Cluster(
        name=spec.metadata.name,
        versions=versions,
        network=_network(spec.network),
        api=_api(spec.api),
        directories=Directories(
            spec.directories.etcd_data,
            spec.directories.etcd_wal,
            spec.directories.kubelet,
            spec.directories.containerd,
            spec.directories.audit_log,
        ),
        encryption=Encryption(
            "" if spec.encryption.provider == "none" else spec.encryption.provider,
            tuple(sorted(set(spec.encryption.resources))),
        ),
        audit=Audit(
            spec.audit.enabled,
            spec.audit.max_age,
            spec.audit.max_backups,
            spec.audit.max_size,
            text_of(spec.audit.policy, ("audit", "policy"), findings) if spec.audit.policy is not None else None,
        ),
        pki=_pki(spec.pki),
        runtime=_runtime(spec, findings),
        verify=Verify(spec.verify.image),
        artifacts=Artifacts(spec.artifacts.mirror, spec.artifacts.fetch),
        ssh=inventory.cluster_ssh(spec, found, findings),
        sysctl=dict(sorted(spec.sysctl.items())),
        pools=pools,
        hosts=tuple(inventory.hosts(spec, found, pools, findings)),
        components=overrides(spec.components, ("components",), findings),
        files=files(spec.files, ("files",), findings),
        firewall=Firewall(
            spec.firewall.mode,
            tuple(sorted(set(spec.firewall.operators))),
            tuple(sorted(set(spec.firewall.node_protocols))),
        ),
        addons=spec.addons,
        backup=_backup(spec.addons.etcd_backup, findings),
        system=system,
        jenkins_ca=_jenkins_ca(spec.addons.jenkins, findings),
    )


def _versions(spec: VersionsSpec) -> Versions:
    minor = minor_of(spec.kubernetes)
    suited = companions(minor)
    return Versions(
        kubernetes=spec.kubernetes,
        etcd=spec.etcd or suited.etcd,
        containerd=spec.containerd or suited.containerd,
        runc=spec.runc or suited.runc,
        cni_plugins=spec.cni_plugins or suited.cni_plugins,
        crictl="" if spec.crictl == "none" else spec.crictl or default_crictl(minor),
        age=spec.age or AGE,
    )


def _backup(section: EtcdBackupSection, findings: Findings) -> Backup:
    """Return the texts of files that the backup names; a line that is no recipient is a fault."""
    found = list(section.recipients)
    if section.recipients_file is not None:
        path = ("addons", "etcdBackup", "recipientsFile")
        text = text_of(section.recipients_file, path, findings) or ""
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                found.append(recipient(line))
            except ValueError as error:
                findings.fault(path, f"line {number} of {section.recipients_file}: {error}", "correct the line")
    s3 = section.target.s3
    ca = None
    if s3 is not None and s3.ca_file is not None:
        ca = text_of(s3.ca_file, ("addons", "etcdBackup", "target", "s3", "caFile"), findings)
    return Backup(tuple(dict.fromkeys(found)), ca)


def _jenkins_ca(section: JenkinsSection, findings: Findings) -> str | None:
    """Return the certificates that the delivery chain trusts; a file without one, or with a key, is a fault."""
    if section.ca_file is None:
        return None
    path = ("addons", "jenkins", "caFile")
    text = text_of(section.ca_file, path, findings)
    if text is None:
        return None
    if "PRIVATE KEY-----" in text:
        # It would become a ConfigMap, which everybody reads.
        findings.fault(path, f"there is a private key in {section.ca_file}", "leave the certificates alone in it")
    begun, ended = (text.count(f"-----{word} CERTIFICATE-----") for word in ("BEGIN", "END"))
    if begun != ended or not begun:
        findings.fault(path, f"{section.ca_file} holds no certificates in PEM", "write them one after the other")
    return text.rstrip() + "\n"


def _network(spec: NetworkSpec) -> Network:
    sizes = spec.node_mask_size or [24 if ipaddress.ip_network(cidr).version == 4 else 64 for cidr in spec.pod_cidr]
    first, last = spec.node_port_range.split("-")
    return Network(
        pod_cidrs=tuple(spec.pod_cidr),
        service_cidrs=tuple(spec.service_cidr),
        node_mask_sizes=tuple(sizes),
        node_port_range=(int(first), int(last)),
        domain=spec.domain,
        dns_ips=tuple(spec.dns_ip) if spec.dns_ip is not None else tuple(_tenth(cidr) for cidr in spec.service_cidr),
        plugin=spec.plugin,
        proxy_mode=spec.proxy_mode,
    )


def _api(spec: ApiSpec) -> Api:
    vip = _vip(spec.vip, spec.port) if spec.vip is not None else None
    host, port = (None, None) if spec.endpoint is None else (spec.endpoint.host, spec.endpoint.port)
    api = Api(
        port=spec.port,
        endpoint_host=vip.address if host is None and vip is not None else host,
        endpoint_port=port if port is not None else vip.port if vip is not None else spec.port,
        extra_sans=tuple(sorted(set(spec.extra_sans))),
        balancer_port=spec.balancer_port,
        anonymous_paths=tuple(sorted(set(spec.anonymous_paths))),
        balancer=spec.balancer,
        nodes_use=spec.nodes_use,
        bind=spec.bind or "any",
        vip=vip,
    )
    shares = api.balancer_shares_port or api.vip_shares_port
    return replace(api, bind="address") if spec.bind is None and shares else api


def _vip(spec: VipSpec, api_port: int) -> Vip:
    address, slash, prefix = spec.address.partition("/")
    return Vip(
        address=address,
        prefix_length=int(prefix) if slash else ipaddress.ip_address(address).max_prefixlen,
        role=spec.role,
        interface=spec.interface,
        virtual_router_id=spec.virtual_router_id,
        priorities=dict(sorted(spec.priorities.items())),
        port=spec.port if spec.port is not None else api_port,
    )


def _tenth(cidr: str) -> str:
    network = ipaddress.ip_network(cidr)
    return str(network[min(10, network.num_addresses - 1)])


def _pki(spec: PkiSpec) -> PkiSettings:
    cas: Mapping[str, str] = {str(name): text for name, text in spec.validity.cas.items()}
    leaves: Mapping[str, str] = {str(name): text for name, text in spec.validity.leaves.items()}
    fields = {short: getattr(spec.subject, long) for long, short in _SUBJECT_FIELDS.items()}
    return PkiSettings(
        algorithm=spec.algorithm,
        ca_days={name: days(cas.get(name, spec.validity.ca)) for name in CA_NAMES},
        leaf_days={name: days(leaves.get(name, spec.validity.leaf)) for name in LEAF_NAMES},
        subject={short: value for short, value in fields.items() if value is not None},
        kube_proxy_leaf=spec.kube_proxy_certificate,
        external_ca=spec.external_ca,
        warn_days=days(spec.warn_before),
    )


def _runtime(spec: ClusterSpec, findings: Findings) -> Runtime:
    registries: list[Registry] = []
    for index, one in enumerate(spec.runtime.registries):
        ca = (
            text_of(one.ca_file, ("runtime", "registries", index, "caFile"), findings)
            if one.ca_file is not None
            else None
        )
        registries.append(Registry(one.host, tuple(one.mirrors), ca, one.skip_verify, one.credentials))
    registries.sort(key=lambda registry: registry.host)
    return Runtime(spec.runtime.cgroup_driver, spec.runtime.sandbox_image, tuple(registries))
