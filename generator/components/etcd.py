"""etcd: the members of the cluster's store, with mutual TLS for clients and peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections, daemon_text, daemon_unit
from generator.components.items import HostBinary, HostDirectory, HostFile, HostItem, HostLink, HostUnit
from generator.components.leaf import leaf
from generator.components.settings import Settings, resolved
from generator.components.tls import CIPHER_SUITES
from generator.components.view import View
from generator.spec.flag_policy import additive_flags
from generator.spec.layout import ETCD_PKI_DIR, LINK_DIR, SYSTEMD_DIR, binary_dir, env_file
from generator.spec.model import Cluster, Pool, bracketed

NAME = "etcd"
PHASE = "etcd"
UNIT = "etcd.service"
FORMATION_ENV = "/etc/etcd/formation.env"
CA = f"{ETCD_PKI_DIR}/ca.crt"


@dataclass(frozen=True, slots=True)
class Etcd:
    """A member of etcd with etcdctl beside it (and etcdutl, which etcd has from 3.5 on)."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are members."""
        return "etcd" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return the flags and the unit; what etcd reads only at its first start is in neither."""
        return resolved(
            view.overrides(NAME),
            flags=_flags(view.cluster),
            unit=_unit(view.cluster),
            additive_flags=additive_flags(NAME),
        )

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield user, folders, CA, formation facts, unit and links."""
        directories = view.cluster.directories
        yield from system_user(NAME, component=NAME, title="etcd", home=directories.etcd_data)
        yield HostDirectory("/etc/etcd", NAME, PHASE)
        yield HostDirectory(ETCD_PKI_DIR, NAME, PHASE)
        for folder in _data_folders(view.cluster):
            yield HostDirectory(folder, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
        yield HostFile(CA, view.material.certificate("etcd/ca"), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(FORMATION_ENV, _formation(view.cluster), NAME, PHASE)
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, self.settings(view)), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)
        version = view.cluster.versions.etcd
        for program in _programs(version):
            restarts = (UNIT,) if program == NAME else ()
            target = f"{binary_dir(NAME, version)}/{program}"
            yield HostLink(f"{LINK_DIR}/{program}", target, NAME, PHASE, restarts=restarts)

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executables for the pool's architecture."""
        assert view.pool is not None
        version, arch = view.cluster.versions.etcd, view.pool.arch
        for program in _programs(version):
            member = f"etcd-v{version}-linux-{arch}/{program}"
            yield HostBinary(f"{binary_dir(NAME, version)}/{program}", NAME, version, arch, member, NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the member's name and address and its three certificates."""
        assert view.host is not None
        facts = f"SLIPWAY_MEMBER_NAME={view.host.name}\nSLIPWAY_NODE_IP_URL={bracketed(view.host.address)}\n"
        yield HostFile(env_file(NAME), facts, NAME, PHASE, restarts=(UNIT,))
        for name in ("server", "peer", "healthcheck-client"):
            yield from leaf(view, f"etcd/{name}", f"{ETCD_PKI_DIR}/{name}", component=NAME, phase=PHASE, owner=NAME)


def _flags(cluster: Cluster) -> dict[str, object]:
    directories = cluster.directories
    flags: dict[str, object] = {
        "name": "${SLIPWAY_MEMBER_NAME}",
        "data-dir": directories.etcd_data,
        "listen-client-urls": "https://${SLIPWAY_NODE_IP_URL}:2379,https://127.0.0.1:2379",
        "advertise-client-urls": "https://${SLIPWAY_NODE_IP_URL}:2379",
        "listen-peer-urls": "https://${SLIPWAY_NODE_IP_URL}:2380",
        "initial-advertise-peer-urls": "https://${SLIPWAY_NODE_IP_URL}:2380",
        "listen-metrics-urls": "http://127.0.0.1:2381",
        "client-cert-auth": True,
        "cert-file": f"{ETCD_PKI_DIR}/server.crt",
        "key-file": f"{ETCD_PKI_DIR}/server.key",
        "trusted-ca-file": CA,
        "peer-client-cert-auth": True,
        "peer-cert-file": f"{ETCD_PKI_DIR}/peer.crt",
        "peer-key-file": f"{ETCD_PKI_DIR}/peer.key",
        "peer-trusted-ca-file": CA,
        "cipher-suites": list(CIPHER_SUITES),
        # Of the history that nobody reads any more one hour stays, so the store does not grow into its quota.
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
        "quota-backend-bytes": 8 * 1024**3,
        "snapshot-count": 10000,
        # Disks and networks of ordinary servers stall longer than etcd's own 100 ms and 1 s allow for.
        "heartbeat-interval": 250,
        "election-timeout": 2500,
    }
    if directories.etcd_wal is not None:
        flags["wal-dir"] = _wal_dir(directories.etcd_wal)
    return flags


def _unit(cluster: Cluster) -> UnitSections:
    directories = cluster.directories
    # A member without data must not start: with an empty log it would make peers believe what it forgot. Forming the
    # cluster for the first time, and that alone, is done through a drop-in that takes the assertion away.
    marks = [f"{directories.etcd_data}/member"]
    if directories.etcd_wal is not None:
        marks.append(_wal_dir(directories.etcd_wal))
    folders = _data_folders(cluster)
    return daemon_unit(
        NAME,
        description="etcd, the store of the Kubernetes API",
        documentation="https://etcd.io/docs/",
        mounts=folders,
        working_directory=directories.etcd_data,
        writable=folders,
        unit={"AssertPathExists": marks},
        service={
            "Type": "notify",
            # It is ready once there is a quorum, which after a failure of the site can take minutes.
            "TimeoutStartSec": "10min",
            "EnvironmentFile": [env_file(NAME), FORMATION_ENV],
            "Environment": ["ETCD_INITIAL_CLUSTER_STATE=existing"],
            "OOMScoreAdjust": -999,
            "IOSchedulingClass": "best-effort",
            "IOSchedulingPriority": 0,
        },
    )


def _formation(cluster: Cluster) -> str:
    return f"ETCD_INITIAL_CLUSTER={cluster.etcd_initial_cluster}\nETCD_INITIAL_CLUSTER_TOKEN={cluster.name}\n"


def _data_folders(cluster: Cluster) -> list[str]:
    directories = cluster.directories
    return [directories.etcd_data, *([directories.etcd_wal] if directories.etcd_wal is not None else [])]


def _wal_dir(folder: str) -> str:
    """Return the log's folder: one below the given, since etcd makes it by renaming a sibling."""
    return f"{folder}/wal"


def _programs(version: str) -> tuple[str, ...]:
    major, minor = (int(part) for part in version.split(".")[:2])
    return ("etcd", "etcdctl", "etcdutl") if (major, minor) >= (3, 5) else ("etcd", "etcdctl")


COMPONENT = Etcd()
