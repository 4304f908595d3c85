import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.errors import SpecError, WorkspaceError
from generator.spec import load, load_text
from generator.spec.flag_tables import COMPONENTS_WITH_FLAGS, flags_of
from generator.spec.model import Jump, Taint
from tests.spec.samples import faults_of, loaded, spec

GOLDEN = Path(__file__).parents[1] / "golden" / "clusters"


@pytest.mark.parametrize(("name", "warned"), [("minimal", ["bridge enforces no NetworkPolicy"]), ("ha", [])])
def test_golden_clusters_load_without_a_warning_but_of_their_network(name: str, warned: list[str]) -> None:
    warnings = load_text((GOLDEN / name / "cluster.yaml").read_bytes(), name=name).warnings
    assert [text for text, one in zip(warned, warnings, strict=True) if text in one] == warned


def test_load_reads_a_workspace(tmp_path: Path) -> None:
    folder = tmp_path / "clusters" / "prod"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "motd").write_text("hello\n")
    content = spec(files=[{"path": "/etc/motd", "source": "files/motd", "mode": "0640"}])
    (folder / "cluster.yaml").write_text(yaml.safe_dump(content))
    (file,) = load(tmp_path, "prod").files
    assert (file.path, file.content, file.mode) == ("/etc/motd", "hello\n", 0o640)
    assert file.where.file == "clusters/prod/cluster.yaml"


def test_a_link_out_of_the_cluster_is_no_source(tmp_path: Path) -> None:
    folder = tmp_path / "clusters" / "prod"
    folder.mkdir(parents=True)
    (tmp_path / "outside").write_text("x")
    (folder / "motd").symlink_to(tmp_path / "outside")
    (folder / "cluster.yaml").write_text(yaml.safe_dump(spec(files=[{"path": "/etc/motd", "source": "motd"}])))
    with pytest.raises(SpecError, match="there is no file motd"):
        load(tmp_path, "prod")


def test_a_missing_cluster_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="nowhere"):
        load(tmp_path, "nowhere")


def test_the_source_of_a_file_may_not_hold_a_private_key() -> None:
    text = yaml.safe_dump(spec(files=[{"path": "/etc/x", "source": "x"}]))
    with pytest.raises(SpecError, match="holds a private key"):
        load_text(text, files={"x": "-----BEGIN EC " + "PRIVATE KEY-----\n"})


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(one, rng)) for key, one in value.items()]
        rng.shuffle(items)
        return dict(items)
    return value


