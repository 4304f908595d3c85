"""API objects: addons/main.jsonnet as a function of the cluster, one object per file, in a fixed order of kinds.

The language is jsonnet, evaluated by rjsonnet; the reference implementation gives the same (a test compares them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import rjsonnet

from generator.ci.jobs import project_facts
from generator.ci.project import load_projects
from generator.components.view import Material
from generator.errors import RenderError
from generator.formats.kind_order import place_of_kind
from generator.formats.yaml_text import yaml_text
from generator.render.flow import flow
from generator.render.jsonnet_errors import SNIPPET, jsonnet_message
from generator.render.object_secrets import secret_facts, with_references
from generator.spec.addons.etcd_backup import MOUNT_OPTIONS, runs_by
from generator.spec.model import Cluster
from generator.spec.node_identity import node_line

ADDONS = Path(__file__).resolve().parents[2] / "addons"
SET_LABEL = "slipway.io/set"
IMAGES_ANNOTATION = "slipway.io/images"

_SET_NAME = re.compile(r"[0-9]{2}-[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

Objects = Mapping[str, tuple[Mapping[str, Any], ...]]


def cluster_argument(cluster: Cluster) -> dict[str, Any]:
    """Return what jsonnet gets to know of a cluster; nothing in it depends on the order of hosts."""
    network = cluster.network
    return {
        "name": cluster.name,
        "kubernetes": cluster.versions.kubernetes,
        "minor": list(cluster.versions.minor),
        "domain": network.domain,
        "podCIDRs": list(network.pod_cidrs),
        "serviceCIDRs": list(network.service_cidrs),
        "dnsIPs": list(network.dns_ips),
        "nodeMaskSizes": list(network.node_mask_sizes),
        "networkPlugin": network.plugin,
        "proxyMode": network.proxy_mode,
        "nodePortRange": list(network.node_port_range),
        "nodeCount": len(cluster.nodes),
        "zones": sorted({host.zone for host in cluster.nodes if host.zone is not None}),
        "kubeletDir": cluster.directories.kubelet,
        "containerdDir": cluster.directories.containerd,
        "apiServers": [{"address": host.address, "port": cluster.api.port} for host in cluster.control_plane],
        "nodeApi": _node_api(cluster),
        "etcd": {
            "version": cluster.versions.etcd,
            "endpoints": list(cluster.etcd_client_urls),
            "dedicated": not any(host.pool.is_node for host in cluster.etcd_hosts),
        },
        "etcdBackup": {
            "by": runs_by(cluster),
            "mountOptions": MOUNT_OPTIONS,
            "age": cluster.versions.age if cluster.backup.recipients else None,
        },
        "anonymousPaths": list(cluster.api.anonymous_paths),
        "nodes": {host.node_name: node_line(host) for host in cluster.nodes},
        "gpuPools": [
            {"vendor": pool.gpu.vendor, "defaultRuntime": pool.gpu.default_runtime, "taint": pool.gpu.taint}
            for _, pool in sorted(cluster.pools.items())
            if pool.gpu is not None
        ],
        "addons": cluster.addons.model_dump(mode="json", by_alias=True),
    }


def _projects(cluster: Cluster, root: Path) -> dict[str, Any]:
    """Return what Jenkins is told of the cluster's projects; where there is no Jenkins, their files are not read."""
    jenkins = cluster.addons.jenkins
    found = load_projects(root, cluster.name) if jenkins.enabled else ()
    return project_facts(found, cluster.name, jenkins.model_dump(mode="json", by_alias=True))


def _node_api(cluster: Cluster) -> dict[str, Any]:
    """Return by which host and port a pod on the host's network enters the API, before Services work."""
    host, _, port = cluster.node_api_url.removeprefix("https://").rpartition(":")
    return {"host": host.strip("[]"), "port": int(port)}


def objects(cluster: Cluster, material: Material, root: Path) -> Objects:
    """Return the objects of each set, in the order of apply, labelled with their set.

    `root` is the workspace; clusters/<c>/addons.jsonnet is added with `+` where it exists. Raises RenderError for
    jsonnet that does not evaluate, for what it gives that is no API object, and for a Secret with a plain value.
    """
    argument = {**cluster_argument(cluster), **secret_facts(cluster, material), "projects": _projects(cluster, root)}
    own = root / "clusters" / cluster.name / "addons.jsonnet"
    snippet = "function(cluster) " + _sum(own)
    try:
        text = rjsonnet.evaluate_snippet(
            SNIPPET,
            snippet,
            jpathdir=[str(own.parent), str(ADDONS)],
            tla_codes={"cluster": json.dumps(argument)},
        )
    except RuntimeError as error:
        raise RenderError(jsonnet_message(cluster.name, str(error), (ADDONS.parent, root))) from None
    sets = {name: _checked_set(cluster, material, name, members) for name, members in sorted(json.loads(text).items())}
    owners: dict[str, str] = {}
    for name, members in sets.items():
        for file in map(file_name, members):
            if file in owners:
                what = f"{file.removesuffix('.yaml')} is in the sets {owners[file]} and {name}"
                raise RenderError(f"{cluster.name}: addons: {what}; give it in one of them")
            owners[file] = name
    return sets


