"""What each certificate says, from the spec alone."""

import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from generator.pki.certificates import CA_NAMES, certificates
from generator.pki.request import CERT_SIGN, CLIENT_AUTH, SERVER_AUTH, Request, split_sans
from tests.pki.conftest import Workspace

DUAL = {
    "network": {
        "podCIDR": ["10.244.0.0/16", "fd00:10::/56"],
        "serviceCIDR": ["10.96.0.0/16", "fd00:20::/112"],
        "nodeMaskSize": [24, 64],
        "domain": "k8s.example.net",
    },
    "api": {"endpoint": {"host": "api.example.net"}, "extraSANs": ["192.0.2.7", "kube.example.org"]},
    "pki": {"algorithm": "rsa-2048", "subject": {"organizationalUnit": "platform", "country": "DE"}},
    "hosts": {
        "cp-1": {"secondaryAddress": "fd00::1"},
        "cp-2": {"pool": "control", "address": "10.0.0.2", "secondaryAddress": "fd00::2"},
        "cp-3": {"pool": "control", "address": "10.0.0.3", "secondaryAddress": "fd00::3"},
        "worker-1": {"secondaryAddress": "fd00::1:1"},
    },
}


def requests(workspace: Workspace, patch: dict[str, object]) -> dict[str, Request]:
    return {request.name: request for request in certificates(workspace.edit(patch))}


def test_the_set_of_a_cluster_is_kubeadms_by_host(workspace: Workspace) -> None:
    assert sorted(requests(workspace, {})) == sorted(
        [
            *CA_NAMES,
            "addons/metrics-server",
            *(
                f"hosts/cp-1/{name}"
                for name in (
                    "apiserver",
                    "apiserver-etcd-client",
                    "apiserver-kubelet-client",
                    "controller-manager",
                    "csr-approver",
                    "etcd/healthcheck-client",
                    "etcd/peer",
                    "etcd/server",
                    "front-proxy-client",
                    "scheduler",
                )
            ),
        ]
    )


def test_a_worker_gets_a_key_of_ours_only_when_the_spec_asks(workspace: Workspace) -> None:
    assert not [name for name in requests(workspace, {}) if "worker" in name]
    asked = requests(workspace, {"pki": {"kubeProxyCertificate": True}})
    assert [name for name in asked if "worker" in name] == ["hosts/worker-1/kube-proxy"]
    assert asked["hosts/worker-1/kube-proxy"].subject == (("CN", "system:kube-proxy"),)


def test_an_api_server_answers_to_every_name_of_its_own_host_and_to_no_other_host(workspace: Workspace) -> None:
    request = requests(workspace, DUAL)["hosts/cp-2/apiserver"]
    assert request.dns == (
        "api.example.net",
        "cp-2",
        "kube.example.org",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.k8s.example.net",
        "localhost",
    )
    assert request.ips == ("10.0.0.2", "10.96.0.1", "127.0.0.1", "192.0.2.7", "fd00::2", "fd00:20::1")
    assert not any(name.endswith(".") for name in request.dns)


def test_an_endpoint_that_is_an_address_is_an_address_in_the_certificate(workspace: Workspace) -> None:
    request = requests(workspace, {"api": {"endpoint": {"host": "10.0.9.9"}}})["hosts/cp-1/apiserver"]
    assert "10.0.9.9" in request.ips and "10.0.9.9" not in request.dns


def test_a_node_named_by_its_address_stands_there_once_as_an_address(workspace: Workspace) -> None:
    request = requests(workspace, {"nodeNaming": "address"})["hosts/cp-1/apiserver"]
    assert request.ips.count("10.0.0.1") == 1
    assert "10.0.0.1" not in request.dns


