from __future__ import annotations

import pytest

from generator.components import (
    hosts_file,
    kernel_modules,
    package_manager,
    packages,
    proxy,
    selinux,
    ssh_hardening,
    swap,
    time_sync,
)
from generator.components.items import HostFile, HostLink, HostPackage, HostUnit
from generator.components.registry import COMPONENTS
from generator.render.inventory import inventory_text
from generator.render.levels import levels
from generator.spec import load_text
from generator.spec.model import Cluster
from generator.spec.operating_systems import SUPPORTED
from tests.components.clusters import NamedMaterial, cluster, of_pool, shared, text


def items_of(made: Cluster, name: str) -> dict[str, object]:
    """Everything that a host is to have, by key, as render lays the levels over one another."""
    found = levels(made, NamedMaterial(), COMPONENTS)
    host = next(host for host in made.hosts if host.name == name)
    return dict(found.items_of(host))


def test_without_the_section_nodes_have_swap_off_and_nothing_more() -> None:
    made = cluster(
        pools="store: {roles: [etcd], os: debian-12}", hosts="s[1:2]: {pool: store, address: '10.0.4.[1:2]'}"
    )
    settings = [one for one in COMPONENTS if type(one).__name__ == "HostSetting"]
    assert {one.name for one in settings if one.runs_on(made, made.pools["workers"])} == {"swap"}
    assert not [one for one in settings if one.runs_on(made, made.pools["store"])]


def test_swap_is_masked_and_turned_off_before_the_kubelet() -> None:
    items = shared(swap.COMPONENT, cluster())
    link = items["/etc/systemd/system/swap.target"]
    assert isinstance(link, HostLink) and link.target == "/dev/null"
    unit = text(items, "/etc/systemd/system/slipway-swap-off.service")
    assert "Before=kubelet.service" in unit
    # swapoff(2) opens a swap file for writing, wherever it lies.
    assert "ProtectSystem" not in unit and "ProtectHome" not in unit


def test_null_in_a_stronger_layer_brings_the_default_back() -> None:
    made = cluster(
        more="system: {timeZone: Europe/Berlin, journald: {maxUse: 2G, persistent: true}, modules: [rbd]}",
        pools="odd: {roles: [worker], os: debian-12, system: {timeZone: null, journald: {maxUse: null}, modules: []}}",
        hosts="odd1: {pool: odd, address: 10.0.5.1}",
    )
    system = made.pools["odd"].system
    assert (system.time_zone, system.modules) == ("keep", ())
    assert (system.journald.persistent, system.journald.max_use) == (True, "")
    assert made.pools["workers"].system is made.system
    items = items_of(made, "odd1")
    assert "unit:slipway-time-zone.service" not in items and "unit:slipway-kernel-modules.service" not in items
    assert "unit:slipway-time-zone.service" in items_of(made, "cp1")


def test_a_host_may_have_what_its_pool_has_not() -> None:
    made = cluster(hosts="odd1: {pool: workers, address: 10.0.5.1, system: {modules: [rbd]}}")
    assert "unit:slipway-kernel-modules.service" in items_of(made, "odd1")
    assert "unit:slipway-kernel-modules.service" not in items_of(made, "worker1")


def test_a_package_that_two_components_need_is_no_clash_and_stays_for_the_other() -> None:
    made = cluster(
        more="system: {packages: {extra: [socat, lvm2]}}",
        hosts="odd1: {pool: workers, address: 10.0.5.1, system: {packages: {extra: []}}}",
    )
    assert {"package:socat", "package:lvm2"} <= items_of(made, "worker1").keys()
    odd = items_of(made, "odd1")
    assert "package:socat" in odd and "package:lvm2" not in odd


