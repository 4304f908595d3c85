"""NVIDIA's device plugin: by it nodes offer the resource nvidia.com/gpu, and pods ask for it by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class GpuDevicePluginSection(AddonSection):
    """GPUs as a resource that pods can ask for."""

    enabled: bool = Field(False, description="Whether NVIDIA's device plugin runs on nodes with GPUs.")
    mig_strategy: Literal["none", "single", "mixed"] = Field(
        "none", description="How slices of cards (MIG) are offered: not at all, as whole cards, or each by its size."
    )
    time_slices: int = Field(
        1, ge=1, le=64, description="Pods that share one card in turns, with nothing that keeps their memory apart."
    )


def check_gpu_device_plugin(cluster: Cluster, findings: Findings) -> None:
    """Check that there are GPUs for the plugin, and the plugin for GPUs."""
    path = ("addons", "gpuDevicePlugin", "enabled")
    pools = [pool.name for pool in cluster.pools.values() if pool.gpu is not None]
    if cluster.addons.gpu_device_plugin.enabled and not pools:
        what = "no pool has gpu, so the device plugin runs on no node"
        findings.warn(path, what, "give the pools with GPUs `gpu: {vendor: nvidia}`, or take the addon out")
