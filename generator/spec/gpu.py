"""GPUs of a pool's hosts: what is said of them, and the names by which Kubernetes and NVIDIA's programs know them.

The label, the taint and the default runtime are those of the reference systems (reference-systems.md, F42); the device
plugin advertises the resource under the same name as the taint.
"""

from __future__ import annotations

from dataclasses import dataclass

NVIDIA_KEY = "nvidia.com/gpu"
"""The label and the taint of nodes with GPUs, and the resource that pods ask for."""

NVIDIA_RUNTIME = "nvidia"
"""The name of the runtime in containerd, and of the RuntimeClass that leads to it."""

NVIDIA_TOOLKIT = "nvidia-container-toolkit"
"""The package, called so for apt and for dnf, that brings /usr/bin/nvidia-container-runtime."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """GPUs of one vendor. `driver_packages` is sorted, and empty where the driver is nobody's business here."""

    vendor: str
    default_runtime: bool
    taint: bool
    driver_packages: tuple[str, ...] = ()
