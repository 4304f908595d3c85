"""Golden clusters with user-data for all their pools, and what a host has once cloud-init has taken it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import yaml

from generator.artifacts_lock import Artifact, ArtifactLock, Locked
from generator.components.items import HostBinary
from generator.components.registry import COMPONENTS
from generator.formats.cloud_config import Part, part_of, whole
from generator.pki.request_material import RequestMaterial
from generator.render import render
from generator.render.levels import levels
from generator.render.tree import Tree
from generator.spec.model import Cluster
from generator.spec.sections import CloudInit, Login
from tests.golden.cases import GOLDEN, cluster, variation

OPS = Login("ops", ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZf0tfu2o6xJ4LhHzhTVGFfDNZTzOuRJzZmn2zGnVwq ops",), True, ())
PLAIN = CloudInit(("nocloud",), (OPS,), True)


@cache
def case(name: str) -> Cluster:
    """A golden cluster or variation, with user-data for all its hosts."""
    return with_user_data(cluster(name) if name in {"minimal", "ha"} else variation(name))


def with_user_data(model: Cluster, wanted: CloudInit = PLAIN) -> Cluster:
    pools = {name: replace(pool, cloud_init=wanted) for name, pool in model.pools.items()}
    hosts = tuple(replace(host, pool=pools[host.pool.name]) for host in model.hosts)
    return replace(model, pools=pools, hosts=hosts)


def locked(model: Cluster) -> ArtifactLock:
    """A lock that knows a digest for everything."""
    items = levels(model, RequestMaterial(model), COMPONENTS).all_items()
    needed = {Artifact(one.artifact, one.version, one.arch) for one in items if isinstance(one, HostBinary)}
    return ArtifactLock({one: Locked("ab" * 32, 1, "directory", one.path) for one in needed})


def tree_of(model: Cluster, lock: ArtifactLock | None = None) -> Tree:
    return render(model, RequestMaterial(model), lock or ArtifactLock(), GOLDEN)


def parts(tree: Tree, model: Cluster, host: str) -> tuple[Part, Part]:
    pool = next(one.pool.name for one in model.hosts if one.name == host)
    shared, own = tree[f"cloud-init/{pool}.yaml"], tree[f"hosts/{host}/user-data"]
    return part_of(shared.decode()), part_of(own.decode())


@dataclass
class Landed:
    """What a host has then: files by path with (content, mode, owner, group), and the words of its steps by verb."""

    config: Mapping[str, Any]
    files: dict[str, tuple[str, int, str, str]] = field(default_factory=dict)
    steps: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)


def landed(tree: Tree, model: Cluster, host: str) -> Landed:
    """Do what cloud-init and first-boot.sh do: files in their order, then absent paths, owners and all else."""
    config = yaml.safe_load(whole(parts(tree, model, host)))
    found = Landed(config)
    lines: list[list[str]] = []
    for entry in config["write_files"]:
        owner, group = entry["owner"].split(":")
        if entry["path"].startswith("/run/slipway/first-boot"):
            assert entry["permissions"] == "0600"
            if "." in entry["path"]:
                lines += [line.split("\t") for line in entry["content"].splitlines()]
            continue
        found.files[entry["path"]] = (entry["content"], int(entry["permissions"], 8), owner, group)
    absent = {line[2] for line in lines if line[1] == "absent"}
    assert config["runcmd"][0][:2] == ["sh", "/run/slipway/first-boot"]
    for phase, verb, *words in lines:
        key = f"{verb}:{words[0]}" if verb in {"user", "package"} else words[0]
        key = f"unit:{words[0]}" if verb in {"enable", "start"} else key
        if verb != "absent" and key not in absent:
            assert phase in config["runcmd"][0]
            found.steps.setdefault(verb, []).append(tuple(words))
    for path in absent & found.files.keys():
        del found.files[path]
    for path, mode, owner, group in found.steps.get("file", []):
        found.files[path] = (found.files[path][0], int(mode, 8), owner, group)
    return found
