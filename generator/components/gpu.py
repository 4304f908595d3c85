"""NVIDIA's container toolkit on nodes with GPUs, and the packages of a driver where the spec names them.

containerd is told of the runtime in its own configuration. The driver is never chosen for anybody: which branch a card
and its programs need, and whether a module is built on the host or comes signed, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from generator.components.items import HostFile, HostItem, HostPackage
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.spec.gpu import NVIDIA_TOOLKIT
from generator.spec.model import Cluster, Pool

NAME = "gpu"
PHASE = "host-base"
RULES = "/etc/udev/rules.d/71-slipway-nvidia.rules"


@dataclass(frozen=True, slots=True)
class GpuComponent:
    """What a host with GPUs has beside its driver."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "the device plugin, by which pods ask for nvidia.com/gpu, is an addon and not part of this",
        "the driver is installed only where gpu.driverPackages names it; it runs once its module is loaded",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether the pool's hosts are nodes with GPUs."""
        return pool.is_node and pool.gpu is not None

    def settings(self, view: View) -> Settings:
        """Return nothing of its own: the field `gpu` of a pool says it all."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the rule that keeps GPUs in containers when systemd reads its units anew."""
        yield HostFile(RULES, _rules(), NAME, PHASE)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the packages."""
        assert view.pool is not None and view.pool.gpu is not None
        yield HostPackage(NVIDIA_TOOLKIT, NAME)
        for package in view.pool.gpu.driver_packages:
            yield HostPackage(package, NAME)

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no host differs."""
        return ()


def _rules() -> str:
    # runc names devices to systemd by /dev/char/<major>:<minor>, and the driver makes no such links: at the next
    # daemon-reload, which every apply may do, systemd shuts running containers out of their GPUs. The way out is the
    # vendor's own (NVIDIA/nvidia-container-toolkit#48); toolkits from 1.18 on need it no more, and older than 1.12 have
    # no such command.
    command = "/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all"
    return (
        "# Without these links a daemon-reload of systemd takes GPUs away from running containers.\n"
        f'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="{command}"\n'
    )


COMPONENT = GpuComponent()