def object_files(sets: Objects) -> Iterator[tuple[str, bytes]]:
    """Yield the files of objects/: one for each object, and an index of each set in the order of apply."""
    for name, members in sets.items():
        lines = ["objects:"]
        for member in members:
            file = file_name(member)
            metadata = member["metadata"]
            entry = {"file": file, "apiVersion": member["apiVersion"], "kind": member["kind"]}
            if "namespace" in metadata:
                entry["namespace"] = metadata["namespace"]
            lines.append(f"- {flow({**entry, 'name': metadata['name']})}")
            yield f"objects/{name}/{file}", yaml_text(member).encode()
        yield f"objects/{name}/index.yaml", ("\n".join(lines) + "\n").encode()


def file_name(member: Mapping[str, Any]) -> str:
    """Return the file name of an object: kind, namespace where it has one, and name; `_` for odd characters."""
    metadata = member["metadata"]
    parts = [member["kind"], *([metadata["namespace"]] if "namespace" in metadata else []), metadata["name"]]
    return "-".join(_UNSAFE.sub("_", part) for part in parts) + ".yaml"


def images(sets: Objects) -> tuple[str, ...]:
    """Return the images that the objects' containers run, sorted, and those that an object names as its program's.

    A program that makes pods itself has their images in its arguments or its configuration; the annotation
    slipway.io/images names them, one a line.
    """
    return tuple(sorted({image for members in sets.values() for member in members for image in _images(member)}))


def _sum(own: Path) -> str:
    """Return jsonnet for addons/main.jsonnet with the cluster's own file added; `values` may name known addons only."""
    main = "(import 'main.jsonnet')(cluster)"
    if not own.is_file():
        return main
    return (
        f"local main = {main}, file = import {json.dumps(own.name)}; "
        "local own = if std.isFunction(file) then file(cluster) else file; "
        "local both = if std.isObject(own) then main + own else error 'the file gives no map'; "
        "local known = std.objectFieldsAll(main.values); "
        "local unknown = [one for one in std.objectFieldsAll(both.values) if !std.member(known, one)]; "
        "if unknown == [] then both "
        "else error 'addons.%s is no addon; known are: %s' % [unknown[0], std.join(', ', known)]"
    )


def _checked_set(cluster: Cluster, material: Material, name: str, members: Any) -> tuple[Mapping[str, Any], ...]:
    where = f"{cluster.name}: addons"
    if not _SET_NAME.fullmatch(name):
        raise RenderError(f"{where}: {name!r} is no name of a set; name it like 00-cluster-rbac")
    if not isinstance(members, dict):
        raise RenderError(f"{where}: set {name} is no map of objects; give each object a name of its own")
    labelled = [_labelled(where, material, name, key, member) for key, member in members.items()]
    ordered = sorted(labelled, key=_apply_order)
    files = [file_name(member) for member in ordered]
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        raise RenderError(f"{where}: set {name} has {twice[0].removesuffix('.yaml')} twice; give it once")
    return tuple(ordered)


def _labelled(where: str, material: Material, name: str, key: str, member: Any) -> Mapping[str, Any]:
    metadata = member.get("metadata") if isinstance(member, dict) else None
    words = [member.get("kind"), member.get("apiVersion"), metadata.get("name")] if isinstance(metadata, dict) else []
    if not isinstance(metadata, dict) or not all(isinstance(word, str) and word for word in words):
        raise RenderError(f"{where}: {name}.{key} is no API object; it needs apiVersion, kind and metadata.name")
    member = with_references(f"{where}: {name}.{key}", member, material)
    metadata = member["metadata"]
    return {**member, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), SET_LABEL: name}}}


def _apply_order(member: Mapping[str, Any]) -> tuple[int, str, str, str]:
    kind = member["kind"]
    return place_of_kind(kind), kind, member["metadata"].get("namespace", ""), member["metadata"]["name"]


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from str(value.get(IMAGES_ANNOTATION, "")).split()
        for key, below in value.items():
            if key in {"containers", "initContainers"} and isinstance(below, list):
                yield from (one["image"] for one in below if isinstance(one, Mapping) and "image" in one)
            else:
                yield from _images(below)
    elif isinstance(value, list):
        for below in value:
            yield from _images(below)
