"""systemd reads every rendered unit without a word: keys, values, dependencies, programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from generator.components.items import HostFile, HostUnit
from generator.components.registry import COMPONENTS
from generator.spec import load_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster
from tests.components.sample import host_items, named_host, text_of

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze"),
]

SPEC = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {{name: units}}
versions: {{kubernetes: "{kubernetes}"}}
network: {{podCIDR: 10.244.0.0/16, serviceCIDR: 10.96.0.0/16, plugin: bridge}}
directories: {{etcdWal: /srv/etcd-wal}}
firewall: {{mode: managed, operators: [10.1.0.0/24]}}
pools:
  control: {{roles: [etcd, control-plane], os: debian-12, arch: amd64}}
  workers:
    roles: [worker]
    os: debian-12
    arch: amd64
    disks: [{{device: /dev/disk/by-id/one, mount: /data, holds: [kubelet, containerd, pod-logs]}}]
hosts:
  cp1: {{pool: control, address: 10.0.0.1, podSubnet: 10.244.1.0/24}}
  w1: {{pool: workers, address: 10.0.0.11, podSubnet: 10.244.2.0/24}}
"""


def cluster(minor: str) -> Cluster:
    """A control-plane host and a worker with everything that can run there."""
    return load_text(SPEC.format(kubernetes=f"{minor}.2"))


def units_of(spec: Cluster, host: str) -> dict[str, str]:
    """The unit files of a host by name."""
    pool = named_host(spec, host).pool
    units: dict[str, str] = {}
    for component in COMPONENTS:
        if component.runs_on(spec, pool):
            for path, item in host_items(component, spec, host).items():
                if isinstance(item, HostFile) and path.startswith(f"{SYSTEMD_DIR}/"):
                    units[path.removeprefix(f"{SYSTEMD_DIR}/")] = text_of(item)
    return units


def started(spec: Cluster, host: str) -> set[str]:
    """The names of the units that a host is to run."""
    pool = named_host(spec, host).pool
    return {
        item.name
        for component in COMPONENTS
        if component.runs_on(spec, pool)
        for item in host_items(component, spec, host).values()
        if isinstance(item, HostUnit)
    }


def root_with(units: dict[str, str], folder: Path) -> Path:
    """A root with the units, the targets that they name, and an empty program at each path that they start."""
    directory = folder / SYSTEMD_DIR.removeprefix("/")
    directory.mkdir(parents=True)
    for name, text in units.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key.startswith("Exec"):
                program = folder / value.lstrip("-+!:@").split()[0].removeprefix("/")
                program.parent.mkdir(parents=True, exist_ok=True)
                program.write_text("#!/bin/sh\n")
                program.chmod(0o755)
    targets = ("sysinit", "basic", "multi-user", "network-online", "network", "timers", "paths", "shutdown")
    for target in (*targets, "network-pre", "local-fs-pre", "umount"):
        (directory / f"{target}.target").write_text("[Unit]\nDescription=x\n")
    (directory / "-.slice").write_text("[Unit]\nDescription=x\n")
    (directory / "system.slice").write_text("[Unit]\nDescription=x\n")
    return folder


@pytest.mark.parametrize("minor", ["1.20", "1.27", "1.36"])
@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_systemd_accepts_every_unit(host: str, minor: str, tmp_path: Path) -> None:
    units = units_of(cluster(minor), host)
    assert len(units) >= (9 if host == "cp1" else 5)
    root = root_with(units, tmp_path)
    paths = [f"{SYSTEMD_DIR}/{name}" for name in sorted(units) if "/" not in name]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", *paths], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout + done.stderr).strip() == ""
    assert done.returncode == 0


def test_systemd_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    root = root_with({"x.service": "[Service]\nExecStart=/usr/local/bin/x\nRestartSeconds=5\n"}, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", f"{SYSTEMD_DIR}/x.service"],
        capture_output=True,
        text=True,
    )
    assert "RestartSeconds" in done.stderr


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_every_unit_that_is_to_run_has_a_file(host: str) -> None:
    spec = cluster("1.36")
    missing = started(spec, host) - set(units_of(spec, host))
    # Units of the distribution, whose configuration alone is ours.
    assert missing <= {"systemd-sysctl.service", "systemd-modules-load.service"}


@pytest.mark.parametrize(
    "user", ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "csr-approver"]
)
def test_programs_of_the_control_plane_are_locked_in(user: str, tmp_path: Path) -> None:
    """Systemd rates exposure from 0 to 10, a service without a sandbox at 9.6."""
    units = units_of(cluster("1.36"), "cp1")
    root = root_with(units, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={root}", f"{user}.service"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = done.stdout.strip().splitlines()[-1]
    level = float(last.split(":")[1].split()[0])
    assert level <= 2.5, done.stdout
