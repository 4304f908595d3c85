"""The local path provisioner: what its scripts do to a disk, and what its helper pods may."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from generator.errors import SpecError
from generator.pki.request_material import RequestMaterial
from generator.render.objects import images, objects
from tests.render.small import small_cluster

SET = "41-local-path"


def configuration(rest: str = "addons: {localPath: {enabled: true}}") -> dict[str, str]:
    cluster = small_cluster(rest=rest)
    members = objects(cluster, RequestMaterial(cluster), Path("nowhere"))[SET]
    (found,) = (one for one in members if one["kind"] == "ConfigMap")
    return dict(found["data"])


def run(script: str, volume: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **({"VOL_DIR": volume} if volume else {}), **more}
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_a_volume_is_open_to_its_pod_and_its_parent_to_no_other_user(tmp_path: Path) -> None:
    volume = tmp_path / "volumes" / "pvc-1_default_data"
    volume.parent.mkdir()
    data = configuration()
    for _ in range(2):  # a helper pod that was killed is followed by another
        done = run(data["setup"], str(volume))
        assert done.returncode == 0, done.stderr
    assert volume.stat().st_mode & 0o7777 == 0o777 and volume.parent.stat().st_mode & 0o7777 == 0o700
    (volume / "kept").write_text("x")
    assert run(data["setup"], str(volume)).returncode == 0 and (volume / "kept").exists()
    beside = volume.parent / "pvc-2_default_data"
    beside.mkdir()
    assert run(data["teardown"], str(volume)).returncode == 0
    assert not volume.exists() and beside.is_dir()


@pytest.mark.parametrize("script", ["setup", "teardown"])
def test_without_a_volume_nothing_is_touched(script: str) -> None:
    assert run(configuration()[script], "").returncode != 0


def test_helpers_hold_no_token_and_only_what_removing_foreign_files_takes() -> None:
    pod: dict[str, Any] = json.loads(configuration()["helperPod.yaml"])
    assert pod["spec"]["automountServiceAccountToken"] is False
    security = pod["spec"]["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}
    assert not security.get("privileged") and security["readOnlyRootFilesystem"]


def test_the_image_of_the_helpers_is_among_those_that_a_mirror_needs() -> None:
    cluster = small_cluster(rest="addons: {localPath: {enabled: true}, registry: r.example.net}")
    found = images(objects(cluster, RequestMaterial(cluster), Path("nowhere")))
    assert {"r.example.net/library/busybox:1.36.1", "r.example.net/rancher/local-path-provisioner:v0.0.35"} <= set(
        found
    )


@pytest.mark.parametrize(
    "path",
    [
        "/", "/opt", "/opt/cni", "/opt/cni/bin/volumes", "/opt/etcd", "/opt/kubelet/volumes", "/etc/volumes", "/srv",
        "/var", "/var/backups/etcd/volumes", "/var/backups", "/var/lib", "/var/lib/calico", "/var/lib/cni",
        "/var/lib/cni/x", "/var/lib/etcd/member", "/var/lib/kube-apiserver", "/var/lib/kubelet/pods",
        "/var/lib/slipway", "/var/log/pods", "/var/log/x", "/var/run/x", "/data", "/data/containerd/x",
    ],
)  # fmt: skip
def test_a_folder_of_others_or_over_theirs_is_refused(path: str) -> None:
    backup = "etcdBackup: {enabled: true, target: {hostPath: /var/backups/etcd}}"
    addons = f"addons: {{localPath: {{enabled: true, path: {path}}}, {backup}}}"
    with pytest.raises(SpecError, match=r"addons\.localPath\.path"):
        small_cluster(rest=f"directories: {{containerd: /data/containerd}}\n{addons}")


@pytest.mark.parametrize(
    "path", ["/srv/volumes", "/opt/local-path-provisioner", "/var/lib/local-path", "/data/volumes"]
)
def test_a_folder_of_its_own_is_taken(path: str) -> None:
    assert path in configuration(f"addons: {{localPath: {{enabled: true, path: {path}}}}}")["config.json"]