def test_etcd_members_are_servers_and_clients_of_their_own_host(workspace: Workspace) -> None:
    found = requests(workspace, DUAL)
    for name in ("etcd/server", "etcd/peer"):
        request = found[f"hosts/cp-3/{name}"]
        assert (request.dns, request.ips) == (("cp-3", "localhost"), ("10.0.0.3", "127.0.0.1", "fd00::3"))
        assert {SERVER_AUTH, CLIENT_AUTH} <= set(request.usages)
        assert request.issuer == "etcd/ca"


def test_users_have_no_group_and_no_decoration(workspace: Workspace) -> None:
    found = requests(workspace, DUAL)
    users = {
        "apiserver-kubelet-client": "kube-apiserver-kubelet-client",
        "apiserver-etcd-client": "kube-apiserver-etcd-client",
        "etcd/healthcheck-client": "kube-etcd-healthcheck-client",
        "front-proxy-client": "front-proxy-client",
        "controller-manager": "system:kube-controller-manager",
        "scheduler": "system:kube-scheduler",
        "csr-approver": "slipway:csr-approver",
    }
    for name, user in users.items():
        assert found[f"hosts/cp-1/{name}"].subject == (("CN", user),), name
    assert found["ca"].subject == (("C", "DE"), ("OU", "platform"), ("CN", "kubernetes"))
    assert found["hosts/cp-1/apiserver"].subject == (("C", "DE"), ("OU", "platform"), ("CN", "kube-apiserver"))
    # W06, W47: system:masters is nobody's group, and nothing here can become a group at all.
    assert not [request for request in found.values() if any(short == "O" for short, _ in request.subject)]


def test_each_circle_has_its_own_ca(workspace: Workspace) -> None:
    issuers = {name.removeprefix("hosts/cp-1/"): request.issuer for name, request in requests(workspace, {}).items()}
    of_etcd = {"etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client"}
    assert {name for name, issuer in issuers.items() if issuer == "etcd/ca"} == of_etcd  # W07
    of_front_proxy = {"front-proxy-ca", "front-proxy-client"}
    assert {name for name, issuer in issuers.items() if issuer == "front-proxy-ca"} == of_front_proxy
    assert issuers["controller-manager"] == issuers["apiserver-kubelet-client"] == "ca"


def test_no_ca_key_goes_to_a_worker_and_only_one_to_a_host_at_all(workspace: Workspace) -> None:
    keys = {
        (request.name, place.key_path): place.on
        for request in requests(workspace, DUAL).values()
        if CERT_SIGN in request.usages
        for place in request.places
        if place.key_path
    }
    assert keys == {("ca", "/etc/kubernetes/pki/ca.key"): "control-plane"}  # W01


def test_validities_come_from_the_spec_by_name(workspace: Workspace) -> None:
    pki = {"validity": {"ca": "5y", "leaf": "90d", "cas": {"etcd/ca": "8y"}, "leaves": {"apiserver": "45d"}}}
    found = requests(workspace, {"pki": pki})
    assert (found["ca"].days, found["etcd/ca"].days) == (5 * 365, 8 * 365)
    assert (found["hosts/cp-1/apiserver"].days, found["hosts/cp-1/scheduler"].days) == (45, 90)


def test_the_order_of_hosts_changes_nothing(workspace: Workspace) -> None:
    cluster = workspace.edit(DUAL)
    assert certificates(replace(cluster, hosts=tuple(reversed(cluster.hosts)))) == certificates(cluster)


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(st.lists(addresses), st.lists(st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,20}", fullmatch=True)), st.randoms())
def test_names_are_sorted_unique_and_independent_of_order(
    ips: list[ipaddress.IPv4Address | ipaddress.IPv6Address], names: list[str], random: object
) -> None:
    mixed = [*(str(ip) for ip in ips), *(ip.exploded for ip in ips), *names]
    expected = split_sans(mixed)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert split_sans(mixed) == expected
    assert set(expected[0]) == {name.lower() for name in names}
    assert set(expected[1]) == {str(ip) for ip in ips} and len(expected[1]) == len(set(ips))
