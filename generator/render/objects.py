"""API objects: addons/main.jsonnet as a function of the cluster, one object per file, in a fixed order of kinds.

The language is jsonnet, evaluated by rjsonnet; the reference implementation gives the same (a test compares them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from generator.render.object_form import checked_object, refuse_private_keys
from generator.render.object_secrets import secret_facts, with_references
from generator.spec.addons.etcd_backup import MOUNT_OPTIONS, runs_by
from generator.spec.model import Cluster
from generator.spec.node_identity import node_line
from generator.spec.structure import nearest

ADDONS = Path(__file__).resolve().parents[2] / "addons"
SET_LABEL = "slipway.io/set"
IMAGES_ANNOTATION = "slipway.io/images"

_SET_NAME = re.compile(r"[0-9]{2}-[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_FILE = 255

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
        "jenkinsCa": cluster.jenkins_ca,
        "addons": cluster.addons.model_dump(mode="json", by_alias=True),
    }


def whole_argument(cluster: Cluster, material: Material, root: Path) -> dict[str, Any]:
    """Return all that jsonnet gets to know: of the cluster, of certificates and secrets, and of the projects."""
    return {**cluster_argument(cluster), **secret_facts(cluster, material), "projects": _projects(cluster, root)}


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
    argument = whole_argument(cluster, material, root)
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
    try:
        found = json.loads(text)
    except RecursionError:
        what = "an object is nested too deep to be one; look in addons.jsonnet for a list or map within itself"
        raise RenderError(f"{cluster.name}: addons: {what}") from None
    return object_sets(cluster, material, found["sets"], Known(found["base"], found["names"]))


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to patch: the keys of each set's objects, and the set of each addon, of those that are off too."""

    keys: Mapping[str, Sequence[str]]
    names: Mapping[str, str]


def object_sets(cluster: Cluster, material: Material, given: Mapping[str, Any], known: Known) -> Objects:
    """Return the sets that jsonnet gives, checked, labelled and in the order of apply; raises RenderError."""
    sets = {name: _checked_set(cluster, material, name, members, known) for name, members in sorted(given.items())}
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
    """Return jsonnet for addons/main.jsonnet with the cluster's own file added, and what of it can be patched.

    `configs` is given so that all that is said of addons is evaluated and checked, of those that are off too.
    """
    main = "(import 'main.jsonnet')(cluster)"
    facts = "base: {[set]: std.objectFields(main[set]) for set in std.objectFields(main)}, names: main.sets"
    result = f"{{{facts}, configs: both.configs, sets: both}}"
    if not own.is_file():
        return f"local main = {main}, both = main; {result}"
    return (
        f"local main = {main}, file = import {json.dumps(own.name)}; "
        "local own = if std.isFunction(file) then file(cluster) else file; "
        "local both = main + own; "
        "local taken = [one for one in ['configs', 'sets'] if std.objectHasAll(own, one)]; "
        "local known = std.objectFieldsAll(main.values); "
        "local told = if std.isObject(both.values) then std.objectFieldsAll(both.values) else []; "
        "local unknown = [one for one in told if !std.member(known, one)]; "
        "if !std.isObject(own) then error 'addons: the file gives no map; write { … } or function(cluster) { … }' "
        "else if taken != [] then error 'addons: the name %s is Slipway\\'s own; take another' % taken[0] "
        "else if unknown != [] then error 'addons.%s is no addon; known are: %s' % [unknown[0], std.join(', ', known)] "
        "else if std.length(told) < std.length(known) then "
        "error 'addons: `values` is given whole, so what other addons are told is lost; write values+::' "
        f"else {result}"
    )


def _checked_set(
    cluster: Cluster, material: Material, name: str, members: Any, known: Known
) -> tuple[Mapping[str, Any], ...]:
    where = f"{cluster.name}: addons"
    if not _SET_NAME.fullmatch(name):
        raise RenderError(f"{where}: {name!r} is no name of a set; name it like 00-cluster-rbac")
    if not isinstance(members, dict):
        raise RenderError(f"{where}: set {name} is no map of objects; give each object a name of its own")
    for key, member in members.items():
        if not isinstance(member, dict) or not {"apiVersion", "kind", "metadata"} <= member.keys():
            raise RenderError(f"{where}: {name}.{key} is no API object; {_instead(name, key, members, known)}")
    labelled = [_labelled(f"{where}: {name}.{key}", material, name, member) for key, member in members.items()]
    ordered = sorted(labelled, key=_apply_order)
    files = [file_name(member) for member in ordered]
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        raise RenderError(f"{where}: set {name} has {twice[0].removesuffix('.yaml')} twice; give it once")
    return tuple(ordered)


def _instead(name: str, key: str, members: Mapping[str, Any], known: Known) -> str:
    """Return what to do about something that is no whole object: most often it was meant as a patch of one."""
    if name in known.keys:
        if key in known.keys[name]:
            whole = not set(known.keys[name]) <= members.keys()
            return (
                f"to patch that of Slipway, write '{name}'+:" if whole else f"to patch that of Slipway, write {key}+:"
            )
        member = nearest(key, known.keys[name])
        if member:
            return f"did you mean {member}?"
    for addon, its in known.names.items():
        if its == name:
            return f"the addon {addon} is off, so there is no set {name} to patch; turn it on in cluster.yaml"
    near = None if name in known.keys else nearest(name, {*known.keys, *known.names.values()})
    return f"did you mean the set {near}?" if near else "it needs apiVersion, kind and metadata.name"


def _labelled(where: str, material: Material, name: str, member: Mapping[str, Any]) -> Mapping[str, Any]:
    member = with_references(where, checked_object(where, member), material)
    refuse_private_keys(where, member)
    file = file_name(member)
    if len(file.encode()) > _LONGEST_FILE:
        raise RenderError(f"{where}: {file[:40]}… is too long for the name of a file; shorten the object's name")
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