@given(st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_the_file_changes_nothing(rng: random.Random) -> None:
    hosts = {f"w{number}": {"pool": "workers", "address": f"10.0.0.{number}"} for number in range(20, 30)}
    content = spec(sysctl={"vm.max_map_count": 262144, "fs.file-max": "1"})
    content["hosts"] |= hosts
    one = load_text(yaml.safe_dump(content, sort_keys=False))
    assert load_text(yaml.safe_dump(_shuffled(content, rng), sort_keys=False)) == one


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(
        ["10.0.0.0/8", "10.0.0.1", "fd00::/64", "1.20.2", "a[1:3]", "10.0.0.[1:3]", "/var/x", "100%", "0s"]
    ),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
_FULL = spec(
    network={"podCIDR": "10.244.0.0/16", "serviceCIDR": ["10.96.0.0/16"], "nodeMaskSize": 24, "dnsIP": "10.96.0.10",
             "plugin": "none", "domain": "a.b", "nodePortRange": "30000-32767", "proxyMode": "iptables"},
    api={"port": 6443, "endpoint": {"host": "api.example.net", "port": 443}, "extraSANs": ["a.b"]},
    directories={"etcdData": "/data/etcd", "etcdWal": "/wal"},
    encryption={"provider": "aescbc", "resources": ["secrets"]},
    pki={"validity": {"ca": "10y", "leaves": {"apiserver": "90d"}}, "subject": {"country": "DE"}},
    runtime={"registries": [{"host": "docker.io", "mirrors": ["https://m.example.net"]}]},
    ssh={"user": "ops", "jumps": [{"address": "cp1"}]},
    sysctl={"vm.max_map_count": 1},
    components={"kubelet": {"flags": {"v": 2}, "unit": {"Service": {"Nice": 1}}, "config": {"maxPods": 1}}},
    audit={"maxAge": 3},
)  # fmt: skip


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        found += _paths(one, (*path, key))
    return found


def test_the_full_sample_is_sound() -> None:
    assert faults_of(**_FULL) == ""


@given(st.lists(st.tuples(st.sampled_from(_paths(_FULL)), _LEAVES), min_size=1, max_size=3))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_a_malformed_spec_is_a_clean_error(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    content = copy.deepcopy(_FULL)
    for path, value in changes:
        at: Any = content
        try:
            for part in path[:-1]:
                at = at[part]
            at[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    try:
        load_text(yaml.safe_dump(content))
    except SpecError as error:
        assert all(fault.what and fault.todo and fault.line > 0 for fault in error.faults)


@given(
    st.recursive(
        _LEAVES, lambda inner: st.dictionaries(st.sampled_from(sorted(_FULL)), inner, max_size=4), max_leaves=8
    )
)
@settings(max_examples=100)
def test_anything_is_a_clean_error(content: Any) -> None:
    try:
        load_text(yaml.safe_dump(content))
    except SpecError as error:
        assert error.faults


# -- what resolving fills in


def test_control_plane_taints_follow_kubeadm() -> None:
    taints = {
        minor: loaded(versions={"kubernetes": f"{minor}.0"}).pools["control"].taints
        for minor in ("1.20", "1.24", "1.25")
    }
    master = Taint("node-role.kubernetes.io/master", "", "NoSchedule")
    control_plane = Taint("node-role.kubernetes.io/control-plane", "", "NoSchedule")
    assert taints == {"1.20": (master,), "1.24": (control_plane, master), "1.25": (control_plane,)}


def test_labels_say_the_roles() -> None:
    old = loaded(versions={"kubernetes": "1.20.2"}).pools
    assert set(old["control"].labels) == {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}
    assert set(loaded().pools["control"].labels) == {"node-role.kubernetes.io/control-plane"}
    assert dict(old["workers"].labels) == {"node-role.kubernetes.io/worker": ""}


@pytest.mark.parametrize(
    "pool", [{"roles": ["etcd", "control-plane", "worker"]}, {"roles": ["etcd", "control-plane"], "taints": []}]
)
def test_no_taint_where_the_pool_says_so_or_is_also_worker(pool: dict[str, Any]) -> None:
    cluster = loaded(pools={"control": pool, "workers": {"roles": ["worker"]}})
    assert cluster.pools["control"].taints == ()


def test_zone_becomes_a_label_and_node_names_follow_the_spec() -> None:
    hosts = {"cp1": {"pool": "control", "address": "10.0.0.1", "zone": "a"}}
    (host,) = loaded(
        hosts=hosts, nodeNaming="address", pools={"control": {"roles": ["etcd", "control-plane", "worker"]}}
    ).hosts
    assert host.node_labels["topology.kubernetes.io/zone"] == "a"
    assert (host.name, host.node_name) == ("cp1", "10.0.0.1")


def test_jumps_by_host_name_and_by_address() -> None:
    cluster = loaded(
        ssh={"user": "ops", "jumps": [{"address": "bastion.example.net", "port": 2222}, {"address": "cp1"}]},
        hosts={
            "cp1": {"pool": "control", "address": "10.0.0.1", "ssh": {"port": 2200}},
            "w1": {"pool": "workers", "address": "10.0.0.11"},
            "w2": {"pool": "workers", "address": "10.0.0.12", "ssh": {"user": "root", "jumps": []}},
        },
    )
    ssh = {host.name: host.ssh for host in cluster.hosts}
    bastion = Jump("bastion.example.net", 2222, "ops")
    assert ssh["w1"].jumps == (bastion, Jump("10.0.0.1", 2200, "ops"))
    assert ssh["cp1"].jumps == (bastion,)
    assert (ssh["w2"].user, ssh["w2"].jumps) == ("root", ())


def test_overrides_know_where_they_stand() -> None:
    text = (
        yaml.safe_dump(spec(), sort_keys=False)
        + "components:\n  kubelet:\n    config:\n      evictionHard:\n        memory.available: 5%\n"
    )
    override = load_text(text).components["kubelet"]
    lines = text.splitlines()
    for path in [("config", "evictionHard"), ("config", "evictionHard", "memory.available")]:
        assert path[-1] in lines[override.sources[path].line - 1]


def test_dns_ip_is_the_tenth_of_the_service_range() -> None:
    network = loaded(network={"podCIDR": ["10.244.0.0/16", "fd01::/48"], "serviceCIDR": ["10.96.0.0/16", "fd02::/112"]},
                     hosts={"cp1": {"pool": "control", "address": "10.0.0.1", "secondaryAddress": "fd00:0::1"},
                            "w1": {"pool": "workers", "address": "10.0.0.2",
                                   "secondaryAddress": "fd00::2"}})  # fmt: skip
    assert network.network.dns_ips == ("10.96.0.10", "fd02::a")
    assert network.hosts[0].secondary_address == "fd00::1"
    assert network.network.node_mask_sizes == (24, 64)


def test_validities_are_days_for_every_certificate() -> None:
    pki = loaded(
        pki={"validity": {"ca": "20y", "cas": {"etcd/ca": "5y"}, "leaf": "12w", "leaves": {"apiserver": "90d"}}}
    ).pki
    assert (pki.ca_days["ca"], pki.ca_days["etcd/ca"]) == (7300, 1825)
    assert (pki.leaf_days["scheduler"], pki.leaf_days["apiserver"]) == (84, 90)


@pytest.mark.parametrize("component", COMPONENTS_WITH_FLAGS)
def test_an_owned_flag_is_taken_under_unsafe_flags(component: str) -> None:
    from generator.spec.flag_policy import OWNED

    minor = "3.6" if component == "etcd" else "1.36"
    flag = sorted(OWNED[component].keys() & flags_of(component, minor))[0]
    assert "belongs to Slipway" in faults_of(components={component: {"flags": {flag: "x"}}})
    override = loaded(components={component: {"unsafeFlags": {flag: "x"}}}).components[component]
    assert dict(override.unsafe_flags) == {flag: "x"}


def test_a_single_balancer_host_may_be_the_endpoint() -> None:
    pools = {**spec()["pools"], "balancers": {"roles": ["load-balancer"]}}
    hosts = {**spec()["hosts"], "lb1": {"pool": "balancers", "address": "10.0.0.21"}}
    assert loaded(pools=pools, hosts=hosts, api={"endpoint": {"host": "10.0.0.21"}}).api.endpoint_host == "10.0.0.21"


def test_crictl_can_be_left_off() -> None:
    assert loaded(versions={"kubernetes": "1.20.2", "crictl": "none"}).versions.crictl == ""
    assert loaded(versions={"kubernetes": "1.20.2"}).versions.crictl == "1.20.0"


def test_a_jump_by_address_takes_port_and_login_of_that_host() -> None:
    cluster = loaded(
        ssh={"jumps": [{"address": "10.0.0.1"}]},
        hosts={
            "cp1": {"pool": "control", "address": "10.0.0.1", "ssh": {"port": 2200, "user": "ops"}},
            "w1": {"pool": "workers", "address": "10.0.0.11"},
        },
    )
    assert {host.name: host.ssh.jumps for host in cluster.hosts} == {"cp1": (), "w1": (Jump("10.0.0.1", 2200, "ops"),)}
