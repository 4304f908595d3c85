"""Nodes with GPUs: what is installed, what containerd is told, what nodes carry; and nothing of it anywhere else."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from generator.components import containerd, gpu
from generator.components.items import HostFile, HostPackage
from generator.components.registry import COMPONENTS
from generator.render.explain import explained
from generator.render.levels import levels
from generator.spec.model import Cluster, Taint
from tests.components.clusters import NamedMaterial, cluster, of_pool, shared, text


def with_gpus(said: str = "", more: str = "", kubernetes: str = "1.32.0") -> Cluster:
    return cluster(
        kubernetes,
        more=more,
        pools=f"cards: {{roles: [worker], os: debian-12, gpu: {{vendor: nvidia{said}}}}}",
        hosts="g1: {pool: cards, address: 10.0.2.1}",
    )


def containers(made: Cluster, pool: str, version: str) -> Any:
    made = replace(made, versions=replace(made.versions, containerd=version))
    items = shared(containerd.COMPONENT, made, pool)
    plugin = "io.containerd.grpc.v1.cri" if version.startswith("1.") else "io.containerd.cri.v1.runtime"
    return tomllib.loads(text(items, containerd.CONFIG))["plugins"][plugin]["containerd"]


@pytest.mark.parametrize("version", ["1.6.20", "1.7.29", "2.0.5", "2.2.3"])
@pytest.mark.parametrize(("said", "default"), [("", "runc"), (", defaultRuntime: true", "nvidia")])
def test_containerd_has_the_runtime_where_its_version_looks_for_it(version: str, said: str, default: str) -> None:
    found = containers(with_gpus(said), "cards", version)
    assert found["default_runtime_name"] == default
    assert found["runtimes"]["nvidia"] == {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"BinaryName": "/usr/bin/nvidia-container-runtime", "SystemdCgroup": True},
    }
    assert set(found["runtimes"]) == {"nvidia", "runc"}
    other = containers(with_gpus(said), "workers", version)
    assert set(other["runtimes"]) == {"runc"} and other["default_runtime_name"] == "runc"


def test_the_runtime_has_the_cgroup_driver_of_the_kubelet_and_gives_way_to_overrides() -> None:
    made = with_gpus(more="runtime: {cgroupDriver: cgroupfs}")
    assert containers(made, "cards", "2.2.3")["runtimes"]["nvidia"]["options"]["SystemdCgroup"] is False
    own = """
components:
  containerd:
    config:
      plugins:
        io.containerd.cri.v1.runtime: {containerd: {runtimes: {nvidia: {options: {BinaryName: /opt/nvidia/runtime}}}}}
"""
    assert containers(with_gpus(more=own), "cards", "2.2.3")["runtimes"]["nvidia"]["options"] == {
        "BinaryName": "/opt/nvidia/runtime",
        "SystemdCgroup": True,
    }


def test_the_toolkit_is_installed_and_a_driver_only_where_it_is_named() -> None:
    assert [item.name for item in of_pool(gpu.COMPONENT, with_gpus(), "cards").values() if packaged(item)] == [
        "nvidia-container-toolkit"
    ]
    made = with_gpus(", driverPackages: [nvidia-open, cuda-drivers, nvidia-open]")
    assert set(of_pool(gpu.COMPONENT, made, "cards")) == {
        "package:cuda-drivers", "package:nvidia-container-toolkit", "package:nvidia-open",
    }  # fmt: skip
    assert not gpu.COMPONENT.runs_on(made, made.pools["workers"])


def packaged(item: object) -> bool:
    return isinstance(item, HostPackage)


def test_containers_keep_their_gpus_when_systemd_reads_its_units_anew() -> None:
    item = shared(gpu.COMPONENT, with_gpus())[gpu.RULES]
    assert isinstance(item, HostFile) and not item.restarts
    rule = str(item.content).splitlines()[-1]
    assert rule.startswith(
        'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/usr/bin/nvidia-ctk system create-dev'
    )


def test_nodes_with_gpus_carry_label_and_taint() -> None:
    made = with_gpus()
    assert made.pools["cards"].labels["nvidia.com/gpu"] == "true"
    assert made.pools["cards"].taints == (Taint("nvidia.com/gpu", "", "NoSchedule"),)
    assert "nvidia.com/gpu" not in made.pools["workers"].labels and not made.pools["workers"].taints
    assert not with_gpus(", taint: false").pools["cards"].taints


def test_the_taint_comes_on_top_of_others_and_once() -> None:
    def taints(roles: str, written: str) -> set[str]:
        pools = f"cards: {{roles: [{roles}], gpu: {{vendor: nvidia}}{written}}}"
        made = cluster(pools=pools, hosts="g1: {pool: cards, address: 10.0.2.1}")
        return {str(taint) for taint in made.pools["cards"].taints}

    own = ", taints: [{key: nvidia.com/gpu, value: a100, effect: NoSchedule}]"
    assert taints("worker", own) == {"nvidia.com/gpu=a100:NoSchedule"}
    assert taints("worker", ", taints: []") == {"nvidia.com/gpu=:NoSchedule"}
    assert taints("control-plane", "") == {
        "nvidia.com/gpu=:NoSchedule", "node-role.kubernetes.io/control-plane=:NoSchedule",
    }  # fmt: skip


def test_explain_says_that_the_pool_has_decided() -> None:
    made = with_gpus(", defaultRuntime: true")
    (top, pool) = explained(made, "containerd.default_runtime_name", COMPONENTS)
    assert top.endswith("default_runtime_name = runc: component default")
    assert pool.startswith("in pool cards: ") and pool.endswith("default_runtime_name = nvidia: pool cards")


def test_a_pool_with_gpus_has_a_folder_of_its_own_for_what_differs() -> None:
    made = with_gpus()
    found = levels(made, NamedMaterial(), [containerd.COMPONENT, gpu.COMPONENT])
    assert containerd.CONFIG in found.pools["containerd", "cards"].items
    assert containerd.CONFIG not in found.pools["containerd", "workers"].items
    assert f"/etc/systemd/system/{containerd.UNIT}" not in found.pools["containerd", "cards"].items
