"""User-data for cloud-init: cloud-init/<pool>.yaml, which a pool's hosts share, and hosts/<host>/user-data.

Whatever items components yield flows in: contents as write_files, all else as steps that first-boot.sh does in the
order of an apply. No secret is ever in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from generator.artifacts_lock import ArtifactLock
from generator.components.items import HostFile, HostItem, HostUnit
from generator.errors import RenderError
from generator.formats.cloud_config import FORMS, Form, Part, file_entry, key_text, part_of, sizes, whole, word_list
from generator.render.first_steps import (
    BASE,
    BASES,
    HOST_STEPS,
    POOL_STEPS,
    SCRIPT,
    Readiness,
    is_secret,
    readiness,
    script,
    steps,
    used_phases,
)
from generator.render.inventory import HEADER
from generator.render.levels import Folder, Levels
from generator.spec.clouds import TARGETS, Target
from generator.spec.model import Cluster, Host, Pool
from generator.spec.sections import CloudInit

_OWN_SOURCES = (
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/debian.sources",
    "/etc/apt/sources.list.d/ubuntu.sources",
)


def user_data_files(cluster: Cluster, found: Levels, lock: ArtifactLock) -> Iterable[tuple[str, bytes]]:
    """Yield the files of user-data for the pools that have a cloudInit section.

    Raises RenderError for a host whose user-data no form makes small enough for its targets.
    """
    later = frozenset(item.name for item in found.all_items() if isinstance(item, HostUnit) and item.phase != BASE)
    for name in found.components:
        pool = cluster.pools[name]
        if pool.cloud_init is None:
            continue
        shared = _PoolPart(cluster, found, lock, pool, pool.cloud_init, later)
        yield f"cloud-init/{name}.yaml", shared.part.text().encode()
        for host in shared.hosts:
            own = shared.of_host(host)
            _require_room(cluster, host, pool.cloud_init, whole((shared.part, own)))
            yield f"hosts/{host.name}/user-data", own.text().encode()


def form_for(targets: Iterable[Target], found: Mapping[Form, int]) -> Form | None:
    """Return the most readable form that all targets take; `found` has the size of each form."""
    wanted = list(targets)
    for form in FORMS:
        if all(target.takes(found[form]) and (target.binary or form != "gzip") for target in wanted):
            return form
    return None


def size_lines(cluster: Cluster, tree: Mapping[str, bytes]) -> list[str]:
    """Return for each pool with user-data how large that of its largest host is, and in which form it goes."""
    lines = []
    for pool in sorted(cluster.pools.values(), key=lambda pool: pool.name):
        path = f"cloud-init/{pool.name}.yaml"
        if pool.cloud_init is None or path not in tree:
            continue
        hosts = sorted(host.name for host in cluster.hosts if host.pool.name == pool.name)
        largest = max(hosts, key=lambda name: len(tree[f"hosts/{name}/user-data"]))
        found = sizes(whole(part_of(tree[one].decode()) for one in (path, f"hosts/{largest}/user-data")))
        targets = [
            f"{name} {form_for([TARGETS[name]], found)}"
            + (f" of at most {TARGETS[name].limit:,}" if TARGETS[name].limit else "")
            for name in pool.cloud_init.targets
        ]
        lines.append(
            f"user-data of pool {pool.name}: at most {found['plain']:,} bytes ({largest}), {found['gzip']:,} as gzip, "
            f"{found['mime']:,} as MIME; {', '.join(targets)}"
        )
    return lines


class _PoolPart:
    """The part that all hosts of a pool share, and what the part of each host adds to it."""

    def __init__(
        self, cluster: Cluster, found: Levels, lock: ArtifactLock, pool: Pool, wanted: CloudInit, later: frozenset[str]
    ) -> None:
        self._cluster = cluster
        self._found = found
        self._lock = lock
        self._pool = pool
        self._wanted = wanted
        self.hosts = sorted((host for host in cluster.hosts if host.pool.name == pool.name), key=lambda host: host.name)
        everything = [item for host in self.hosts for item in found.items_of(host).values()]
        self._ready: Readiness = readiness(cluster, lock, everything, later)
        self._phases = [phase for phase in used_phases(everything) if self._wanted.whole or phase in BASES]

    @cached_property
    def part(self) -> Part:
        """The shared part."""
        cluster, pool = self._cluster, self._pool
        comments = (
            HEADER.format(cluster=cluster.name).strip("# \n"),
            f"All hosts of pool {pool.name}; `invoke user-data --host H` puts a host's own part behind this one.",
        )
        keys = _logins(self._wanted, self.hosts)
        if any(path in self._items for path in _OWN_SOURCES):
            keys += key_text("apt", {"preserve_sources_list": True})
        keys += "package_upgrade: false\npreserve_hostname: false\n"
        keys += word_list("runcmd", [["sh", SCRIPT, *self._phases]])
        lines = steps(cluster, self._lock, self._items, self._ready)
        return Part(
            comments,
            keys,
            _files(self._items)
            + file_entry(SCRIPT, script(), 0o600)
            + (file_entry(POOL_STEPS, lines, 0o600) if lines else ""),
        )

    def of_host(self, host: Host) -> Part:
        """Return what is one host's own."""
        folder = self._found.hosts.get(host.name, Folder())
        items = self._brought(folder.items)
        # What the pool has and this host has as a secret, or not at all, must not stay as the pool's.
        absent = [key for key in folder.absent if key in self._items]
        absent += [key for key, item in folder.items.items() if is_secret(item) and key in self._items]
        lines = steps(self._cluster, self._lock, items, self._ready, absent=absent, weaker=self._items)
        comments = (f"Host {host.name}, behind the part of its pool {self._pool.name}.",)
        keys = key_text("hostname", host.name)
        if "." in host.name:
            keys += key_text("fqdn", host.name) + "prefer_fqdn_over_hostname: true\n"
        return Part(comments, keys, _files(items) + (file_entry(HOST_STEPS, lines, 0o600) if lines else ""))

    @cached_property
    def _items(self) -> Mapping[str, HostItem]:
        """What the pool's hosts share, by key."""
        items: dict[str, HostItem] = {}
        for component in self._found.components[self._pool.name]:
            for folder in (
                self._found.shared.get(component, Folder()),
                self._found.pools.get((component, self._pool.name), Folder()),
            ):
                for key in folder.absent:
                    items.pop(key, None)
                items.update(folder.items)
        return self._brought(items)

    def _brought(self, items: Mapping[str, HostItem]) -> Mapping[str, HostItem]:
        return {key: items[key] for key in sorted(items) if self._wanted.whole or items[key].phase in BASES}


