"""Who holds the lock of a cluster, and whether that process still lives on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.connection import printable


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock. `machine` digests the machine, "" if unknown; `process`: pid and start time there."""

    operator: str
    command: str
    time: str
    tree: str
    machine: str
    process: str

    @property
    def words(self) -> str:
        """The holder for a message."""
        return printable(f"{self.operator} since {self.time} ({self.command}, tree {self.tree[:12]})")


def holder_here(operator: str, command: str, now: datetime, tree: str) -> Holder:
    """Return this process as a holder."""
    return Holder(operator, command, now.isoformat(timespec="seconds"), tree, machine_id(), process_id(os.getpid()))


def machine_id(root: Path = Path("/")) -> str:
    """Return a digest of where process ids mean what they mean here: machine, host name, PID namespace; "" if unknown.

    An image may have an empty machine-id, containers share the boot id of their host, and both share pids with nobody.
    """
    try:
        space = os.readlink(root / "proc/self/ns/pid")
    except OSError:
        return ""
    for path in ("etc/machine-id", "proc/sys/kernel/random/boot_id"):
        try:
            found = (root / path).read_text("utf-8", "replace").strip()
        except OSError:
            continue
        if found:
            return hashlib.sha256("\n".join(("slipway", found, socket.gethostname(), space)).encode()).hexdigest()[:16]
    return ""


def process_id(pid: int) -> str:
    """Return pid and start time (clock ticks since boot), "" for a process that does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    return f"{pid}@{stat.rpartition(')')[2].split()[19]}"


def process_lives(process: str) -> bool:
    """Return whether the process with that pid and start time lives on this machine."""
    pid = process.partition("@")[0]
    return pid.isdigit() and process_id(int(pid)) == process
