"""The process that keeps one host powered: `python -m lab.supervisor NAME ADDRESS ROOT`.

It plugs the host into the network, boots it under systemd-nspawn in cgroups of its own, and boots
it again when the host asked for a reboot. Network and cgroups are made anew for each boot, so
that a reboot loses what a real one loses. SIGTERM shuts the host down in good order. It ends,
and leaves nothing behind, when the host has powered off.
"""

import os
import signal
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from types import FrameType

from lab import cgroups, network

REBOOT = 133
"""What systemd-nspawn with --keep-unit exits with when the host rebooted (systemd 252)."""

_SYSTEM_CALLS = "add_key keyctl bpf perf_event_open"
_DROPPED = "CAP_SYS_TIME,CAP_SYS_MODULE"
"""What would change the one kernel that all share: its clock and its modules."""


def nspawn_command(name: str, root: Path) -> list[str]:
    """Return the command that boots a host on its root file system."""
    return [
        "systemd-nspawn",
        f"--directory={root}",
        f"--machine={name}",
        f"--network-namespace-path={network.namespace_path(network.host_namespace(name))}",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--capability=all",
        f"--drop-capability={_DROPPED}",
        f"--system-call-filter={_SYSTEM_CALLS}",
        "--bind=/dev/kmsg",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
    ]


def keep_powered(name: str, address: IPv4Address, root: Path) -> int:
    """Boot a host until it powers off; return the exit code of its last boot."""
    child: subprocess.Popen[bytes] | None = None
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    code = REBOOT
    while code == REBOOT and not stopping:
        network.attach(name, address)
        script = cgroups.entering_script(cgroups.create(name))
        child = subprocess.Popen(
            ["sh", "-c", script, "sh", *nspawn_command(name, root)],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
        )
        code = child.wait()
        cgroups.kill(name)
        cgroups.remove(name)
        network.detach(name)
    return code


if __name__ == "__main__":
    sys.exit(keep_powered(sys.argv[1], IPv4Address(sys.argv[2]), Path(sys.argv[3])))
