"""Which project a verb means, and what its cluster says for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from generator.ci.project import FOLDER, Project, load_project_file
from generator.ci.rules_cluster import cluster_warnings
from generator.errors import SpecError, WorkspaceError
from generator.spec import load
from generator.spec.scalars_network import RegistryPrefix
from verbs import console
from verbs.workspace import Place, place_of, workspace_root

AS_JSON = "one JSON document; docs/json.md has its keys"
PROJECT = "a project file, or the name of one in clusters/<c>/projects"


def today() -> date:
    """Return the day against which waivers are judged."""
    return datetime.now(UTC).date()


def project_file(project: str, cluster: str | None) -> tuple[Path, Place | None]:
    """Return the file that --project means, and the cluster in which it lies, None where it lies in none.

    What has a slash or ends with .yaml is a path; anything else is a name in the cluster's folder.
    """
    if "/" in project or project.endswith((".yaml", ".yml")):
        path = Path(project).expanduser()
        return path, _place_around(path.resolve(), cluster)
    place = place_of(cluster)
    path = place.inputs / FOLDER / f"{project}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in (place.inputs / FOLDER).glob("*.yaml"))) or "none"
        raise WorkspaceError(
            f"no project {project} in {place.inputs / FOLDER} (there are: {known}); name one of these, or a file"
        )
    return path, place


def _place_around(path: Path, cluster: str | None) -> Place | None:
    if cluster is not None:
        return place_of(cluster)
    folder = path.parent
    inside = folder.name == FOLDER and folder.parent.parent.name == "clusters"
    if inside and (folder.parent / "cluster.yaml").is_file():
        return Place(folder.parents[2], folder.parent.name)
    return None


def loaded(project: str, cluster: str | None) -> tuple[Project, Place | None]:
    """Return the project that --project means, its warnings told, and its cluster."""
    path, place = project_file(project, cluster)
    found = load_project_file(path, shown=shown_name(path), today=today())
    for warning in found.warnings:
        console.warn(warning)
    return found, place


def checked(option: str, text: str, kind: Any) -> str:
    """Return the text of an option that is to be what `kind` is in a file; raises WorkspaceError where it is not."""
    try:
        found: str = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        raise WorkspaceError(f"{option}: {error.errors()[0]['msg']}") from None
    return found


def warnings_of(projects: Sequence[Project], place: Place | None) -> list[str]:
    """Return the warnings of projects, with what their cluster does not have; faults of that are for its own verb."""
    found = [warning for one in projects for warning in one.warnings]
    if place is None or not projects:
        return found
    try:
        cluster = load(place.root, place.cluster)
    except SpecError:
        return found
    return found + [warning for one in projects for warning in cluster_warnings(one, cluster)]


def shown_name(path: Path) -> str:
    """Return how messages name a file: from the workspace's root on where it lies below it."""
    try:
        return path.resolve().relative_to(workspace_root()).as_posix()
    except (ValueError, WorkspaceError):
        return str(path)


def registry_of(place: Place | None, said: str | None) -> str | None:
    """Return the registry of our base images: what is said, else that of the cluster's addons."""
    if said is not None:
        return checked("--registry", said.rstrip("/"), RegistryPrefix)
    return load(place.root, place.cluster).addons.registry if place is not None else None
