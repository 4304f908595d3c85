"""containerd with runc, the CNI plugins and crictl: what a node runs containers with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.components.containerd_registries import CERTS_DIR, logins, registry_items
from generator.components.daemon import UnitSections, daemon_text
from generator.components.items import (
    HostBinary,
    HostDirectory,
    HostFile,
    HostItem,
    HostLink,
    HostUnit,
    SecretTemplate,
)
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.errors import RenderError
from generator.formats.merge import Layer
from generator.formats.toml_text import toml_text
from generator.formats.yaml_text import yaml_text
from generator.spec.gpu import NVIDIA_RUNTIME
from generator.spec.layout import CNI_BIN_DIR, CNI_CONF_DIR, CONTAINERD_SOCKET, LINK_DIR, SYSTEMD_DIR, binary_dir
from generator.spec.model import Cluster, Pool

NAME = "containerd"
PHASE = "runtime"
UNIT = "containerd.service"
CONFIG_DIR = "/etc/containerd"
CONFIG = f"{CONFIG_DIR}/config.toml"

STREAM_ADDRESS = "127.0.0.1"
STREAM_PORT = "10010"
"""Where containerd serves exec and port-forward streams; its default is a random port, which no port table can hold."""

CNI_PLUGINS = (
    "bandwidth", "bridge", "dhcp", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan", "portmap",
    "ptp", "sbr", "static", "tuning", "vlan", "vrf",
)  # fmt: skip
"""The plugins that every release of the archive since 0.9 has."""

_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
_GRPC = "io.containerd.grpc.v1.cri"
_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"


@dataclass(frozen=True, slots=True)
class Containerd:
    """The container runtime of a node. `config` of an override is merged deep into config.toml."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes."""
        return pool.is_node

    def settings(self, view: View) -> Settings:
        """Return the flags, the unit, and config.toml in the format of the version."""
        return resolved(
            view.overrides(NAME),
            flags={"config": CONFIG},
            unit=_unit(view.cluster),
            config=_config(view.cluster),
            table=None if view.pool is None else _gpu_layer(view.cluster, view.pool),
        )

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield configuration, registries, unit and the links to all programs and plugins."""
        cluster = view.cluster
        settings = self.settings(view)
        for folder in (CONFIG_DIR, CERTS_DIR, CNI_BIN_DIR, CNI_CONF_DIR):
            yield HostDirectory(folder, NAME, PHASE)
        # containerd sets this mode itself from 1.7.29 and 2.0.7 on (CVE-2024-25621).
        yield HostDirectory(cluster.directories.containerd, NAME, PHASE, mode=0o700)
        yield _config_file(view, settings)
        if cluster.versions.crictl:
            yield HostFile("/etc/crictl.yaml", _crictl(), NAME, PHASE)
        for registry in cluster.runtime.registries:
            yield from registry_items(registry, component=NAME, phase=PHASE)
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, settings), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)
        yield from _links(cluster)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the executables for the pool's architecture."""
        assert view.pool is not None
        versions, arch = view.cluster.versions, view.pool.arch
        for program in _PROGRAMS:
            yield _binary(NAME, versions.containerd, program, arch, f"bin/{program}")
        yield _binary("runc", versions.runc, "runc", arch, "")
        if versions.crictl:
            yield _binary("crictl", versions.crictl, "crictl", arch, "crictl")
        for plugin in CNI_PLUGINS:
            yield _binary("cni-plugins", versions.cni_plugins, plugin, arch, plugin)

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: the runtime holds no fact of its host."""
        return ()


def _config_file(view: View, settings: Settings) -> HostFile:
    """Return config.toml: with credentials a text with slots that root alone reads."""
    text = toml_text(settings.config)
    members = [registry for registry in view.cluster.runtime.registries if registry.credentials]
    if not members:
        return HostFile(CONFIG, text, NAME, PHASE, restarts=(UNIT,))
    for registry in members:
        try:
            view.material.secret_id(registry.secret)
        except RenderError:
            raise RenderError(
                f"{view.cluster.name}: {NAME}: no credentials for {registry.host} are sealed; "
                f"run `invoke secrets.set --name {registry.secret}`"
            ) from None
    return HostFile(CONFIG, SecretTemplate(text), NAME, PHASE, mode=0o400, restarts=(UNIT,))


def config_version(version: str) -> int:
    """Return the format of config.toml for a containerd version: 2 for 1.x, 3 from 2.0 on.

    2.3 has a format 4 and converts 3 while it loads. What we write has one shape in both, so 3 serves every 2.x until
    a release drops it. Source: containerd's docs/cri/config.md.
    """
    return 2 if _release(version) < (2, 0) else 3


def _config(cluster: Cluster) -> dict[str, Any]:
    runtime, version = cluster.runtime, cluster.versions.containerd
    runc = {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"SystemdCgroup": _systemd_cgroup(cluster)},
    }
    containers = {"default_runtime_name": "runc", "runtimes": {"runc": runc}}
    stream = {"stream_server_address": STREAM_ADDRESS, "stream_server_port": STREAM_PORT}
    registry: dict[str, Any] = {"config_path": CERTS_DIR}
    if found := logins(cluster.runtime.registries):
        registry["configs"] = found
    # bin_dir left containerd with 2.3; bin_dirs came with 2.1 (deprecation table of containerd's RELEASES.md).
    folders: dict[str, Any] = {"bin_dir": CNI_BIN_DIR} if _release(version) < (2, 1) else {"bin_dirs": [CNI_BIN_DIR]}
    cni = {**folders, "conf_dir": CNI_CONF_DIR}
    plugins: dict[str, Any]
    if config_version(version) == 2:
        plugins = {
            _GRPC: {
                "sandbox_image": runtime.sandbox_image,
                "cni": cni,
                "containerd": containers,
                "registry": registry,
                **stream,
            }
        }
    else:
        plugins = {
            _GRPC: stream,
            _IMAGES: {"pinned_images": {"sandbox": runtime.sandbox_image}, "registry": registry},
            _RUNTIME: {"cni": cni, "containerd": containers},
        }
    return {"version": config_version(version), "root": cluster.directories.containerd, "plugins": plugins}


def _gpu_layer(cluster: Cluster, pool: Pool) -> Layer | None:
    """Return what nodes with GPUs add: a runtime that is runc behind a program which puts the GPUs into the container.

    It is what `nvidia-ctk runtime configure --runtime=containerd` writes; the program finds runc on the PATH.
    """
    if pool.gpu is None:
        return None
    options = {"BinaryName": "/usr/bin/nvidia-container-runtime", "SystemdCgroup": _systemd_cgroup(cluster)}
    containers: dict[str, Any] = {
        "runtimes": {NVIDIA_RUNTIME: {"runtime_type": "io.containerd.runc.v2", "options": options}}
    }
    if pool.gpu.default_runtime:
        containers["default_runtime_name"] = NVIDIA_RUNTIME
    plugin = _GRPC if config_version(cluster.versions.containerd) == 2 else _RUNTIME
    return Layer(f"pool {pool.name}", {"config": {"plugins": {plugin: {"containerd": containers}}}})


def _systemd_cgroup(cluster: Cluster) -> bool:
    """Return whether systemd makes the cgroups: as the kubelet does, or the two account for pods in different trees."""
    return cluster.runtime.cgroup_driver == "systemd"


def _unit(cluster: Cluster) -> UnitSections:
    # No sandbox: containerd makes mounts and namespaces for every pod, and what it mounts must be seen by the host.
    return {
        "Unit": {
            "Description": "containerd, the container runtime",
            "Documentation": "https://containerd.io/docs/",
            "After": "network.target dbus.service local-fs.target",
            "RequiresMountsFor": cluster.directories.containerd,
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "Type": "notify",
            "WorkingDirectory": cluster.directories.containerd,
            # At boot modules-load.d was first; on the day of the install this is, since a systemd-modules-load that
            # had nothing to load at boot is not run again. They fail where the kernel has them built in.
            "ExecStartPre": ["-/sbin/modprobe overlay", "-/sbin/modprobe br_netfilter"],
            "ExecStart": f"{LINK_DIR}/{NAME}",
            # The shims are in its cgroup: a restart of containerd must leave the containers running.
            "Delegate": True,
            "KillMode": "process",
            "Restart": "always",
            "RestartSec": 5,
            # systemd takes the nearest value that a lower hard limit allows (setrlimit_closest), so this never keeps
            # the unit from starting. A number and not infinity: programs in containers inherit it, and some walk
            # through every descriptor that they could have.
            "LimitNOFILE": 1048576,
            "LimitNPROC": "infinity",
            "TasksMax": "infinity",
            "OOMScoreAdjust": -999,
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def _crictl() -> str:
    socket = f"unix://{CONTAINERD_SOCKET}"
    return yaml_text({"runtime-endpoint": socket, "image-endpoint": socket, "timeout": 30})


def _links(cluster: Cluster) -> Iterator[HostItem]:
    versions = cluster.versions
    for program in _PROGRAMS:
        # Only the daemon runs on; the shim, runc and the plugins are started anew for each pod.
        restarts = (UNIT,) if program == NAME else ()
        target = f"{binary_dir(NAME, versions.containerd)}/{program}"
        yield HostLink(f"{LINK_DIR}/{program}", target, NAME, PHASE, restarts=restarts)
    yield HostLink(f"{LINK_DIR}/runc", f"{binary_dir('runc', versions.runc)}/runc", NAME, PHASE)
    if versions.crictl:
        yield HostLink(f"{LINK_DIR}/crictl", f"{binary_dir('crictl', versions.crictl)}/crictl", NAME, PHASE)
    for plugin in CNI_PLUGINS:
        target = f"{binary_dir('cni-plugins', versions.cni_plugins)}/{plugin}"
        yield HostLink(f"{CNI_BIN_DIR}/{plugin}", target, NAME, PHASE)


def _binary(artifact: str, version: str, program: str, arch: str, member: str) -> HostBinary:
    return HostBinary(f"{binary_dir(artifact, version)}/{program}", artifact, version, arch, member, NAME)


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


COMPONENT = Containerd()
