"""kube-apiserver: the API of the cluster, one on each control-plane host, all of them active."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from generator.components.accounts import system_user
from generator.components.api_policies import audit_text, authentication_config, encryption_text
from generator.components.daemon import UnitSections, daemon_text, daemon_unit
from generator.components.items import HostDirectory, HostFile, HostItem, HostUnit, SecretTemplate
from generator.components.leaf import leaf
from generator.components.minor_table import minor_table
from generator.components.own_api import NODE_IP_VARIABLE
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.tls import CIPHER_SUITES, MIN_VERSION
from generator.components.view import View
from generator.errors import RenderError
from generator.formats.go_duration import seconds_of
from generator.formats.natural import natural_order
from generator.formats.yaml_text import yaml_text
from generator.spec.flag_policy import additive_flags
from generator.spec.layout import (
    CA_CERT,
    FRONT_PROXY_CA_CERT,
    KUBERNETES_DIR,
    PKI_DIR,
    SERVICE_ACCOUNT_GROUP,
    SYSTEMD_DIR,
    apiserver_balancer,
    env_file,
    service_account_files,
)
from generator.spec.model import Cluster, Pool

NAME = "kube-apiserver"
PHASE = "control-plane"
UNIT = f"{NAME}.service"
HOME = f"/var/lib/{NAME}"
ETCD_CA = f"{PKI_DIR}/etcd/ca.crt"
ENCRYPTION = f"{KUBERNETES_DIR}/encryption.yaml"
AUDIT_POLICY = f"{KUBERNETES_DIR}/audit-policy.yaml"
AUTHENTICATION = f"{KUBERNETES_DIR}/authentication.yaml"
_WAITS_AT_THE_END = ("shutdown-delay-duration", "shutdown-watch-termination-grace-period")


@dataclass(frozen=True, slots=True)
class KubeApiserver:
    """The API server, with its policies for encryption, audit and authentication."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are control plane."""
        return "control-plane" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return flags and unit."""
        layers = list(view.overrides(NAME))
        table, additive, flags = minor_table(view.cluster), additive_flags(NAME), _flags(view)
        final = resolved(layers, flags=flags, table=table, additive_flags=additive).flags
        return resolved(
            layers,
            flags=flags,
            unit=_unit(view.cluster, _seconds_to_stop(final)),
            table=table,
            additive_flags=additive,
        )

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield user, folders, policies, unit and link."""
        cluster = view.cluster
        settings = self.settings(view)
        yield from system_user(
            NAME, component=NAME, title="Kubernetes API server", home=HOME, groups=(SERVICE_ACCOUNT_GROUP,)
        )
        yield HostDirectory(HOME, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
        yield HostDirectory(f"{PKI_DIR}/etcd", NAME, PHASE)
        yield HostFile(ETCD_CA, view.material.certificate("etcd/ca"), NAME, PHASE, restarts=(UNIT,))
        if cluster.audit.enabled:
            policy = cluster.audit.policy if cluster.audit.policy is not None else audit_text()
            yield HostDirectory(cluster.directories.audit_log, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
            yield HostFile(AUDIT_POLICY, policy, NAME, PHASE, restarts=(UNIT,))
        authentication = authentication_config(cluster)
        if authentication:
            yield HostFile(AUTHENTICATION, yaml_text(authentication, sort=False), NAME, PHASE, restarts=(UNIT,))
        keys = _encryption_keys(view)
        if keys:
            template = SecretTemplate(encryption_text(cluster.encryption.provider, cluster.encryption.resources, keys))
            yield HostFile(ENCRYPTION, template, NAME, PHASE, mode=0o400, owner=NAME, group=NAME, restarts=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, settings), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)
        yield kubernetes_link(view, NAME, phase=PHASE, restarts=(UNIT,))

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executable for the pool's architecture."""
        yield kubernetes_binary(view, NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the host's address and its certificates."""
        assert view.host is not None
        facts = f"SLIPWAY_NODE_IP={view.host.address}\n"
        yield HostFile(env_file(NAME), facts, NAME, PHASE, restarts=(UNIT,))
        for name in ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client"):
            yield from leaf(view, name, f"{PKI_DIR}/{name}", component=NAME, phase=PHASE, owner=NAME)


def _flags(view: View) -> dict[str, Any]:
    cluster = view.cluster
    flags: dict[str, Any] = {
        "advertise-address": NODE_IP_VARIABLE,
        "bind-address": NODE_IP_VARIABLE if cluster.api.bind == "address" else _wildcard(cluster),
        "secure-port": cluster.api.port,
        "allow-privileged": True,
        "authorization-mode": ["Node", "RBAC"],
        "enable-admission-plugins": ["NodeRestriction"],
        "enable-bootstrap-token-auth": True,
        "client-ca-file": CA_CERT,
        "tls-cert-file": f"{PKI_DIR}/apiserver.crt",
        "tls-private-key-file": f"{PKI_DIR}/apiserver.key",
        "tls-min-version": MIN_VERSION,
        "tls-cipher-suites": list(CIPHER_SUITES),
        "etcd-servers": list(cluster.etcd_client_urls),
        "etcd-cafile": ETCD_CA,
        "etcd-certfile": f"{PKI_DIR}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{PKI_DIR}/apiserver-etcd-client.key",
        "kubelet-certificate-authority": CA_CERT,
        "kubelet-client-certificate": f"{PKI_DIR}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{PKI_DIR}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": ["InternalIP", "ExternalIP", "Hostname"],
        "proxy-client-cert-file": f"{PKI_DIR}/front-proxy-client.crt",
        "proxy-client-key-file": f"{PKI_DIR}/front-proxy-client.key",
        "requestheader-client-ca-file": FRONT_PROXY_CA_CERT,
        "requestheader-allowed-names": ["front-proxy-client"],
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "service-account-issuer": cluster.service_account_issuer,
        "service-account-key-file": _token_verifiers(view),
        "service-account-signing-key-file": service_account_files(view.material.service_account_keys()[0])[0],
        "service-cluster-ip-range": list(cluster.network.service_cidrs),
        "service-node-port-range": "{}-{}".format(*cluster.network.node_port_range),
        "profiling": False,
        "v": 2,
    }
    if authentication_config(cluster):
        flags["authentication-config"] = AUTHENTICATION
    else:
        flags["anonymous-auth"] = False
    if _encryption_keys(view):
        flags["encryption-provider-config"] = ENCRYPTION
    audit = cluster.audit
    if audit.enabled:
        flags |= {
            "audit-policy-file": AUDIT_POLICY,
            "audit-log-path": f"{cluster.directories.audit_log}/audit.log",
            "audit-log-maxage": audit.max_age,
            "audit-log-maxbackup": audit.max_backups,
            "audit-log-maxsize": audit.max_size,
        }
    return flags


def _seconds_to_stop(flags: Mapping[str, Any]) -> int:
    """Return how long the server has to stop: what its flags make it wait, and 30 seconds.

    It stops listening at once and is done with what it was asked within moments, but it waits up to a minute for
    watches that no client ends (seen on 1.20), one host after the other in each roll. 30 seconds are what a kubelet
    gives the same server as a static pod (terminationGracePeriodSeconds).
    """
    waits = [seconds_of(str(flags[flag])) for flag in _WAITS_AT_THE_END if flag in flags]
    return 30 + ceil(sum(seconds or 0 for seconds in waits))


def _unit(cluster: Cluster, seconds_to_stop: int) -> UnitSections:
    written = [HOME, *([cluster.directories.audit_log] if cluster.audit.enabled else [])]
    # A balancer that had the port on loopback ends in the same step; it may be there until the end of a run.
    former = f"{apiserver_balancer(cluster.api.port)}.service" if cluster.api.bind == "any" else ""
    return daemon_unit(
        NAME,
        description="Kubernetes API server",
        documentation="https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/",
        after=("etcd.service", *([former] if former else [])),
        unit={"Conflicts": former} if former else None,
        mounts=written,
        writable=written,
        working_directory=HOME,
        low_port=cluster.api.port < 1024,
        service={
            "Type": "notify",
            "TimeoutStartSec": "5min",
            "TimeoutStopSec": seconds_to_stop,
            "EnvironmentFile": env_file(NAME),
            "OOMScoreAdjust": -900,
        },
    )


def _wildcard(cluster: Cluster) -> str:
    """Return the wildcard that hears every family of the cluster: the one of IPv6 takes IPv4 connections too."""
    return "::" if any(":" in cidr for cidr in cluster.network.service_cidrs) else "0.0.0.0"


def _token_verifiers(view: View) -> str | tuple[str, ...]:
    """Return the public keys that tokens are checked with; while a rotation runs the flag stands there repeatedly.

    In the order of names, so that a change of signer moves no line.
    """
    paths = [service_account_files(pair)[1] for pair in sorted(view.material.service_account_keys(), key=natural_order)]
    return paths[0] if len(paths) == 1 else tuple(paths)


def _encryption_keys(view: View) -> tuple[str, ...]:
    """Return the keys, the writer first; they outlive a change to no encryption, to read what they wrote."""
    keys = view.material.encryption_keys()
    if view.cluster.encryption.provider and not keys:
        raise RenderError(
            f"{view.cluster.name}: {NAME}: no key for encryption at rest is sealed; run invoke render, which makes one"
        )
    return keys


COMPONENT = KubeApiserver()
