"""Whether hosts that are to have GPUs have them, and a driver that runs."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.preflight import wants
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen


def gpu(seen: Seen) -> Iterator[Finding]:
    """Find hosts of a pool with GPUs that have none, or whose driver is not loaded."""
    for host, machine in seen.each():
        if machine.gpus is None:
            continue
        if machine.gpus == 0:
            text = "no NVIDIA card is on its PCI bus, and its pool has GPUs"
            todo = "move it to a pool without `gpu`, or hand the card through to this machine"
            yield Finding(host.name, text, todo)
        elif not machine.gpu_driver:
            text = "NVIDIA's driver is not loaded (/proc/driver/nvidia is not there)"
            packages = ", ".join(wants.gpu_driver_packages(host))
            if not packages:
                todo = "install the driver, or name its packages under `gpu.driverPackages` of the pool"
                yield Finding(host.name, text, todo)
            elif machine.settled:
                yield Finding(host.name, text, "see `dmesg` and `modprobe nvidia`, and boot the host anew", packages)
            else:
                todo = "nothing: the apply installs its packages; the host may have to boot anew after that"
                yield Finding(host.name, text, todo, packages, "warning")
