"""The API server, the controller manager and the scheduler: what they hold, where they listen, what restarts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from generator.components import csr_approver, kube_apiserver, kube_controller_manager, kube_scheduler, kubectl, trust
from generator.components.items import HostDirectory, HostFile, HostItem, HostLink, HostUser, SecretRef
from generator.components.view import Component, View
from generator.errors import RenderError
from tests.components.sample import Named, flags_of, host_items, named_host, sample_cluster, text_of

CONTROL_PLANE: tuple[Component, ...] = (
    kube_apiserver.COMPONENT,
    kube_controller_manager.COMPONENT,
    kube_scheduler.COMPONENT,
)
TALKERS: tuple[Component, ...] = (
    kube_controller_manager.COMPONENT,
    kube_scheduler.COMPONENT,
    csr_approver.COMPONENT,
)
UNIT = "/etc/systemd/system/{}.service"


def flags(component: Component, minor: str = "1.36", rest: str = "", **spec: str) -> dict[str, str]:
    items = host_items(component, sample_cluster(minor, rest, **spec))
    return flags_of(text_of(items[UNIT.format(component.name)]))


def document(component: Component, path: str, minor: str = "1.36", rest: str = "") -> dict[str, Any]:
    loaded = yaml.safe_load(text_of(host_items(component, sample_cluster(minor, rest))[path]))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("component", [*CONTROL_PLANE, csr_approver.COMPONENT], ids=lambda component: component.name)
def test_each_runs_as_a_user_of_its_own_that_alone_reads_its_keys(component: Component) -> None:
    items = host_items(component, sample_cluster())
    name = component.name
    assert isinstance(items[f"user:{name}"], HostUser)
    assert f"u {name} - " in text_of(items[f"/etc/sysusers.d/slipway-{name}.conf"])
    assert f"\nUser={name}\n" in text_of(items[UNIT.format(name)])
    keys = [item for item in items.values() if isinstance(item, HostFile) and isinstance(item.content, SecretRef)]
    assert keys
    assert {(key.mode, key.owner, key.group) for key in keys} == {(0o400, name, name)}


@pytest.mark.parametrize(
    ("flags", "seconds"),
    [
        ("", 30),
        ("shutdown-delay-duration: 1m10s", 100),
        ("shutdown-delay-duration: 20s, shutdown-watch-termination-grace-period: 1500ms", 52),
    ],
)
def test_an_api_server_has_as_long_to_stop_as_its_flags_let_it_wait_and_half_a_minute(flags: str, seconds: int) -> None:
    cluster = sample_cluster("1.36", f"components: {{kube-apiserver: {{flags: {{{flags}}}}}}}")
    unit = text_of(host_items(kube_apiserver.COMPONENT, cluster)[UNIT.format("kube-apiserver")])
    assert f"\nTimeoutStopSec={seconds}\n" in unit


def test_who_holds_which_key() -> None:
    held = {
        component.name: {
            item.content.name
            for item in host_items(component, sample_cluster()).values()
            if isinstance(item, HostFile) and isinstance(item.content, SecretRef)
        }
        for component in (*CONTROL_PLANE, csr_approver.COMPONENT, kubectl.COMPONENT, trust.COMPONENT)
    }
    leaves = ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client")
    assert held == {
        "kube-apiserver": {f"pki/hosts/cp1/{leaf}" for leaf in leaves},
        "kube-controller-manager": {"pki/ca", "pki/hosts/cp1/controller-manager"},
        "kube-scheduler": {"pki/hosts/cp1/scheduler"},
        "csr-approver": {"pki/hosts/cp1/csr-approver"},
        "kubectl": set(),
        "trust": {"pki/sa"},
    }


def test_trust_gives_a_worker_no_key() -> None:
    on_worker = host_items(trust.COMPONENT, sample_cluster(), "w1")
    assert [item.path for item in on_worker.values() if isinstance(item, HostFile)] == ["/etc/kubernetes/pki/ca.crt"]
    on_control = host_items(trust.COMPONENT, sample_cluster())
    key = on_control["/etc/kubernetes/pki/sa.key"]
    assert isinstance(key, HostFile)
    assert (key.mode, key.owner, key.group) == (0o440, "root", "kube-sa")
    assert key.restarts == ("kube-apiserver.service", "kube-controller-manager.service")


def test_both_signers_of_tokens_are_in_the_group_and_the_scheduler_is_not() -> None:
    groups = {
        component.name: item.groups
        for component in CONTROL_PLANE
        for item in host_items(component, sample_cluster()).values()
        if isinstance(item, HostUser)
    }
    assert groups == {
        "kube-apiserver": ("kube-sa",),
        "kube-controller-manager": ("kube-sa",),
        "kube-scheduler": (),
    }


@pytest.mark.parametrize("component", CONTROL_PLANE[1:], ids=lambda component: component.name)
def test_only_the_api_server_is_seen_from_outside(component: Component) -> None:
    found = flags(component)
    assert found["bind-address"] == "127.0.0.1"
    assert found["client-ca-file"] != found["requestheader-client-ca-file"]
    assert flags(kube_apiserver.COMPONENT)["bind-address"] == "0.0.0.0"


def test_shared_items_name_no_host() -> None:
    cluster = sample_cluster()
    for component in (*CONTROL_PLANE, csr_approver.COMPONENT, kubectl.COMPONENT, trust.COMPONENT):
        assert list(component.shared(View(cluster, Named()))) == list(
            component.shared(View(cluster, Named(), named_host(cluster, "cp1").pool, named_host(cluster, "cp2")))
        )


@pytest.mark.parametrize("component", TALKERS, ids=lambda component: component.name)
def test_talks_to_the_api_server_of_its_own_host(component: Component) -> None:
    name = component.name.removeprefix("kube-")
    path = f"/etc/kubernetes/{name}.kubeconfig"

    def server(host: str, rest: str) -> tuple[str, bool]:
        cluster = sample_cluster("1.30", rest)
        found = named_host(cluster, host)
        view = View(cluster, Named(), found.pool, found)
        shared = {item.path: item for item in component.shared(view) if isinstance(item, HostFile)}
        items = host_items(component, cluster, host)
        config = yaml.safe_load(text_of(items[path]))
        assert config["users"][0]["user"].keys() == {"client-certificate", "client-key"}
        return config["clusters"][0]["cluster"]["server"], path in shared

    bound = 'components: {kube-apiserver: {unsafeFlags: {bind-address: "%s"}}}'
    assert server("cp2", "api: {port: 7443}") == ("https://127.0.0.1:7443", True)
    assert server("cp2", bound % "${SLIPWAY_NODE_IP}") == ("https://10.0.0.2:6443", False)
    assert server("cp2", bound % "0.0.0.0") == ("https://127.0.0.1:6443", True)


def test_a_host_may_bind_its_api_server_to_an_address_of_its_own() -> None:
    cluster = sample_cluster(host=", components: {kube-apiserver: {unsafeFlags: {bind-address: 10.0.0.1}}}")
    for host, address in (("cp1", "10.0.0.1"), ("cp2", "127.0.0.1")):
        text = text_of(host_items(kube_scheduler.COMPONENT, cluster, host)["/etc/kubernetes/scheduler.kubeconfig"])
        assert f"server: https://{address}:6443" in text


def test_encryption_writes_with_the_newest_key_and_reads_all() -> None:
    material = Named(("encryption/1", "encryption/2"))
    cluster = sample_cluster(rest="encryption: {provider: aescbc, resources: [secrets, configmaps]}")
    item = host_items(kube_apiserver.COMPONENT, cluster, material=material)["/etc/kubernetes/encryption.yaml"]
    assert isinstance(item, HostFile)
    assert (item.mode, item.owner) == (0o400, "kube-apiserver")
    config = yaml.safe_load(text_of(item))
    assert (config["apiVersion"], config["kind"]) == ("apiserver.config.k8s.io/v1", "EncryptionConfiguration")
    [rule] = config["resources"]
    assert set(rule["resources"]) == {"secrets", "configmaps"}
    kinds = [next(iter(provider)) for provider in rule["providers"]]
    assert kinds[0] == "aescbc" and kinds[-1] == "identity" and set(kinds[1:-1]) == {"secretbox", "aesgcm"}
    assert rule["providers"][0]["aescbc"]["keys"] == [
        {"name": "2", "secret": "{{secret:encryption/2}}"},
        {"name": "1", "secret": "{{secret:encryption/1}}"},
    ]


def test_encryption_that_is_turned_off_still_reads_what_it_wrote() -> None:
    off = sample_cluster(rest="encryption: {provider: none}")
    items = host_items(kube_apiserver.COMPONENT, off)
    [rule] = yaml.safe_load(text_of(items["/etc/kubernetes/encryption.yaml"]))["resources"]
    assert rule["providers"][0] == {"identity": {}} and len(rule["providers"]) == 4
    never = host_items(kube_apiserver.COMPONENT, off, material=Named(()))
    assert "/etc/kubernetes/encryption.yaml" not in never
    assert "encryption-provider-config" not in flags_of(text_of(never[UNIT.format("kube-apiserver")]))


def test_encryption_without_a_key_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"^sample: kube-apiserver: no key for encryption at rest is sealed; "):
        host_items(kube_apiserver.COMPONENT, sample_cluster(), material=Named(()))


@pytest.mark.parametrize(
    ("minor", "version"), [("1.32", "v1beta1"), ("1.33", "v1beta1"), ("1.34", "v1"), ("1.36", "v1")]
)
def test_anonymous_requests_reach_the_named_paths_alone(minor: str, version: str) -> None:
    rest = "api: {anonymousPaths: [/livez, /readyz]}"
    found = flags(kube_apiserver.COMPONENT, minor, rest)
    assert found["authentication-config"] == "/etc/kubernetes/authentication.yaml"
    assert "anonymous-auth" not in found
    assert document(kube_apiserver.COMPONENT, "/etc/kubernetes/authentication.yaml", minor, rest) == {
        "apiVersion": f"apiserver.config.k8s.io/{version}",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]},
    }


@pytest.mark.parametrize("minor", ["1.20", "1.31", "1.36"])
def test_anonymous_requests_are_refused_unless_the_spec_opens_a_path(minor: str) -> None:
    found = flags(kube_apiserver.COMPONENT, minor)
    assert found["anonymous-auth"] == "false"
    assert "authentication-config" not in found


def test_audit_keeps_bodies_of_secrets_out() -> None:
    policy = document(kube_apiserver.COMPONENT, "/etc/kubernetes/audit-policy.yaml", "1.20")
    assert policy["apiVersion"] == "audit.k8s.io/v1"
    rules = policy["rules"]

    def level(
        resource: str, group: str = "", verb: str = "create", user: str = "alice", groups: tuple[str, ...] = ()
    ) -> str:
        for rule in rules:
            wanted = rule.get("resources")
            if "nonResourceURLs" in rule:
                continue
            if "userGroups" in rule and not set(groups) & set(rule["userGroups"]):
                continue
            if "users" in rule and user not in rule["users"]:
                continue
            if "verbs" in rule and verb not in rule["verbs"]:
                continue
            if wanted and not any(
                one["group"] == group and resource in one.get("resources", [resource]) for one in wanted
            ):
                continue
            return str(rule["level"])
        return "no rule"

    addons = ("system:serviceaccounts:kube-system",)
    assert level("secrets", verb="list", groups=addons) == level("pods/exec", verb="get", groups=addons) == "Metadata"
    assert level("secrets", verb="get", groups=("system:nodes",)) == "Metadata"
    assert (
        level("pods", verb="list", groups=addons) == level("pods", verb="watch", user="system:kube-scheduler") == "None"
    )
    for verb in ("create", "update", "patch", "delete", "get", "list"):
        for resource in ("secrets", "configmaps", "serviceaccounts/token"):
            assert level(resource, verb=verb) == "Metadata"
        assert level("tokenreviews", "authentication.k8s.io", verb) == "Metadata"
    assert level("events") == level("events", "events.k8s.io") == "None"
    assert level("deployments", "apps") == "Request"
    assert level("deployments", "apps", "get") == "Metadata"
    assert level("clusterrolebindings", "rbac.authorization.k8s.io") == "RequestResponse"


def test_audit_follows_the_spec() -> None:
    rest = "audit: {maxAge: 7, maxBackups: 3, maxSize: 50}\ndirectories: {auditLog: /srv/audit}"
    found = flags(kube_apiserver.COMPONENT, rest=rest)
    assert {name: value for name, value in found.items() if name.startswith("audit-log")} == {
        "audit-log-path": "/srv/audit/audit.log",
        "audit-log-maxage": "7",
        "audit-log-maxbackup": "3",
        "audit-log-maxsize": "50",
    }
    items = host_items(kube_apiserver.COMPONENT, sample_cluster(rest=rest))
    folder = items["/srv/audit"]
    assert isinstance(folder, HostDirectory)
    assert (folder.mode, folder.owner) == (0o700, "kube-apiserver")
    assert "ReadWritePaths=/var/lib/kube-apiserver /srv/audit\n" in text_of(items[UNIT.format("kube-apiserver")])
    assert not [name for name in flags(kube_apiserver.COMPONENT, rest="audit: {enabled: false}") if "audit" in name]


def test_admission_plugins_of_the_spec_add_up() -> None:
    rest = "components: {kube-apiserver: {flags: {enable-admission-plugins: [PodNodeSelector]}}}"
    assert flags(kube_apiserver.COMPONENT, rest=rest)["enable-admission-plugins"] == "NodeRestriction,PodNodeSelector"


def test_a_port_below_1024_takes_one_capability() -> None:
    unit = UNIT.format("kube-apiserver")
    low = text_of(host_items(kube_apiserver.COMPONENT, sample_cluster(rest="api: {port: 443}"))[unit])
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in low and "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in low
    assert "CapabilityBoundingSet=\n" in text_of(host_items(kube_apiserver.COMPONENT, sample_cluster())[unit])


def test_address_of_a_host_restarts_its_api_server_alone() -> None:
    items = host_items(kube_apiserver.COMPONENT, sample_cluster())
    facts = items["/etc/slipway/kube-apiserver.env"]
    assert isinstance(facts, HostFile)
    assert text_of(facts) == "SLIPWAY_NODE_IP=10.0.0.1\n"
    assert facts.restarts == ("kube-apiserver.service",)
    for component in CONTROL_PLANE[1:]:
        assert not [path for path in host_items(component, sample_cluster()) if path.startswith("/etc/slipway/")]


def test_new_leaves_restart_nothing() -> None:
    for component in CONTROL_PLANE:
        for path, item in host_items(component, sample_cluster()).items():
            if isinstance(item, HostFile) and path.endswith(".key"):
                assert (item.restarts, item.reloads) == ((), ())


def test_the_controller_manager_hands_out_pod_ranges_where_the_network_may_need_them() -> None:
    found = flags(kube_controller_manager.COMPONENT)
    assert found["allocate-node-cidrs"] == "true"
    assert found["cluster-cidr"] == "10.244.0.0/16"
    assert found["node-cidr-mask-size"] == "24"
    assert found["controllers"] == "*,bootstrapsigner,tokencleaner"
    assert found["service-cluster-ip-range"] == flags(kube_apiserver.COMPONENT)["service-cluster-ip-range"]


@pytest.mark.parametrize("minor", ["1.20", "1.36"])
def test_each_family_of_pod_ranges_has_a_mask_of_its_own(minor: str) -> None:
    found = controller_manager_flags(minor, pod_cidrs=("10.244.0.0/16", "fd00:1::/56"), node_mask_sizes=(24, 64))
    assert found["cluster-cidr"] == "10.244.0.0/16,fd00:1::/56"
    assert (found["node-cidr-mask-size-ipv4"], found["node-cidr-mask-size-ipv6"]) == ("24", "64")
    assert "node-cidr-mask-size" not in found


def test_beside_the_bridge_plugin_the_controller_manager_hands_out_nothing() -> None:
    found = controller_manager_flags("1.36", plugin="bridge")
    assert found["allocate-node-cidrs"] == "false"
    assert not [name for name in found if "cidr-mask" in name or name == "cluster-cidr"]


def controller_manager_flags(minor: str, **network: Any) -> dict[str, str]:
    cluster = sample_cluster(minor)
    cluster = replace(cluster, network=replace(cluster.network, **network))
    component = kube_controller_manager.COMPONENT
    return flags_of(text_of(host_items(component, cluster)[UNIT.format(component.name)]))


@pytest.mark.parametrize("minor", ["1.20", "1.21"])
def test_ports_without_tls_are_shut(minor: str) -> None:
    assert flags(kube_controller_manager.COMPONENT, minor)["port"] == "0"
    # --port=0 counts only without a configuration file.
    found = flags(kube_scheduler.COMPONENT, minor)
    assert found["port"] == "0" and "config" not in found and found["kubeconfig"] == kube_scheduler.KUBECONFIG
    assert found["leader-elect"] == "true" and found["profiling"] == "false"
    assert kube_scheduler.CONFIG not in host_items(kube_scheduler.COMPONENT, sample_cluster(minor))


@pytest.mark.parametrize("minor", ["1.20", "1.21"])
def test_a_scheduler_with_a_configuration_listens_without_tls_on_loopback_only(minor: str) -> None:
    rest = "components: {kube-scheduler: {config: {podInitialBackoffSeconds: 2}}}"
    items = host_items(kube_scheduler.COMPONENT, sample_cluster(minor, rest))
    config = yaml.safe_load(text_of(items[kube_scheduler.CONFIG]))
    assert config["healthzBindAddress"] == config["metricsBindAddress"] == "127.0.0.1:10251"
    assert config["podInitialBackoffSeconds"] == 2 and config["leaderElection"] == {"leaderElect": True}
    found = flags_of(text_of(items["/etc/systemd/system/kube-scheduler.service"]))
    assert found["config"] == kube_scheduler.CONFIG and "port" not in found


@pytest.mark.parametrize(
    ("minor", "version"),
    [
        ("1.20", "v1beta1"),
        ("1.21", "v1beta1"),
        ("1.22", "v1beta2"),
        ("1.23", "v1beta3"),
        ("1.25", "v1"),
        ("1.36", "v1"),
    ],
)
def test_scheduler_configuration_is_of_the_minor(minor: str, version: str) -> None:
    rest = "components: {kube-scheduler: {config: {percentageOfNodesToScore: 50}}}"
    config = document(kube_scheduler.COMPONENT, "/etc/kubernetes/scheduler.yaml", minor, rest)
    assert config["apiVersion"] == f"kubescheduler.config.k8s.io/{version}"
    assert config["percentageOfNodesToScore"] == 50
    assert config["enableProfiling"] is False
    assert config["clientConnection"] == {"kubeconfig": "/etc/kubernetes/scheduler.kubeconfig"}
    assert ("healthzBindAddress" in config) == (minor in {"1.20", "1.21"})


def test_kubectl_completes_itself() -> None:
    items: dict[str, HostItem] = host_items(kubectl.COMPONENT, sample_cluster())
    link = items["/usr/local/bin/kubectl"]
    assert isinstance(link, HostLink)
    assert link.target == "/opt/kubectl/1.36.2/kubectl" and link.target in items
    assert "kubectl completion bash" in text_of(items["/etc/bash_completion.d/slipway-kubectl"])


def test_where_the_settings_come_from() -> None:
    cluster = sample_cluster("1.20", "components: {kube-controller-manager: {flags: {v: 4}}}")
    settings = kube_controller_manager.COMPONENT.settings(View(cluster, Named()))
    assert settings.flags["v"] == 4
    assert str(settings.origins[("flags", "v")]).startswith("cluster (cluster.yaml:")
    assert settings.origins[("flags", "port")].layer == "Kubernetes 1.20 table"
    assert settings.origins[("flags", "profiling")].layer == "component default"
    assert settings.origins[("unit", "Service", "ProtectSystem")].layer == "component default"


def test_the_spec_may_loosen_the_sandbox() -> None:
    rest = "components: {kube-apiserver: {unit: {Service: {ProtectHome: null, Nice: -5}}}}"
    unit = text_of(host_items(kube_apiserver.COMPONENT, sample_cluster(rest=rest))[UNIT.format("kube-apiserver")])
    assert "ProtectHome" not in unit and "\nNice=-5\n" in unit and "ProtectSystem=strict" in unit
