"""Properties of every rendered golden cluster that rule out weaknesses seen in other systems (W01…).

Each property is also asked of a cluster that was made worse on purpose, and must then fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from generator.spec import flag_tables
from tests.render.rendered_cluster import (
    CASES,
    Edit,
    RenderedCluster,
    certificate,
    changed,
    given,
    rendered_cluster,
    replaced,
    unit_replaced,
    without,
    worse,
)

PKI = "/etc/kubernetes/pki"
KUBELET = "/etc/kubernetes/kubelet.yaml"
APPROVAL = "system:certificates.k8s.io:certificatesigningrequests"


@dataclass(frozen=True)
class Property:
    name: str
    weaknesses: str
    check: Callable[[RenderedCluster], None]
    broken: tuple[Edit, ...]
    base: str = "minimal"


PROPERTIES: list[Property] = []


def rules_out(
    weaknesses: str, *broken: Edit, base: str = "minimal"
) -> Callable[[Callable[[RenderedCluster], None]], None]:
    def register(check: Callable[[RenderedCluster], None]) -> None:
        PROPERTIES.append(Property(check.__name__, weaknesses, check, broken, base))

    return register


_SERVICE_ACCOUNT = re.compile(r"pki/sa(-\d+)?")
"""The pair that signs tokens, and during a rotation a second one."""


@rules_out(
    "W01 W05",
    given("worker", f"{PKI}/ca.key", "pki/ca"),
    given("worker", "/var/lib/kubelet/pki/kubelet.key", "pki/hosts/w/kubelet"),
)
def a_worker_holds_no_key_that_we_made(one: RenderedCluster) -> None:
    for name, host in one.hosts.items():
        if not host.pool.roles & {"control-plane", "etcd"}:
            allowed = {f"pki/hosts/{name}/kube-proxy"} if one.model.pki.kube_proxy_leaf else set()
            assert {item.secret for item in one.secrets(name).values()} <= allowed, name


@rules_out("W01 W06 W07", given("etcd", "/etc/etcd/pki/ca.key", "pki/etcd/ca"), changed(f"{PKI}/ca.key", owner="root"))
def one_ca_key_is_on_hosts_and_only_the_controller_manager_reads_it(one: RenderedCluster) -> None:
    for name, host in one.hosts.items():
        cas = {
            path: item
            for path, item in one.secrets(name).items()
            if item.secret in {"pki/ca", "pki/etcd/ca", "pki/front-proxy-ca"}
        }
        assert set(cas) == ({f"{PKI}/ca.key"} if "control-plane" in host.pool.roles else set())
        assert all((item.mode, item.owner) == (0o400, "kube-controller-manager") for item in cas.values())


_READERS = {
    "apiserver": "kube-apiserver",
    "apiserver-etcd-client": "kube-apiserver",
    "apiserver-kubelet-client": "kube-apiserver",
    "front-proxy-client": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "csr-approver": "csr-approver",
    "kube-proxy": "root",
    "etcd/server": "etcd",
    "etcd/peer": "etcd",
    "etcd/backup": "root",
    "etcd/healthcheck-client": "etcd",
}


@rules_out(
    "W02",
    changed(f"{PKI}/apiserver.key", mode=0o644),
    changed("/etc/etcd/pki/server.key", owner="root"),
    changed(f"{PKI}/sa.key", group="root"),
    changed("/etc/kubernetes/encryption.yaml", mode=0o440),
    given("control-plane", f"{PKI}/other.key", "pki/hosts/elsewhere/apiserver", owner="kube-apiserver"),
)
def every_key_is_readable_by_its_program_alone(one: RenderedCluster) -> None:
    for host, item in one.every():
        if item.kind == "secret" and _SERVICE_ACCOUNT.fullmatch(item.secret):
            assert (item.mode, item.owner, item.group) == (0o440, "root", "kube-sa")
        elif item.kind == "secret" and item.secret.startswith("addons/"):
            # Sealed by people for something that runs on hosts: the keys of a store of backups.
            assert (item.mode, item.owner) == (0o400, "root"), item.path
        elif item.kind == "secret" and item.secret != "pki/ca":
            prefix = f"pki/hosts/{host}/"
            assert item.secret.startswith(prefix), item.path
            assert (item.mode, item.owner) == (0o400, _READERS[item.secret.removeprefix(prefix)]), item.path
        elif item.is_secret:
            assert item.mode == 0o400, item.path
        if item.is_secret and item.owner != "root":
            assert f"user:{item.owner}" in one.items[host], item.path


@rules_out(
    "W03 W04",
    unit_replaced("kube-controller-manager", f"file={PKI}/sa.key", f"file={PKI}/ca.key"),
    unit_replaced("kube-apiserver", f"{PKI}/sa.pub", f"{PKI}/ca.crt"),
    changed(f"{PKI}/controller-manager.key", secret="pki/sa"),
)
def service_account_tokens_have_a_key_pair_of_their_own(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane"):
        api, manager = one.flags(host, "kube-apiserver"), one.flags(host, "kube-controller-manager")
        signer = api["service-account-signing-key-file"]
        assert manager["service-account-private-key-file"] == signer
        assert _SERVICE_ACCOUNT.fullmatch(one.secrets(host)[signer].secret), signer
        # While a rotation is under way there are two pairs; what signs can also be verified.
        verifiers = one.values(host, "kube-apiserver", "service-account-key-file")
        assert f"{signer.removesuffix('.key')}.pub" in verifiers
        assert all(re.fullmatch(rf"{PKI}/sa(-\d+)?\.pub", path) for path in verifiers), verifiers
        names = [item.secret for item in one.secrets(host).values()]
        assert len(names) == len(set(names))


@rules_out("W05 W52 W53", replaced(KUBELET, "serverTLSBootstrap: true", "serverTLSBootstrap: false"))
def kubelets_get_their_certificates_by_bootstrap(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane", "worker"):
        config, flags = one.yaml(host, KUBELET), one.flags(host, "kubelet")
        assert config["serverTLSBootstrap"] is True and config["rotateCertificates"] is True
        assert not {"tlsCertFile", "tlsPrivateKeyFile"} & set(config)
        assert not {"tls-cert-file", "tls-private-key-file"} & set(flags)
        assert flags["bootstrap-kubeconfig"].startswith("/run/")


@rules_out(
    "W06 W15 W18",
    certificate("apiserver-kubelet-client", {"subject": "O=system:masters, CN=kube-apiserver-kubelet-client"}),
    certificate("cp1/apiserver", {"sans": ["DNS:kubernetes.default.svc.cluster.local."]}),
    certificate("etcd/server", {"host": ""}),
)
def certificates_speak_for_one_host_and_never_for_masters(one: RenderedCluster) -> None:
    for entry in one.certificates:
        assert "system:masters" not in entry["subject"], entry["name"]
        assert not any(name.endswith(".") for name in entry.get("sans", ())), entry["name"]
        of_addon = entry["name"].startswith("addons/")
        assert of_addon or entry["name"] == entry["issuer"] or entry["name"].startswith(f"hosts/{entry['host']}/")
        assert not of_addon or not {"host", "places"} & set(entry), entry["name"]
        foreign = {f"IP:{host.address}" for host in one.hosts.values() if host.name != entry.get("host")}
        assert not foreign & set(entry.get("sans", ())), entry["name"]


@rules_out("W16 W17", certificate("ca", {"days": 36500}), certificate("cp1/apiserver", {"days": 3650}))
def certificates_are_short_lived(one: RenderedCluster) -> None:
    for entry in one.certificates:
        assert entry["days"] <= (3650 if entry["name"] == entry["issuer"] else 365), entry["name"]


@rules_out(
    "W07",
    unit_replaced(
        "kube-apiserver", f"requestheader-client-ca-file={PKI}/front-proxy-ca", f"requestheader-client-ca-file={PKI}/ca"
    ),
    replaced("/etc/etcd/pki/ca.crt", "CN=etcd-ca", "CN=kubernetes"),
)
def three_cas_for_three_circles(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane"):
        flags = one.flags(host, "kube-apiserver")
        paths = [flags[name] for name in ("client-ca-file", "etcd-cafile", "requestheader-client-ca-file")]
        assert len({one.text(host, path) for path in paths}) == 3
        etcd = flags["etcd-cafile"]
        for member in one.with_role("etcd"):
            served = one.flags(member, "etcd")
            assert one.text(member, served["trusted-ca-file"]) == one.text(host, etcd)
            assert one.text(member, served["peer-trusted-ca-file"]) == one.text(host, etcd)


@rules_out(
    "W09 W42",
    unit_replaced("etcd", ",https://127.0.0.1:2379", ",http://127.0.0.1:2379"),
    unit_replaced("etcd", "client-cert-auth=true", "client-cert-auth=false"),
    unit_replaced("etcd", "http://127.0.0.1:2381", "http://0.0.0.0:2381"),
    unit_replaced("etcd", "ETCD_INITIAL_CLUSTER_STATE=existing", "ETCD_INITIAL_CLUSTER_STATE=new"),
    unit_replaced("etcd", "AssertPathExists", "ConditionPathExists"),
)
def etcd_speaks_mutual_tls_and_never_forms_twice(one: RenderedCluster) -> None:
    for host in one.with_role("etcd"):
        flags, unit = one.flags(host, "etcd"), one.unit(host, "etcd.service")
        for name in ("listen-client-urls", "listen-peer-urls", "advertise-client-urls", "initial-advertise-peer-urls"):
            assert all(url.startswith("https://") for url in flags[name].split(",")), name
        assert "https://127.0.0.1:2379" in flags["listen-client-urls"].split(",")
        assert flags["listen-metrics-urls"].startswith("http://127.0.0.1:")
        assert flags["client-cert-auth"] == flags["peer-client-cert-auth"] == "true"
        assert flags["auto-compaction-retention"] and int(flags["quota-backend-bytes"]) > 0
        assert "ETCD_INITIAL_CLUSTER_STATE=existing" in unit["Environment"]
        assert "initial-cluster-state" not in flags
        assert f"{one.model.directories.etcd_data}/member" in unit["AssertPathExists"]


@rules_out(
    "W10",
    replaced(KUBELET, "healthzBindAddress: 127.0.0.1", "healthzBindAddress: 0.0.0.0"),
    replaced(KUBELET, "readOnlyPort: 0", "readOnlyPort: 10255"),
    replaced("/etc/kubernetes/kube-proxy.yaml", "metricsBindAddress: 127.0.0.1", "metricsBindAddress: 0.0.0.0"),
    unit_replaced("kube-scheduler", "bind-address=127.0.0.1", "bind-address=0.0.0.0"),
    unit_replaced("kube-controller-manager", "  --port=0 \\\n", ""),
)
def what_answers_without_tls_answers_on_loopback_only(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane", "worker"):
        config, proxy = one.yaml(host, KUBELET), one.yaml(host, "/etc/kubernetes/kube-proxy.yaml")
        assert (config["healthzBindAddress"], config["readOnlyPort"]) == ("127.0.0.1", 0)
        assert config["authentication"]["anonymous"]["enabled"] is False
        for key in ("metricsBindAddress", "healthzBindAddress"):
            assert proxy[key].startswith("127.0.0.1:")
    for host in one.with_role("control-plane"):
        for name in ("kube-controller-manager", "kube-scheduler"):
            flags = one.flags(host, name)
            assert flags["bind-address"] == "127.0.0.1"
            if one.model.versions.minor < (1, 24) and "port" not in flags:
                plain = one.yaml(host, flags["config"])
                assert all(plain[key].startswith("127.0.0.1:") for key in ("healthzBindAddress", "metricsBindAddress"))
            else:
                assert flags.get("port", "0") == "0"
        assert one.flags(host, "kube-apiserver").get("insecure-port", "0") == "0"


@rules_out(
    "W11 W12", replaced("/etc/kubernetes/kubelet.kubeconfig", "user:", "user:\n    token: abcdef.0123456789abcdef")
)
def no_token_is_ever_rendered(one: RenderedCluster) -> None:
    for secret in (found for found in one.objects if found["kind"] == "Secret"):
        assert secret["type"] != "bootstrap.kubernetes.io/token"
        assert set(secret.get("data") or {}) <= {"ca.crt", "tls.crt"}, secret["metadata"]["name"]
    for host, item in one.every():
        if item.path.endswith("kubeconfig"):
            users = yaml.safe_load(item.content)["users"]
            assert all("token" not in user["user"] and "client-key-data" not in user["user"] for user in users), host
    bound = {
        (subject["name"], found["roleRef"]["name"]) for found in one.objects for subject in found.get("subjects", ())
    }
    assert ("system:bootstrappers:slipway", "system:node-bootstrapper") in bound
    assert not [name for name, _ in bound if name == "system:bootstrappers"]


@rules_out("W13 W14", replaced("/etc/kubernetes/encryption.yaml", "{{secret:encryption/1}}", "c2VjcmV0"))
def encryption_keys_are_slots(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane"):
        found = one.yaml(host, one.flags(host, "kube-apiserver")["encryption-provider-config"])
        secrets = {
            key["secret"]
            for resource in found["resources"]
            for provider in resource["providers"]
            for kind in provider.values()
            for key in kind.get("keys", ())
        }
        assert secrets and all(one.startswith("{{secret:encryption/") for one in secrets)
        assert next(iter(found["resources"][0]["providers"][0])) == one.model.encryption.provider


@rules_out(
    "W32",
    lambda one: one.bom["artifacts"][0].update(url="http://mirror.example/x"),
    lambda one: one.bom["artifacts"].pop(),
)
def every_binary_is_in_the_bill_of_materials(one: RenderedCluster) -> None:
    listed = {(entry["name"], entry["version"], entry["arch"]): entry for entry in one.bom["artifacts"]}
    used = {(item.artifact, item.version, item.arch) for _, item in one.every() if item.kind == "binary"}
    assert used == set(listed)
    for entry in listed.values():
        assert entry["url"].startswith("https://")
        assert entry["sha256"] == "unlocked" or len(entry["sha256"]) == 64
    assert not [item.path for _, item in one.every() if b"skip_verify = true" in item.content]


@rules_out("W37 W43", replaced("/etc/sysctl.d/89-slipway-node.conf", "ip_local_reserved_ports", "ip_local_port_range"))
def kernel_settings_persist_and_spare_node_ports(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane", "worker"):
        modules = one.text(host, "/etc/modules-load.d/slipway.conf").splitlines()
        assert {"br_netfilter", "overlay"} <= set(modules)
        low, high = one.model.network.node_port_range
        lines = one.text(host, "/etc/sysctl.d/89-slipway-node.conf").splitlines()
        assert f"net.ipv4.ip_local_reserved_ports = {low}-{high}" in lines


@rules_out(
    "W44 W47",
    certificate("cp1/apiserver", {"sans": []}),
    replaced(KUBELET, "clusterDomain: cluster.local", "clusterDomain: example.org"),
    unit_replaced("kubelet", "--node-ip=${SLIPWAY_NODE_IP}", "--v=3"),
)
def addresses_and_names_follow_the_spec(one: RenderedCluster) -> None:
    network = one.model.network
    for entry in one.certificates:
        if entry["name"].endswith("/apiserver"):
            sans = set(entry["sans"])
            assert {f"IP:{address}" for address in (*network.service_ips, "127.0.0.1")} <= sans
            assert f"DNS:kubernetes.default.svc.{network.domain}" in sans
    for host in one.model.nodes:
        assert one.flags(host.name, "kubelet")["node-ip"] == "${SLIPWAY_NODE_IP}"
        assert one.environment(host.name, "kubelet")["SLIPWAY_NODE_IP"] == ",".join(host.addresses)
        config = one.yaml(host.name, KUBELET)
        assert (config["clusterDomain"], config["clusterDNS"]) == (network.domain, list(one.model.pod_dns_ips))


@rules_out(
    "W47 W54", replaced("/etc/kubernetes/kube-proxy.yaml", "clusterCIDR: 10.244.0.0/16", "clusterCIDR: 10.0.0.0/8")
)
def programs_agree_on_ranges_and_the_front_proxy(one: RenderedCluster) -> None:
    network = one.model.network
    for host in one.with_role("control-plane", "worker"):
        assert one.yaml(host, "/etc/kubernetes/kube-proxy.yaml")["clusterCIDR"] == ",".join(network.pod_cidrs)
    for host in one.with_role("control-plane"):
        api, manager = one.flags(host, "kube-apiserver"), one.flags(host, "kube-controller-manager")
        assert api["service-cluster-ip-range"] == manager["service-cluster-ip-range"] == ",".join(network.service_cidrs)
        assert api["requestheader-allowed-names"] == "front-proxy-client"
        assert {"proxy-client-cert-file", "proxy-client-key-file"} <= set(api)
        assert api["kubelet-certificate-authority"] and api["authorization-mode"] == "Node,RBAC"
        assert "NodeRestriction" in api["enable-admission-plugins"].split(",")
        said = any("apiserver-count" in layer.flags for layer in one.model.components.values())
        assert said or "apiserver-count" not in api
    bound = {
        (subject["name"], found["roleRef"]["name"]) for found in one.objects for subject in found.get("subjects", ())
    }
    assert ("kube-apiserver-kubelet-client", "system:kubelet-api-admin") in bound


@rules_out("W50", replaced("/etc/slipway/kubelet-registration.env", "node-role.kubernetes.io/", "example.org/"))
def control_plane_nodes_register_with_the_taint_of_their_minor(one: RenderedCluster) -> None:
    minor = one.model.versions.minor
    roles = ["master"] if minor < (1, 24) else ["control-plane"] if minor > (1, 24) else ["control-plane", "master"]
    for host in one.with_role("control-plane"):
        if "worker" not in one.hosts[host].pool.roles:
            taints = one.environment(host, "kubelet-registration")["SLIPWAY_REGISTER_WITH_TAINTS"]
            assert sorted(taints.split(",")) == [f"node-role.kubernetes.io/{role}=:NoSchedule" for role in roles]
            assert "node-role.kubernetes.io/control-plane" in one.hosts[host].pool.labels


@rules_out(
    "W52 W53",
    without("unit:csr-approver.timer"),
    unit_replaced(
        "kube-controller-manager",
        "--leader-elect",
        "--feature-gates=RotateKubeletServerCertificate=true --leader-elect",
    ),
)
def serving_certificates_are_approved_by_a_check_of_ours(one: RenderedCluster) -> None:
    roles = {found["roleRef"]["name"] for found in one.objects if "roleRef" in found}
    assert f"{APPROVAL}:selfnodeserver" not in roles
    for host in one.with_role("control-plane"):
        assert "unit:csr-approver.timer" in one.items[host]
        assert "RotateKubeletServer" not in one.flags(host, "kube-controller-manager").get("feature-gates", "")


@rules_out("W55", replaced(KUBELET, "cgroupDriver:", "podCIDR: 10.244.0.0/16\ncgroupDriver:"))
def pod_ranges_come_from_one_place(one: RenderedCluster) -> None:
    for host in one.with_role("control-plane", "worker"):
        assert "podCIDR" not in one.yaml(host, KUBELET)
    for host in one.with_role("control-plane"):
        flags = one.flags(host, "kube-controller-manager")
        allocates = one.model.network.allocates_node_cidrs
        assert flags["allocate-node-cidrs"] == ("true" if allocates else "false")
        assert ("cluster-cidr" in flags) is allocates
        assert allocates or not [name for name in flags if name.startswith("node-cidr-mask-size")]


@rules_out("W23 W24", replaced("/etc/apiserver-balancer/nginx.conf", "least_conn;", "hash $remote_addr consistent;"))
def every_node_balances_over_all_api_servers_on_loopback(one: RenderedCluster) -> None:
    api = one.model.api
    servers = [f" {one.hosts[name].address}:{api.port} " for name in one.with_role("control-plane")]
    for host in one.with_role("control-plane", "worker"):
        if api.balancer == "none":
            assert api.nodes_use == "endpoint" and not [
                key for key in one.items[host] if key.startswith("unit:apiserver-balancer")
            ]
            continue
        config, listen, bind, rule = {
            "nginx": ("nginx.conf", "server.conf", "listen ", "least_conn;"),
            "haproxy": ("haproxy.cfg", "listen.cfg", "bind ", "balance leastconn"),
        }[api.balancer]
        text = one.text(host, f"/etc/{api.balancer_name}/{config}")
        assert rule in text and all(server in text for server in servers)
        listens = one.text(host, f"/etc/{api.balancer_name}/{listen}")
        assert listens.count(bind) == 1 and f"{bind}127.0.0.1:{api.balancer_port}" in listens


_HAPROXY = re.compile("/etc/(apiserver|endpoint)-balancer(-[0-9]+)?/.*\\.cfg")
_FRONT = "/etc/endpoint-balancer/haproxy.cfg"


@rules_out(
    "W21 W22",
    replaced(_FRONT, "level user", "level admin"),
    replaced(_FRONT, "stats socket /run/endpoint-balancer/stats.sock", "stats socket ipv4@*:9090"),
    replaced(_FRONT, "timeout client 1h", "timeout client 1m"),
    replaced(_FRONT, "verify required", "verify none"),
    replaced("/etc/systemd/system/endpoint-balancer.service", "User=endpoint-balancer", "User=root"),
    base="vip-load-balancer",
)
def haproxy_has_no_admin_cuts_nobody_off_and_checks_with_the_ca(one: RenderedCluster) -> None:
    for host, item in one.every():
        if item.kind != "file" or not _HAPROXY.fullmatch(item.path):
            continue
        text, unit = item.content.decode(), f"{item.component}.service"
        assert "admin" not in text and "stats enable" not in text and "stats uri" not in text, item.path
        for line in text.splitlines():
            words = line.split()
            if words[:2] == ["stats", "socket"]:
                assert words[2].startswith("/run/") and words[-2:] == ["level", "user"]
            if words[:1] == ["timeout"] and words[1] in {"client", "server", "tunnel"}:
                assert words[2].endswith("h"), line
            if words[:1] == ["server"]:
                assert (
                    f"check check-ssl verify required ca-file /etc/{item.component}/ca.crt verifyhost {words[1]}"
                    in line
                )
        if item.path.endswith("haproxy.cfg"):
            assert one.unit(host, unit)["User"] == [item.component]
            assert one.unit(host, unit)["CapabilityBoundingSet"] == [""]


_KEEPALIVED = "/etc/endpoint-vip/keepalived.conf"


@rules_out(
    "W19 W20",
    replaced(_KEEPALIVED, "    state BACKUP", "    state MASTER"),
    replaced(_KEEPALIVED, "    nopreempt\n", ""),
    replaced(_KEEPALIVED, "{{secret:vrrp/password}}", "kubeop"),
    replaced(_KEEPALIVED, "    enable_script_security\n", ""),
    changed("/usr/local/lib/slipway/endpoint-check", mode=0o777),
    changed(_KEEPALIVED, mode=0o644),
    base="vip-load-balancer",
)
def keepalived_begins_as_backup_with_a_sealed_password_and_a_check_without_rights(one: RenderedCluster) -> None:
    vip = one.model.api.vip
    for host in one.hosts:
        item = one.items[host].get(_KEEPALIVED)
        assert (item is not None) == (vip is not None and vip.role in one.hosts[host].pool.roles)
        if item is None or vip is None:
            continue
        lines = [line.strip() for line in item.content.decode().splitlines()]
        assert {"state BACKUP", "nopreempt", "enable_script_security", "user endpoint-vip"} <= set(lines)
        assert {"script_user endpoint-vip", f"priority {vip.priorities[host]}"} <= set(lines)
        assert "auth_pass {{secret:vrrp/password}}" in lines and (item.mode, item.owner) == (0o400, "root")
        check = one.items[host]["/usr/local/lib/slipway/endpoint-check"]
        assert (check.mode, check.owner, check.group) == (0o755, "root", "root")
        assert "user:endpoint-vip" in one.items[host]


_SANDBOXED = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "csr-approver",
    "apiserver-balancer",
)


@rules_out(
    "units",
    unit_replaced("etcd", "User=etcd", "User=root"),
    unit_replaced("kube-apiserver", "ProtectSystem=strict", "ProtectSystem=no"),
    unit_replaced("kube-scheduler", "NoNewPrivileges=yes", "NoNewPrivileges=no"),
    unit_replaced("kubelet", "StartLimitIntervalSec=0", "StartLimitIntervalSec=10"),
)
def units_are_sandboxed_and_start_again_for_ever(one: RenderedCluster) -> None:
    for host, item in one.every():
        if item.kind != "unit" or not item.name.endswith(".service"):
            continue
        if item.name in {"chrony.service", "chronyd.service"}:  # the distribution's, with a drop-in of ours
            lines = one.text(host, f"/etc/systemd/system/{item.name}.d/50-slipway.conf").splitlines()
            assert {"Restart=always", "RestartSec=5", "StartLimitIntervalSec=0"} <= set(lines), item.name
            continue
        unit, name = one.unit(host, item.name), item.name.removesuffix(".service")
        assert unit["WorkingDirectory"], item.name
        if name in _SANDBOXED:
            assert unit["User"] == [name] and unit["NoNewPrivileges"] == ["yes"] and unit["ProtectSystem"] == ["strict"]
            assert unit["CapabilityBoundingSet"] == [""], item.name
        if "oneshot" not in unit.get("Type", ()):
            assert unit["Restart"] == ["always"] and unit["RestartSec"] == ["5"], item.name
            assert unit["StartLimitIntervalSec"] == ["0"], item.name


_MEASURED = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


@rules_out(
    "flags",
    unit_replaced("kubelet", "--v=2", "--no-such-flag=2"),
    unit_replaced("kube-apiserver", "--v=2", "--insecure-allow-any-token=x"),
    unit_replaced("etcd", "--data-dir", "--data-directory"),
)
def every_flag_is_known_to_its_program(one: RenderedCluster) -> None:
    versions = one.model.versions
    good = {flag_tables.Knowledge.KNOWN, flag_tables.Knowledge.HIDDEN}
    for host, items in one.items.items():
        for name in _MEASURED:
            if f"/etc/systemd/system/{name}.service" in items:
                minor = ".".join(versions.etcd.split(".")[:2]) if name == "etcd" else versions.minor_text
                for flag in one.flags(host, name):
                    assert flag_tables.known(name, minor, flag) in good, f"{name} {minor} --{flag}"


@cache
def _rendered(name: str, folder: Path) -> RenderedCluster:
    return rendered_cluster(name, folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rendered")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_property(one: Property, name: str, folder: Path) -> None:
    one.check(_rendered(name, folder))


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_property_fails_where_a_cluster_is_worse(one: Property, folder: Path) -> None:
    assert one.broken
    for edit in one.broken:
        bad = worse(_rendered(one.base, folder), edit)
        with pytest.raises((AssertionError, KeyError)):
            one.check(bad)
