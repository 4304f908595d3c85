"""The sandbox of a service: what systemd keeps from a program that runs as a user of its own.

Every key is read by systemd.exec(5) of systemd 239 or later; an older systemd passes over a key that it does not know
with one line in its journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SANDBOX: Mapping[str, Any] = {
    "UMask": "0077",
    "NoNewPrivileges": True,
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    "PrivateDevices": True,
    "ProtectHostname": True,
    "ProtectClock": True,
    "ProtectKernelTunables": True,
    "ProtectKernelModules": True,
    "ProtectKernelLogs": True,
    "ProtectControlGroups": True,
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "RestrictSUIDSGID": True,
    "LockPersonality": True,
    "MemoryDenyWriteExecute": True,
    "RemoveIPC": True,
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
    "SystemCallErrorNumber": "EPERM",
}


def sandbox(*, writable: Sequence[str] = (), low_port: bool = False) -> dict[str, Any]:
    """Return the keys of [Service] that lock a program into its own folders.

    `writable` are the absolute paths that it may write to; `low_port` leaves it the one capability that a port below
    1024 needs.
    """
    keys = dict(_SANDBOX)
    if low_port:
        keys["CapabilityBoundingSet"] = keys["AmbientCapabilities"] = "CAP_NET_BIND_SERVICE"
    if writable:
        keys["ReadWritePaths"] = " ".join(writable)
    return keys