@pytest.mark.parametrize("os", SUPPORTED)
def test_every_release_has_base_packages_for_storage(os: str) -> None:
    family = "debian" if os.split("-")[0] in {"debian", "ubuntu"} else "redhat"
    names = packages.base(os, family, "ipvs")
    assert {"nfs-common", "nfs-utils"} & set(names)
    assert {"open-iscsi", "iscsi-initiator-utils"} & set(names)
    assert {"ipset", "ipvsadm"} <= set(names)
    assert "ipvsadm" not in packages.base(os, family, "iptables")


def test_base_packages_are_for_nodes() -> None:
    made = cluster(
        more="system: {packages: {base: true}}",
        pools="store: {roles: [etcd], os: debian-12}",
        hosts="s[1:2]: {pool: store, address: '10.0.4.[1:2]'}",
    )
    assert "package:nfs-common" in of_pool(packages.COMPONENT, made, "workers")
    assert not of_pool(packages.COMPONENT, made, "store")


TIME = "system: {time: {mode: own, servers: [ntp.example.net], own: [cp1, cp2], allow: [10.0.0.0/16]}}"


def test_own_servers_ask_outside_and_all_others_ask_them() -> None:
    made = cluster(more=TIME)
    asked = {}
    for name in ("cp1", "cp2", "cp3", "worker1"):
        item = items_of(made, name)["/etc/chrony/chrony.conf"]
        assert isinstance(item, HostFile) and isinstance(item.content, str)
        asked[name] = [line.split()[1] for line in item.content.splitlines() if line.startswith("server ")]
        assert ("allow 10.0.0.0/16" in item.content) == (name in {"cp1", "cp2"})
        assert ("port 0" in item.content.splitlines()) == (name not in {"cp1", "cp2"})
        assert item.restarts == ("chrony.service",)
    assert asked["cp1"] == asked["cp2"] == ["ntp.example.net"]
    assert asked["cp3"] == asked["worker1"] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize("os", SUPPORTED)
def test_chrony_is_where_the_family_has_it(os: str) -> None:
    made = cluster(
        "1.30.0",
        more="system: {time: {mode: client, servers: [ntp.example.net]}}",
        pools=f"odd: {{roles: [worker], os: {os}}}",
        hosts="odd1: {pool: odd, address: 10.0.5.1}",
    )
    items = of_pool(time_sync.COMPONENT, made, "odd")
    debian = os.startswith(("debian", "ubuntu"))
    assert ("/etc/chrony/chrony.conf" in items, "/etc/chrony.conf" in items) == (debian, not debian)
    unit = items["unit:chrony.service" if debian else "unit:chronyd.service"]
    assert isinstance(unit, HostUnit)
    timesyncd = shared(time_sync.COMPONENT, made)["/etc/systemd/system/systemd-timesyncd.service"]
    assert isinstance(timesyncd, HostLink) and timesyncd.target == "/dev/null"


def test_one_host_more_is_one_line_more_of_one_shared_file() -> None:
    small, large = (
        cluster(more="system: {hostsFile: {allHosts: true, records: {10.0.0.2: [second]}}}", hosts=more)
        for more in ("", "extra: {pool: workers, address: 10.0.1.9}")
    )
    before, after = (text(shared(hosts_file.COMPONENT, made), hosts_file.FRAGMENT) for made in (small, large))
    assert set(after.splitlines()) - set(before.splitlines()) == {"10.0.1.9 extra"}
    assert "10.0.0.2 cp2 second" in before.splitlines()
    old, new = (levels(made, NamedMaterial(), COMPONENTS) for made in (small, large))
    assert {host: folder for host, folder in new.hosts.items() if host in old.hosts} == old.hosts


KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n-----END PGP PUBLIC KEY BLOCK-----\n"
SOURCES = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: demo}
versions: {kubernetes: "1.30.0"}
pools:
  control: {roles: [etcd, control-plane], os: ubuntu-22.04}
  workers: {roles: [worker], os: alma-9}
hosts:
  cp1: {pool: control, address: 10.0.0.1}
  w1: {pool: workers, address: 10.0.0.2}
