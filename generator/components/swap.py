"""Swap off for good, which the kubelet asks for.

fstab is left as it is. swap.target is masked, and it is what starts every swap space that systemd knows: those of
fstab, of a partition table (systemd-gpt-auto-generator(8)) and of the zram generator. What runs now, and what services
such as zramswap or dphys-swapfile turn on by themselves, a unit of ours ends before the kubelet starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostItem, HostLink
from generator.components.oneshot import oneshot
from generator.components.view import View
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.sections_system import System

NAME = "swap"
PHASE = "host-base"
UNIT = "slipway-swap-off"
# They turn swap on without a swap unit; with none of them installed the names do nothing.
_OTHERS = "zramswap.service zram-config.service zram-swap.service dphys-swapfile.service"


def _used(system: System) -> bool:
    return system.swap == "off"


def _everywhere(view: View) -> Iterator[HostItem]:
    yield HostLink(f"{SYSTEMD_DIR}/swap.target", "/dev/null", NAME, PHASE)
    yield from oneshot(
        UNIT,
        component=NAME,
        phase=PHASE,
        script="swap-off.sh",
        description="Swap off",
        unit={"After": f"local-fs.target {_OTHERS}", "Before": "kubelet.service"},
        # Every page must find room in memory.
        service={"TimeoutStartSec": "10min"},
        capabilities="CAP_SYS_ADMIN",
        # The swap spaces are devices or files anywhere, and swapoff(2) opens each for writing.
        without=("PrivateDevices", "ProtectHome", "ProtectSystem", "SystemCallFilter", "SystemCallErrorNumber"),
    )


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere)
