"""Facts in, findings out: every check finds what is planted and says nothing of hosts that are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.ports import Port
from fleet.preflight import checks_between, checks_kernel, checks_network, wants
from fleet.preflight.facts import Disk, Machine, inquiry
from fleet.preflight.finding import Finding, exit_code
from fleet.preflight.seen import Seen, Way
from fleet.preflight.table import CHECKS, judged, known_checks
from fleet.status.listening import PODS, Listening
from fleet.tree import RenderedTree, load
from generator.errors import WorkspaceError
from generator.render.tree import write
from tests.fleet.preflight_facts import GIB, machine, needed_ways, seen, tree
from tests.golden.cases import variation_tree

CONTROL, WORKER = "cp-1", "worker-001"
MIRROR = "https://mirror.example.net/slipway/cni-plugins/v1.8.0/cni-plugins-linux-amd64-v1.8.0.tgz"


def found(seen_: Seen, check: str = "") -> list[Finding]:
    return [one for one in judged(seen_) if check in ("", one.check)]


def test_hosts_that_are_as_they_should_be_have_no_findings() -> None:
    assert found(seen()) == []
    assert exit_code(()) == 0


def disks(name: str, free: int, *paths: str, **more: Any) -> dict[str, Disk]:
    return {path: Disk(free, "/data", **more) if path in paths else disk for path, disk in machine(name).disks.items()}


FAULTS: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("os", WORKER, {"os_version": "22.04"}, "error", "it runs ubuntu-22.04, pool workers says ubuntu-24.04"),
    ("arch", WORKER, {"arch": "aarch64"}, "error", "its processor is arm64, pool workers says amd64"),
    ("kernel", WORKER, {"kernel": "4.15.0-20"}, "warning", "its kernel is older than 4.17"),
    ("programs", WORKER, {"missing": ("tar", "gzip")}, "error", "programs are missing: tar, gzip"),
    ("programs", WORKER, {"missing": ("curl", "wget")}, "error", "programs are missing: curl or wget"),
    ("cpu", CONTROL, {"cpus": 1}, "error", "fewer than 2 processors, too few for a control-plane host"),
    ("cpu", WORKER, {"cpus": 1}, "error", "fewer than 2 processors, too few for a worker host"),
    ("memory", CONTROL, {"memory": int(1.69 * GIB)}, "error", "less memory than the 2 GiB"),
    ("memory", WORKER, {"memory": int(3.39 * GIB)}, "error", "less memory than the 4 GiB"),
    ("disk", CONTROL, {"disks": disks(CONTROL, GIB, "/var/lib/etcd")}, "error", "/data has little room: 2.0 GiB are"),
    ("disk", CONTROL, {"disks": disks(CONTROL, 4 * GIB, "/var/lib/etcd")}, "warning", "8.0 GiB are good"),
    ("disk", WORKER, {"disks": disks(WORKER, 5 * GIB, "/var/lib/containerd", "/var/lib/kubelet")}, "error",
     "/data has little room: 6.0 GiB are needed for /var/lib/containerd, /var/lib/kubelet"),
    ("disk", WORKER, {"disks": disks(WORKER, GIB // 2, "/opt")}, "error", "for /opt"),
    ("root", WORKER, {"readonly": frozenset({"/", "/sys"})}, "error", "/ is mounted read-only"),
    ("root", WORKER, {"disks": disks(WORKER, 1024, "/var/lib/slipway")}, "error", "/data is full"),
    ("root", WORKER, {"disks": disks(WORKER, 50 * GIB, "/opt", inodes=5)}, "error", "/data has hardly any inodes"),
    ("swap", WORKER, {"swaps": ("/swapfile",)}, "error", "swap is on, with which a kubelet does not start"),
    ("cgroup", WORKER, {"cgroup": 1}, "error", "cgroup v1, with which a kubelet of 1.36 does not start"),
    ("modules", WORKER, {"modules": {"br_netfilter": "missing"}}, "error", "its kernel has no br_netfilter"),
    ("modules", WORKER, {"modules": {"overlay": "unknown"}}, "warning", "nothing there tells whether its kernel has"),
    ("gpu", WORKER, {"gpus": 0}, "error", "no NVIDIA card is on its PCI bus"),
    ("gpu", WORKER, {"gpus": 2}, "error", "NVIDIA's driver is not loaded"),
    ("selinux", WORKER, {"selinux": "enforcing"}, "warning", "SELinux is enforcing"),
    ("firewall", WORKER, {"active": frozenset({"chronyd.service", "firewalld.service"})}, "warning",
     "a firewall of the distribution is active: firewalld"),
    ("firewall", WORKER, {"active": frozenset({"chronyd.service", "ufw.service"}), "ufw": True}, "warning", "ufw"),
    ("clock", WORKER, {"clock_ahead": 7200.0}, "error", "its clock is far from this machine's"),
    ("clock", WORKER, {"clock_ahead": -20.0}, "warning", "its clock is behind the other hosts' clocks"),
    ("timezone", WORKER, {"timezone": "Asia/Shanghai"}, "warning", "Asia/Shanghai, most hosts have UTC"),
    ("time-sync", WORKER, {"active": frozenset()}, "warning", "nothing there keeps its clock right"),
    ("address", WORKER, {"addresses": frozenset({"127.0.0.1", "192.168.0.5"})}, "error", "on none of its interfaces"),
    ("names", WORKER, {"nameservers": ()}, "warning", "/etc/resolv.conf names no name server"),
    ("names", WORKER, {"resolves_itself": False}, "warning", "it does not find its own host name"),
    ("names", WORKER, {"unresolved": ("api.example.net",)}, "error", "it does not find api.example.net, by which"),
    ("ports", WORKER, {"listening": (Listening(10250, "::", "kubelet", 9, "kubelet.service"),)}, "error",
     "port 10250 is taken by kubelet of kubelet.service; kubelet is to have it"),
    ("ports", CONTROL, {"listening": (Listening(8443, "0.0.0.0", "java", 9, "web.service"),)}, "error",
     "port 8443 is taken by java of web.service; apiserver-balancer is to have it"),
    ("ports", WORKER, {"listening": (Listening(30080, "0.0.0.0", "nginx", 9, "nginx.service"),)}, "warning",
     "port 30080 is taken by nginx of nginx.service; it lies in the range of Services of type NodePort"),
    ("remains", WORKER, {"remains": ("/etc/kubernetes/admin.conf",)}, "error", "something of another Kubernetes"),
    ("remains", WORKER, {"remains": ("/var/lib/rancher/k3s",)}, "error", "something of another Kubernetes"),
    ("remains", CONTROL, {"remains": ("/var/lib/etcd/member",)}, "error", "something of another Kubernetes"),
    ("remains", WORKER, {"remains": ("/etc/cni/net.d/87-podman.conflist",)}, "warning", "pod networks that are not"),
    ("mirror", WORKER, {"urls": {MIRROR: "curl: (7) refused"}}, "error", "mirror.example.net does not answer it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "host", "change", "severity", "words"), FAULTS, ids=[f"{one[0]}-{n}" for n, one in enumerate(FAULTS)]
)
def test_a_planted_fault_is_found_by_its_check_alone(
    check: str, host: str, change: dict[str, Any], severity: str, words: str
) -> None:
    (one,) = found(seen({host: change}))
    assert (one.check, one.host, one.severity) == (check, host, severity)
    assert words in one.text and one.todo
    assert not judged(seen({host: change}), skip={check})


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.11", "127.0.0.1"])
def test_a_program_on_a_port_that_is_turned_to_pods_is_a_warning(address: str) -> None:
    turned = Port(80, 80, "tcp", frozenset({"turned"}), frozenset({"anyone"}), "traefik", "HTTP of Ingresses")
    with_ingress = replace(tree(), ports={**tree().ports, WORKER: (*tree().ports[WORKER], turned)})
    taken = seen({WORKER: {"listening": (Listening(80, address, "nginx", 9, "nginx.service"),)}}, tree=with_ingress)
    (one,) = found(taken)
    assert (one.check, one.host, one.severity) == ("ports", WORKER, "warning")
    assert "port 80 is taken by nginx of nginx.service; traefik is to have it (HTTP of Ingresses)" in one.text


def test_selinux_that_enforces_names_what_the_balancer_of_the_host_needs() -> None:
    (one,) = found(seen({WORKER: {"selinux": "enforcing"}}))
    assert "`semanage permissive -a httpd_t`" in one.todo and "haproxy_t" not in one.todo


@pytest.mark.parametrize(
    ("check", "field", "severity", "words"),
    [
        ("machine-id", "machine_id", "error", "have the same machine-id"),
        ("product-uuid", "product_uuid", "warning", "have the same product_uuid"),
        ("hostname", "hostname", "error", "have the same host name"),
    ],
)
def test_what_two_hosts_share_is_found_on_both(check: str, field: str, severity: str, words: str) -> None:
    both = found(seen({name: {field: "Same"} for name in ("cp-2", WORKER)}))
    assert [(one.check, one.host, one.severity) for one in both] == [
        (check, "cp-2", severity), (check, WORKER, severity),
    ]  # fmt: skip
    assert words in both[0].text and both[0].text == both[1].text
    assert not found(seen({name: {field: ""} for name in tree().hosts}), check)


GOOD: list[tuple[str, dict[str, Any]]] = [
    (WORKER, {"kernel": "4.17.0"}),
    (CONTROL, {"memory": int(1.71 * GIB), "cpus": 2}),
    (WORKER, {"memory": int(3.41 * GIB)}),
    (WORKER, {"missing": ("wget",)}),
    (WORKER, {"readonly": frozenset({"/sys/fs/cgroup", "/mnt/cdrom"})}),
    (WORKER, {"active": frozenset({"chrony.service", "ufw.service"})}),
    (WORKER, {"clock_ahead": 4.0}),
    (WORKER, {"gpus": 1, "gpu_driver": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.133.20"}),
    (WORKER, {"timezone": "UTC"}),
    (WORKER, {"resolves_itself": None, "nameservers": None, "addresses": frozenset(), "cpus": None, "memory": None}),
    # Another address than ours, and a port that is none of ours.
    (WORKER, {"listening": (Listening(10248, "192.168.0.9", "web", 9, "web.service"), Listening(80, "::", "web"))}),
    (WORKER, {"own": frozenset({"unit:kubelet.service"}),
              "listening": (Listening(10250, "::", "kubelet", 9, "kubelet.service"),)}),
    # A run that was cut off has started it and not written it down yet.
    (WORKER, {"underway": True, "listening": (Listening(10250, "::", "kubelet", 9, "kubelet.service"),),
              "remains": ("/etc/systemd/system/kubelet.service",)}),
    # Our user-data has made it, and no apply has been there.
    (CONTROL, {"underway": True, "listening": (Listening(8443, "127.0.0.1", "nginx", 9, "apiserver-balancer.service"),),
               "remains": ("/etc/systemd/system/kube-apiserver.service",
                           "/etc/systemd/system/kube-proxy.service", "/etc/systemd/system/kubelet.service")}),
    (CONTROL, {"own": frozenset({"/etc/etcd"}), "remains": ("/var/lib/etcd/member",)}),
    (WORKER, {"own": frozenset({"/etc/systemd/system/kubelet.service"}),
              "remains": ("/etc/systemd/system/kubelet.service",)}),
]  # fmt: skip


@pytest.mark.parametrize(("host", "change"), GOOD)
def test_what_is_good_enough_is_no_finding(host: str, change: dict[str, Any]) -> None:
    assert found(seen({host: change})) == []


SETTLED: Mapping[str, Any] = {"generation": "f" * 64, "own": frozenset({"unit:kubelet.service"})}


def test_a_host_that_runs_the_cluster_does_not_fail_on_itself() -> None:
    ours = (
        Listening(10250, "::", "kubelet", 9, "kubelet.service"),
        Listening(10010, "127.0.0.1", "", 0, ""),
        Listening(30080, "0.0.0.0", "web", 9, PODS),
    )
    pods = {"listening": ours, "remains": ("/etc/cni/net.d/10-flannel.conflist",)}
    assert found(seen({WORKER: {**SETTLED, **pods}})) == []
    little = {"memory": GIB, "cpus": 1, "swaps": ("/swap",), "remains": ("/etc/kubernetes/admin.conf",)}
    eased = found(seen({WORKER: {**SETTLED, **little}}))
    assert {one.check for one in eased} == {"memory", "cpu", "swap", "remains"}
    assert {one.severity for one in eased} == {"warning"} and exit_code(eased) == 0
    assert found(seen({WORKER: {**SETTLED, "cgroup": 1}}))[0].severity == "error", "a new Kubernetes meets it"
    assert found(seen({WORKER: {**SETTLED, "disks": disks(WORKER, 7 * GIB, "/var/lib/containerd")}})) == []


@pytest.mark.parametrize(
    ("release", "accepts", "severity"),
    [("1.30.1", None, ""), ("1.31.0", None, "warning"), ("1.34.2", None, "warning"), ("1.35.0", None, "error"),
     ("1.35.0", True, "error"), ("1.35.0", False, "warning")],
)  # fmt: skip
def test_cgroup_v1_by_release(release: str, accepts: bool | None, severity: str) -> None:
    one = seen({WORKER: {"cgroup": 1}})
    host = one.tree.hosts[WORKER]
    line = b"" if accepts is None else f"failCgroupV1: {str(accepts).lower()}\n".encode()
    items = tuple(
        replace(item, content=item.content + line) if item.path == "/etc/kubernetes/kubelet.yaml" else item
        for item in host.items
    )
    hosts = {**one.tree.hosts, WORKER: replace(host, items=items)}
    one = replace(one, tree=replace(one.tree, hosts=hosts, versions={**one.tree.versions, "kubernetes": release}))
    assert [finding.severity for finding in found(one)] == ([severity] if severity else [])


def test_swap_that_a_unit_of_ours_turns_off_is_a_warning() -> None:
    one = seen({WORKER: {"swaps": ("/swapfile",)}})
    host = one.tree.hosts[WORKER]
    unit = replace(host.units()[0], name="slipway-swap-off.service", key="unit:slipway-swap-off.service")
    hosts = {**one.tree.hosts, WORKER: replace(host, items=(*host.items, unit))}
    (finding,) = found(replace(one, tree=replace(one.tree, hosts=hosts)))
    assert finding.severity == "warning" and "the apply turns it off" in finding.todo


def test_inotify_is_a_finding_only_where_the_tree_leaves_it() -> None:
    one = seen({WORKER: {"inotify": {"instances": 64, "watches": 65536}}})
    assert found(one) == []
    host = one.tree.hosts[WORKER]
    items = tuple(item for item in host.items if not item.path.startswith("/etc/sysctl.d/"))
    one = replace(one, tree=replace(one.tree, hosts={**one.tree.hosts, WORKER: replace(host, items=items)}))
    (finding,) = found(one)
    assert "fs.inotify.max_user_instances is below 128" in finding.text and finding.severity == "warning"


def ways(silent: set[tuple[str, str, int]], **more: Any) -> Seen:
    tried = tuple(
        Way(caller, target, port, "etcd" if port in (2379, 2380) else "other",
            "silent" if (caller, target, port) in silent else "refused")
        for caller, target, port in needed_ways()
    )  # fmt: skip
    return seen(ways=tried, **more)


def test_a_way_on_which_nothing_comes_back_is_found_and_a_refusal_is_none() -> None:
    assert found(ways(set())) == []
    (one,) = found(ways({("cp-1", "cp-2", 2380)}))
    assert (one.check, one.host, one.severity) == ("reach", "cp-1", "error")
    assert one.text == "it gets no answer from cp-2 on port 2380 (etcd)"


def test_a_port_that_nobody_reaches_is_a_finding_of_its_host() -> None:
    (one,) = found(ways({("cp-1", "cp-3", 2379), ("cp-2", "cp-3", 2379)}))
    assert one.host == "cp-3" and "no host that was asked gets an answer from it on port 2379" in one.text


def test_a_host_that_does_not_answer_is_told_once() -> None:
    away = {"cp-3": "ha/cp-3: ssh: 10.0.0.3:22 cannot be reached (no answer); check address, port and jump hosts"}
    silent = {(caller, target, port) for caller, target, port in needed_ways() if target == "cp-3"}
    (one,) = found(ways(silent, unreachable=away))
    assert (one.check, one.host) == ("ssh", "cp-3")
    assert one.text == "10.0.0.3:22 cannot be reached (no answer)"
    assert one.todo == "check address, port and jump hosts"


def test_a_host_that_a_run_goes_on_without_is_no_fault_of_those_that_ask() -> None:
    silent = {(caller, target, port) for caller, target, port in needed_ways() if target == "cp-3"}
    assert found(ways(silent)) != []
    assert found(ways(silent, away=frozenset({"cp-3"}))) == []


def test_a_login_without_sudo_is_a_finding_of_its_own() -> None:
    why = "ha/cp-3: sudo: ops is not in the sudoers file; this user needs sudo to root"
    (one,) = found(seen(unreachable={"cp-3": why}))
    assert (one.check, one.host, one.severity) == ("sudo", "cp-3", "error")


@pytest.mark.parametrize(
    ("host", "how", "severity"),
    [(CONTROL, "none", "error"), (WORKER, "none", "warning"), (WORKER, "relay", "warning")],
)
def test_forwarding(host: str, how: Any, severity: str) -> None:
    (one,) = found(seen(forwarding={**dict.fromkeys(tree().hosts, "direct"), host: how}))
    assert (one.check, one.host, one.severity) == ("forwarding", host, severity)


def test_every_check_has_been_seen_to_find_something() -> None:
    planted = {one[0] for one in FAULTS}
    others = {"ssh", "sudo", "forwarding", "reach", "machine-id", "product-uuid", "hostname", "inotify"}
    assert planted | others == {check.name for check in CHECKS} and len(planted | others) >= 15
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_an_unknown_check_is_an_error_with_the_nearest() -> None:
    assert known_checks(["swap", "ports"]) == {"swap", "ports"}
    with pytest.raises(
        WorkspaceError, match=r"--skip port: there is no such check; did you mean ports\? there are ssh"
    ):
        known_checks(["port"])
    with pytest.raises(WorkspaceError, match="there is no such check; there are"):
        known_checks(["horoscope"])


def test_every_check_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/preflight.md").read_text()
    assert not [check.name for check in CHECKS if f"`{check.name}`" not in page]


VARIATIONS = Path(__file__).parents[1] / "golden/variations"


def wanted(name: str, tmp_path: Path) -> RenderedTree:
    write(variation_tree(name), tmp_path / "rendered")
    return load(tmp_path / "rendered")


def test_a_name_is_asked_for_where_nodes_enter_the_api_by_it(tmp_path: Path) -> None:
    assert all(wants.names(host) == () for host in tree().hosts.values())
    host = wanted("balancer-none", tmp_path).hosts["w1"]
    assert wants.names(host) == ("api.example.net",)
    line = replace(host.items[0], kind="file", path=wants.HOSTS, content=b"10.0.0.9 api.example.net\n")
    assert wants.names(replace(host, items=(*host.items, line))) == ()


def test_servers_of_packages_are_asked_unless_a_proxy_stands_between(tmp_path: Path) -> None:
    found = wanted("system-package-sources", tmp_path)
    assert {wants.sources(host) for host in found.hosts.values()} == {("https://mirror.example.net/",)}
    assert b"url\thttps://mirror.example.net/\n" in inquiry(found, found.hosts["w1"])
    assert b"url\t" not in inquiry(found, found.hosts["w1"], {"mirror"})
    machines = {"w1": Machine(host="w1", urls={"https://mirror.example.net/": "refused"})}
    (one,) = checks_network.mirror(Seen(found, ("w1",), machines))
    assert "mirror.example.net does not answer it, from which it is to fetch its packages" in one.text
    assert {wants.sources(host) for host in wanted("system-proxy", tmp_path).hosts.values()} == {()}


def test_room_for_a_folder_is_not_asked_of_the_disk_that_it_leaves(tmp_path: Path) -> None:
    found = wanted("data-disk", tmp_path)
    host = found.hosts["w1"]
    small = {path: Disk(2 * GIB, "/", 10**6) for path in wants.room(host)}

    def text(more: Mapping[str, Disk]) -> list[str]:
        machines = {"w1": Machine(host="w1", disks={**small, **more})}
        return [one.text for one in checks_kernel.disk(Seen(found, ("w1",), machines))]

    (one,) = text({})
    assert one.startswith("/ has little room") and "/opt" in one and "/var/lib/kubelet" not in one
    mounted = {"/var/lib/containerd": Disk(GIB, "/var/lib/containerd", 10**6)}
    assert any(one.startswith("/var/lib/containerd has little room: 5.0 GiB are needed") for one in text(mounted))


def test_a_firewall_that_the_apply_turns_off_is_not_held_against_anybody(tmp_path: Path) -> None:
    found = wanted("firewall-off", tmp_path)
    ways = tuple(Way(caller, "w1", 10250, "kubelet", "silent") for caller in ("cp1", "w2"))

    def checks(unit: str, **more: Any) -> set[tuple[str, str, str]]:
        machines = {"w1": Machine(host="w1", active=frozenset({unit}), **more)}
        given = Seen(found, ("w1",), machines, ways=ways)
        findings = [*checks_kernel.firewall(given), *checks_network.reach(given)]
        return {(one.severity, one.text.split(":")[0], one.todo.split(":")[0]) for one in findings}

    active = "a firewall of the distribution is active"
    assert checks("firewalld.service") == {("warning", active, "nothing")}
    for others in (checks("iptables.service"), checks("firewalld.service", generation="1")):
        assert {severity for severity, _, _ in others} == {"warning", "error"} and len(others) == 2


def test_a_time_zone_that_the_apply_sets_is_left_to_it(tmp_path: Path) -> None:
    found = wanted("system-name-and-zone", tmp_path)
    hosts = ("cp1", "w1")
    machines = {
        name: Machine(host=name, timezone=zone) for name, zone in zip(hosts, ("UTC", "Asia/Tokyo"), strict=True)
    }
    (one,) = checks_between.timezone(Seen(found, hosts, machines))
    assert one.todo == "nothing: the apply sets it"
    machines = {name: replace(machine, generation="1") for name, machine in machines.items()}
    (one,) = checks_between.timezone(Seen(found, hosts, machines))
    assert "set-timezone" in one.todo


def test_a_driver_that_the_spec_brings_may_be_missing_before_the_first_apply() -> None:
    plain = tree()
    host = plain.hosts[WORKER]
    rule, toolkit, driver = host.items[:3]
    ours = (
        replace(rule, kind="file", component=wants.GPU),
        replace(toolkit, kind="package", name=wants.GPU_TOOLKIT, component=wants.GPU),
        replace(driver, kind="package", name="nvidia-open", component=wants.GPU),
    )
    with_gpus = replace(host, items=(*host.items, *ours))
    assert wants.gpus(host) == () and wants.gpus(with_gpus) == ("nvidia",)
    assert wants.gpu_driver_packages(with_gpus) == ("nvidia-open",)
    named = replace(plain, hosts={**plain.hosts, WORKER: with_gpus})
    for generation, words in (("", "nothing: the apply installs its packages"), ("abc", "see `dmesg`")):
        (one,) = found(replace(seen({WORKER: {"gpus": 1, "generation": generation}}), tree=named), "gpu")
        assert (one.severity, one.detail) == ("warning", "nvidia-open") and words in one.todo
