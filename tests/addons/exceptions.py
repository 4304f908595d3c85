"""What single addons are let, each with its reason: the reviewed lists that tests/addons/test_hardening.py compares.

Names are <addon>/<workload>/<container>, or <addon>/<workload> for what concerns the whole pod.
"""

from __future__ import annotations

PRIVILEGED: frozenset[str] = frozenset()
"""Containers whose program does not work without: the reason stands beside it in the addon."""

MAY_WRITE_ROOT: frozenset[str] = frozenset()
"""Containers whose program writes into its own image."""

RUNS_AS_ROOT: frozenset[str] = frozenset({"etcd-backup/etcd-backup/etcd-backup"})
"""Containers that are root: for sockets, devices, routes or files of the host."""

HOST_NETWORK: frozenset[str] = frozenset({"etcd-backup/etcd-backup"})
"""Pods that share their host's network: those that make the pods' network, or serve the host itself."""

HOST_PATHS_WRITTEN: frozenset[str] = frozenset(
    {"etcd-backup/etcd-backup:/var/lib/slipway/etcd-backup", "etcd-backup/etcd-backup:/var/backups/etcd"}
)
"""<addon>/<workload>:<path> that a container may write on the host."""

WITHOUT_PROBES: frozenset[str] = frozenset()
"""Containers that offer nothing by which one could see whether they work."""

WILDCARDS: frozenset[tuple[str, str]] = frozenset()
"""Rules for everything of a kind: (role, rule) as test_hardening writes them."""
