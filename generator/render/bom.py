"""bom.yaml: every binary, package, image and chart of a cluster, with its version and, once locked, its digest."""

from __future__ import annotations

from collections.abc import Iterable

from generator.artifacts_lock import UNLOCKED, Artifact, ArtifactLock
from generator.components.items import HostBinary, HostItem, HostPackage
from generator.components.registry import COMPONENTS
from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.charts import Chart
from generator.render.flow import flow
from generator.render.inventory import HEADER
from generator.render.levels import Levels, levels
from generator.spec.artifacts import PUBLICATIONS, official_url
from generator.spec.model import Cluster


def bom_text(
    cluster: Cluster, found: Levels, lock: ArtifactLock, images: Iterable[str], charts: Iterable[Chart] = ()
) -> str:
    """Return bom.yaml, one line for each thing, sorted.

    An artifact's url is that of the mirror where the cluster has one, else the official download. What is not locked
    has the sha256 `unlocked`; push refuses it.
    """
    lines = [f"{HEADER.format(cluster=cluster.name)}artifacts:"]
    for artifact in artifacts(cluster, found.all_items()):
        locked = lock.get(artifact)
        entry = {
            "name": artifact.name,
            "version": artifact.version,
            "arch": artifact.arch,
            "url": artifact_url(cluster, artifact, lock),
        }
        entry["sha256"] = UNLOCKED if locked is None else locked.sha256
        lines.append(f"- {flow(entry if locked is None or not locked.size else {**entry, 'size': locked.size})}")
    packages = sorted(_packages(cluster, found))
    if packages:
        lines.append("packages:")
        lines.extend(f"- {flow({'name': name, 'os': os})}" for name, os in packages)
    lines.append("images:")
    lines.extend(
        f"- {flow({'image': image})}"
        for image in sorted({cluster.runtime.sandbox_image, cluster.verify.image, *images})
    )
    packaged = [{"name": one.name, "version": one.version, "file": one.path, "sha256": one.sha256} for one in charts]
    if packaged:
        lines.append("charts:")
        lines.extend(f"- {flow(entry)}" for entry in packaged)
    return "\n".join(lines) + "\n"


def needed_artifacts(cluster: Cluster) -> tuple[Artifact, ...]:
    """Return the artifacts that a cluster needs, sorted, known before anything was issued."""
    return artifacts(cluster, levels(cluster, RequestMaterial(cluster), COMPONENTS).all_items())


def artifacts(cluster: Cluster, items: Iterable[HostItem]) -> tuple[Artifact, ...]:
    """Return the artifacts from which items take binaries, sorted; raises RenderError for one that nobody publishes."""
    needed = {Artifact(item.artifact, item.version, item.arch) for item in items if isinstance(item, HostBinary)}
    unknown = sorted(artifact.name for artifact in needed if artifact.name not in PUBLICATIONS)
    if unknown:
        raise RenderError(f"{cluster.name}: no place is known where {unknown[0]} is published; report this as a defect")
    return tuple(sorted(needed))


def artifact_url(cluster: Cluster, artifact: Artifact, lock: ArtifactLock) -> str:
    """Return where an artifact is fetched: from the mirror where there is one, else the official download."""
    locked = lock.get(artifact)
    if cluster.artifacts.mirror is None:
        return official_url(artifact.name, artifact.version, artifact.arch)
    return f"{cluster.artifacts.mirror.rstrip('/')}/{artifact.path if locked is None else locked.path}"


def _packages(cluster: Cluster, found: Levels) -> set[tuple[str, str]]:
    packages: set[tuple[str, str]] = set()
    for pool, components in found.components.items():
        folders = [found.shared.get(name) for name in components]
        folders += [found.pools.get((name, pool)) for name in components]
        folders += [found.hosts.get(host.name) for host in cluster.hosts if host.pool.name == pool]
        os = cluster.pools[pool].os
        for folder in folders:
            items = () if folder is None else folder.items.values()
            packages |= {(item.name, os) for item in items if isinstance(item, HostPackage)}
    return packages
