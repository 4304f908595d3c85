"""The golden cases of projects: what a project file gives, byte for byte.

ci/<case>/project.yaml        the project file, whose first line says what the case is about
ci/<case>/rendered/           its job of Jenkins (job.groovy), and
                              in containers: Dockerfile, .dockerignore, values-<environment>.yaml
                              on virtual machines: unit, sudoers, env-<environment>
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.ci.dockerfile import image_files
from generator.ci.jobs import job
from generator.ci.machines import machine_files, sudoers
from generator.ci.project import Project, load_project
from generator.ci.values import Image, values_text
from generator.render.tree import read_tree
from generator.spec.addons.jenkins import JenkinsSection

FOLDER = Path(__file__).parent / "ci"
TAG = "0123456789ab-7"
JENKINS = JenkinsSection.model_validate(
    {"configuration": {"url": "https://git.example.net/ops.git"}, "approvers": ["release-team"]}
).model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class ProjectCase:
    """One project."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return FOLDER / self.name

    def project(self) -> Project:
        """Return the project that its file describes."""
        return load_project((self.folder / "project.yaml").read_bytes(), "project.yaml")

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered = self.folder / "rendered"
        return read_tree(rendered) if rendered.is_dir() else {}

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down."""
        project = self.project()
        found = {"job.groovy": job(project, "prod", JENKINS)}
        found |= _on_machines(project) if project.is_vm else _in_containers(project)
        return {path: text.encode() for path, text in sorted(found.items())}


def _in_containers(project: Project) -> dict[str, str]:
    files = image_files(project)
    image = Image(f"registry.example.net/{project.name}", TAG, "sha256:" + "a" * 64)
    found = {
        f"values-{name}.yaml": values_text(project, name, image, ("registry-pull",))
        for name in project.environment_names
    }
    if files.own is None:
        found |= {"Dockerfile": files.dockerfile, ".dockerignore": files.dockerignore}
    return found


def _on_machines(project: Project) -> dict[str, str]:
    found = {"sudoers": sudoers(project)}
    for name in project.environment_names:
        files = machine_files(project, name)
        found |= {files.unit_name: files.unit, f"env-{name}": files.env}
    return found


PROJECT_CASES = [ProjectCase(path.parent.name) for path in sorted(FOLDER.glob("*/project.yaml"))]
CONTAINER_CASES = [case for case in PROJECT_CASES if not case.project().is_vm]
MACHINE_CASES = [case for case in PROJECT_CASES if case.project().is_vm]
