"""The Kubernetes programs of the lab's cache decode the configuration that is rendered for them, strictly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from generator.components import kube_proxy, kubelet
from generator.components.view import View
from generator.formats.flags import flag_words
from lab.cache import lab_root
from tests.components.clusters import NamedMaterial, cluster, shared, text

pytestmark = pytest.mark.tools

FACTS = {
    "${SLIPWAY_NODE_NAME}": "n1",
    "${SLIPWAY_NODE_IP}": "10.0.0.1",
    "${SLIPWAY_REGISTER_WITH_TAINTS}": "a=:NoSchedule",
}


def program(name: str) -> tuple[Path, str]:
    """Return a built program and its version; skips where the lab has built none."""
    found = sorted(lab_root().glob(f"kubernetes-v*/{name}"))
    if not found or os.geteuid() != 0:
        pytest.skip(f"needs root and a {name} that the lab has built")
    return found[-1], found[-1].parent.name.split("-")[1].lstrip("v")


def output(binary: Path, flags: dict[str, object]) -> str:
    """Return what a program says in a network and process namespace of its own, until it gives up."""
    words = flag_words(flags)
    for name, value in FACTS.items():
        words = [word.replace(name, value) for word in words]
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "timeout", "20", str(binary), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("fault", ["", "readOnlyPort"])
def test_kubelet_knows_every_flag_and_field(fault: str, tmp_path: Path) -> None:
    binary, version = program("kubelet")
    made = cluster(version)
    config = text(shared(kubelet.COMPONENT, made), kubelet.CONFIG).replace("/etc/kubernetes/pki", str(tmp_path))
    (tmp_path / "kubelet.yaml").write_text(config.replace(fault, f"{fault}x") if fault else config)
    flags = dict(kubelet.COMPONENT.settings(View(made, NamedMaterial())).flags)
    said = output(binary, {**flags, "config": tmp_path / "kubelet.yaml", "root-dir": tmp_path, "cert-dir": tmp_path})
    # It comes as far as the CA, which is not there.
    assert "unable to load client CA file" in said
    assert ("found unknown field" in said) == bool(fault)
    assert "unknown flag" not in said


@pytest.mark.parametrize("fault", ["", "metricsBindAddress"])
def test_kube_proxy_knows_every_flag_and_field(fault: str, tmp_path: Path) -> None:
    binary, version = program("kube-proxy")
    made = cluster(version)
    config = text(shared(kube_proxy.COMPONENT, made), kube_proxy.CONFIG).replace("/etc/kubernetes", str(tmp_path))
    (tmp_path / "kube-proxy.yaml").write_text(config.replace(fault, f"{fault}x") if fault else config)
    flags = dict(kube_proxy.COMPONENT.settings(View(made, NamedMaterial())).flags)
    said = output(binary, {**flags, "config": tmp_path / "kube-proxy.yaml"})
    # It comes as far as the kubeconfig, which is not there.
    assert f"stat {tmp_path}/kube-proxy.kubeconfig: no such file" in said
    assert ("unknown field" in said) == bool(fault)
    assert "unknown flag" not in said