system:
  packageSources:
  - {name: one, apt: {uris: ["http://m.example.net/ubuntu"], suites: [jammy]}, keyFile: k}
  - {name: two, dnf: {baseURL: "http://m.example.net/el9"}, keyFile: k}
  replacePackageSources: %s
"""


def test_lines_in_the_hosts_file_come_after_cloud_init_that_writes_it_anew() -> None:
    made = cluster(more="system: {hostsFile: {allHosts: true}}")
    unit = text(shared(hosts_file.COMPONENT, made), "/etc/systemd/system/slipway-hosts-file.service")
    (after,) = [line for line in unit.splitlines() if line.startswith("After=")]
    assert {"cloud-init.service", "cloud-init-network.service"} <= set(after.removeprefix("After=").split())


@pytest.mark.parametrize("replace", [False, True])
def test_each_family_takes_its_own_sources_and_every_source_names_its_key(replace: bool) -> None:
    made = load_text(SOURCES % str(replace).lower(), files={"k": KEY})
    apt, dnf = (of_pool(package_manager.COMPONENT, made, pool) for pool in ("control", "workers"))
    deb = "/etc/slipway/apt" if replace else "/etc/apt/sources.list.d"
    rpm = "/etc/slipway/yum.repos.d" if replace else "/etc/yum.repos.d"
    assert "Signed-By: /etc/slipway/keys/one.asc" in text(apt, f"{deb}/slipway-one.sources")
    assert "gpgcheck=1\ngpgkey=file:///etc/slipway/keys/two.asc" in text(dnf, f"{rpm}/slipway-two.repo")
    assert text(apt, "/etc/slipway/keys/one.asc") == text(dnf, "/etc/slipway/keys/two.asc") == KEY
    assert (package_manager.APT_CONF in apt, package_manager.DNF_FRAGMENT in dnf) == (replace, replace)
    assert not [path for path in apt if "two" in path] and not [path for path in dnf if "one" in path]


def test_sources_and_proxy_are_there_before_the_first_package() -> None:
    from generator.render.phases import PHASES

    names = [phase.name for phase in PHASES]
    made = load_text(SOURCES % "true", files={"k": KEY})
    for pool in made.pools:
        for item in of_pool(package_manager.COMPONENT, made, pool).values():
            assert names.index(item.phase) < names.index("host-base")


def test_the_runtime_goes_past_the_proxy_to_the_cluster_itself() -> None:
    made = cluster(more="system: {proxy: {https: 'http://p.example.net:1', noProxy: [.internal]}}")
    item = shared(proxy.COMPONENT, made)[proxy.DROP_IN]
    assert isinstance(item, HostFile) and isinstance(item.content, str)
    assert item.restarts == ("containerd.service",) and item.phase == "runtime"
    line = next(line for line in item.content.splitlines() if "NO_PROXY" in line)
    for name in ("127.0.0.1", ".svc", ".cluster.local", "10.244.0.0/16", "10.96.0.0/16", ".internal"):
        assert name in line
    assert "HTTP_PROXY" not in item.content.replace("HTTPS_PROXY", "")


def test_selinux_belongs_to_the_family_that_has_it() -> None:
    made = cluster(
        "1.30.0",
        pools="odd: {roles: [worker], os: rocky-9, system: {selinux: enforcing}}",
        hosts="odd1: {pool: odd, address: 10.0.5.1}",
    )
    assert "unit:slipway-selinux.service" in of_pool(selinux.COMPONENT, made, "odd")
    assert not selinux.COMPONENT.runs_on(made, made.pools["workers"])


def test_a_host_with_a_login_of_its_own_proves_that_one() -> None:
    made = cluster(
        more="ssh: {user: ops}\nsystem: {ssh: {harden: true}}",
        hosts="odd1: {pool: workers, address: 10.0.5.1, ssh: {user: admin}}",
    )
    odd, plain = items_of(made, "odd1"), items_of(made, "worker1")
    own = odd[ssh_hardening.OWN_ENV]
    assert isinstance(own, HostFile) and own.content == "SLIPWAY_SSH_LOGIN=admin\n"
    assert ssh_hardening.OWN_ENV not in plain
    everybody = plain["/etc/slipway/ssh-hardening.env"]
    assert isinstance(everybody, HostFile) and everybody.content == "SLIPWAY_SSH_LOGIN=ops\n"


def test_settings_of_sshd_go_by_a_unit_that_is_up_whatever_became_of_them() -> None:
    items = shared(ssh_hardening.COMPONENT, cluster(more="system: {ssh: {harden: true}}"))
    held = items[f"unit:{ssh_hardening.HOLDING_UNIT}"]
    assert isinstance(held, HostUnit) and held.start
    # The other is stopped by the host itself, to put back what was before.
    assert "ExecStop" not in text(items, f"/etc/systemd/system/{ssh_hardening.UNIT}")
    holding = text(items, f"/etc/systemd/system/{ssh_hardening.HOLDING_UNIT}")
    assert f"ExecStop=/bin/sh {ssh_hardening.SCRIPT} remove" in holding and "ExecStart" not in holding
    assert "RemainAfterExit=yes" in holding and "DefaultDependencies=no" in holding


def test_no_file_of_the_host_is_replaced_as_a_whole() -> None:
    made = load_text(
        SOURCES.replace("%s", "true")
        + "  hostName: set\n  timeZone: UTC\n  hostsFile: {allHosts: true}\n  proxy: {http: 'http://p:1'}\n"
        + "  ssh: {harden: true}\n",
        files={"k": KEY},
    )
    theirs = {"/etc/hosts", "/etc/hostname", "/etc/localtime", "/etc/timezone", "/etc/dnf/dnf.conf", "/etc/fstab"}
    theirs |= {"/etc/apt/sources.list", "/etc/ssh/sshd_config", "/etc/selinux/config"}
    for host in ("cp1", "w1"):
        assert not theirs & items_of(made, host).keys()


def test_modules_are_loaded_on_the_day_that_they_come() -> None:
    items = shared(kernel_modules.COMPONENT, cluster(more="system: {modules: [rbd, dm-crypt]}"))
    assert text(items, kernel_modules.MODULES) == "dm-crypt\nrbd\n"
    assert "unit:slipway-kernel-modules.service" in items
    assert kernel_modules.OPTIONS not in items
    only = shared(kernel_modules.COMPONENT, cluster(more="system: {moduleOptions: {sunrpc: a=1}}"))
    assert list(only) == [kernel_modules.OPTIONS]


def test_packages_are_items_of_their_own_name() -> None:
    items = of_pool(packages.COMPONENT, cluster(more="system: {packages: {extra: [lvm2]}}"), "workers")
    assert [item.name for item in items.values() if isinstance(item, HostPackage)] == ["lvm2"]


def test_a_kernel_comes_as_a_package_and_a_host_may_go_without() -> None:
    kernel = "kernel: {packages: [linux-image-6.1.0-39-amd64], release: 6.1.0-39-amd64}"
    made = cluster(
        pools=f"new: {{roles: [worker], os: debian-12, system: {{{kernel}}}}}",
        hosts="""\
            new[1:2]: {pool: new, address: '10.0.5.[1:2]'}
            odd1: {pool: new, address: 10.0.5.9, system: {kernel: null}}""",
    )
    assert "package:linux-image-6.1.0-39-amd64" in items_of(made, "new1")
    assert "package:linux-image-6.1.0-39-amd64" not in items_of(made, "odd1")
    lines = {line.split(":")[0].strip(): line for line in inventory_text(made, {"new": ("packages",)}).splitlines()}
    assert lines["new"].endswith("kernel: 6.1.0-39-amd64}") and "kernel" not in lines["new1"]
    assert lines["odd1"].endswith("kernel: ''}"), "its own business"