def _files(items: Mapping[str, HostItem]) -> str:
    """Return the entries for all files without secrets; one of another owner gets it by a step, after its user."""
    return "".join(
        file_entry(item.path, item.content, item.mode)
        for item in items.values()
        if isinstance(item, HostFile) and isinstance(item.content, str)
    )


def _logins(wanted: CloudInit, hosts: Iterable[Host]) -> str:
    # Cloud images answer root's key with a text; Slipway that enters as root needs it to work.
    root = any(host.ssh.user == "root" for host in hosts) or any(login.name == "root" for login in wanted.logins)
    text = "disable_root: false\n" if root else ""
    users = []
    for login in wanted.logins:
        user: dict[str, object] = {"name": login.name}
        if login.name != "root":
            user |= {"shell": "/bin/bash", "lock_passwd": True}
            user |= {"sudo": "ALL=(ALL) NOPASSWD:ALL"} if login.sudo else {}
        user |= {"groups": list(login.groups)} if login.groups else {}
        users.append({**user, "ssh_authorized_keys": list(login.keys)})
    return text + (key_text("users", users) if users else "")


def _require_room(cluster: Cluster, host: Host, wanted: CloudInit, text: str) -> None:
    """Raise RenderError where a target cannot take a host's user-data in any form."""
    limited = [TARGETS[name] for name in wanted.targets]
    if all(target.takes(len(text.encode())) for target in limited):
        return
    found = sizes(text)
    for target in limited:
        if form_for([target], found) is None:
            form: Form = "gzip" if target.binary else "mime"
            size = f"{found['plain']:,} bytes, {target.counted(found[form]):,} compressed as {target.name} counts them"
            raise RenderError(
                f"{cluster.name}/{host.name}: user-data has {size}, and {target.name} takes {target.limit:,}; set "
                "cloudInit.brings: host-base, which leaves the rest to apply, or take "
                f"{target.name} out of the targets of pool {host.pool.name}"
            )
