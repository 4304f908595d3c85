"""etcd: what may start it, what restarts it, where it listens and where its log lies."""

from __future__ import annotations

from generator.components import etcd
from generator.components.items import HostBinary, HostDirectory, HostFile, HostLink
from generator.spec import load_text
from tests.components.sample import flags_of, host_items, sample_cluster, text_of

UNIT = "/etc/systemd/system/etcd.service"
SIX = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: six}
versions: {kubernetes: "1.30.2"}
network: {podCIDR: "fd00:1::/48", serviceCIDR: "fd00:2::/112"}
pools:
  control: {roles: [etcd, control-plane], os: debian-12, arch: amd64}
hosts:
  cp1: {pool: control, address: "fd00::1"}
"""
WAL = "directories: {etcdData: /srv/etcd, etcdWal: /srv/etcd-wal}"


def test_a_member_without_data_does_not_start_by_itself() -> None:
    unit = text_of(host_items(etcd.COMPONENT, sample_cluster())[UNIT])
    assert "\nAssertPathExists=/var/lib/etcd/member\n" in unit
    assert "\nEnvironment=ETCD_INITIAL_CLUSTER_STATE=existing\n" in unit
    assert not [flag for flag in flags_of(unit) if flag.startswith("initial-cluster")]


def test_a_log_of_its_own_is_asserted_too_and_lies_below_its_folder() -> None:
    items = host_items(etcd.COMPONENT, sample_cluster(rest=WAL))
    unit = text_of(items[UNIT])
    assert "AssertPathExists=/srv/etcd/member\nAssertPathExists=/srv/etcd-wal/wal\n" in unit
    assert "RequiresMountsFor=/srv/etcd /srv/etcd-wal\n" in unit
    assert "ReadWritePaths=/srv/etcd /srv/etcd-wal\n" in unit
    assert flags_of(unit)["wal-dir"] == "/srv/etcd-wal/wal"
    for path in ("/srv/etcd", "/srv/etcd-wal"):
        folder = items[path]
        assert isinstance(folder, HostDirectory)
        assert (folder.mode, folder.owner, folder.group) == (0o700, "etcd", "etcd")


def test_membership_is_shared_and_restarts_nothing() -> None:
    one, other = (host_items(etcd.COMPONENT, sample_cluster(), host) for host in ("cp1", "cp2"))
    formation = one["/etc/etcd/formation.env"]
    assert isinstance(formation, HostFile)
    assert (formation.restarts, formation.reloads) == ((), ())
    assert formation == other["/etc/etcd/formation.env"]
    assert one[UNIT] == other[UNIT]
    assert "cp3=https://10.0.0.3:2380" in text_of(formation)


def test_environment_and_flags_never_say_the_same() -> None:
    items = host_items(etcd.COMPONENT, sample_cluster())
    unit = text_of(items[UNIT])
    texts = (unit, text_of(items["/etc/etcd/formation.env"]), text_of(items["/etc/slipway/etcd.env"]))
    words = [word for text in texts for line in text.splitlines() for word in line.split("=")]
    variables = {word.removeprefix("ETCD_").lower().replace("_", "-") for word in words if word.startswith("ETCD_")}
    assert variables == {"initial-cluster", "initial-cluster-token", "initial-cluster-state"}
    assert not variables & set(flags_of(unit))


def test_every_listener_speaks_mutual_tls_but_the_metrics_on_loopback() -> None:
    flags = flags_of(text_of(host_items(etcd.COMPONENT, sample_cluster())[UNIT]))
    assert flags["client-cert-auth"] == flags["peer-client-cert-auth"] == "true"
    for name in ("listen-client-urls", "listen-peer-urls", "advertise-client-urls", "initial-advertise-peer-urls"):
        assert all(url.startswith("https://") for url in flags[name].split(","))
    assert flags["listen-metrics-urls"] == "http://127.0.0.1:2381"


def test_certificates_belong_to_etcd_and_restart_nothing_but_the_ca() -> None:
    items = host_items(etcd.COMPONENT, sample_cluster())
    for name in ("server", "peer", "healthcheck-client"):
        key = items[f"/etc/etcd/pki/{name}.key"]
        assert isinstance(key, HostFile)
        assert (key.mode, key.owner, key.restarts) == (0o400, "etcd", ())
    ca = items["/etc/etcd/pki/ca.crt"]
    assert isinstance(ca, HostFile)
    assert ca.restarts == ("etcd.service",)


def test_addresses_of_ipv6_carry_brackets() -> None:
    items = host_items(etcd.COMPONENT, load_text(SIX))
    assert text_of(items["/etc/slipway/etcd.env"]) == "SLIPWAY_MEMBER_NAME=cp1\nSLIPWAY_NODE_IP_URL=[fd00::1]\n"
    assert "ETCD_INITIAL_CLUSTER=cp1=https://[fd00::1]:2380\n" in text_of(items["/etc/etcd/formation.env"])


def test_programs_come_from_the_archive_of_the_version_and_architecture() -> None:
    for version, programs in (("3.4.23", {"etcd", "etcdctl"}), ("3.6.11", {"etcd", "etcdctl", "etcdutl"})):
        minor = "1.24" if version == "3.4.23" else "1.36"
        items = host_items(etcd.COMPONENT, sample_cluster(minor, versions=f', etcd: "{version}"'))
        binaries = {item.path: item for item in items.values() if isinstance(item, HostBinary)}
        assert {path.rpartition("/")[2] for path in binaries} == programs
        assert binaries[f"/opt/etcd/{version}/etcd"].member == f"etcd-v{version}-linux-amd64/etcd"
        links = {item.path: item for item in items.values() if isinstance(item, HostLink)}
        assert {link.target for link in links.values()} == set(binaries)
        assert links["/usr/local/bin/etcd"].restarts == ("etcd.service",)
        assert links["/usr/local/bin/etcdctl"].restarts == ()
