"""The cloudInit sections of cluster and pool, laid over each other."""

from __future__ import annotations

from collections.abc import Iterable

from generator.spec.schema_cloud import CloudInitSpec, LoginSpec, PoolCloudInitSpec
from generator.spec.sections import CloudInit, Login

NONE = "none"


def cloud_init(cluster: CloudInitSpec | None, pool: PoolCloudInitSpec | None) -> CloudInit | None:
    """Return what the hosts of a pool get as user-data; None where nobody asked for it or targets are `none`."""
    if cluster is None and pool is None:
        return None
    base, own = cluster or CloudInitSpec(), pool or PoolCloudInitSpec()
    targets = base.targets if own.targets is None else own.targets
    if NONE in targets:
        return None
    return CloudInit(
        targets=tuple(sorted(set(targets))),
        logins=_logins(base.users if own.users is None else own.users),
        whole=(own.brings or base.brings) == "all",
    )


def _logins(users: Iterable[LoginSpec]) -> tuple[Login, ...]:
    found = [
        Login(user.name, tuple(sorted(set(user.ssh_authorized_keys))), user.sudo, tuple(sorted(set(user.groups))))
        for user in users
    ]
    return tuple(sorted(found, key=lambda login: login.name))
