"""Loading: a project file becomes a checked, complete, immutable project, or all its faults at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path as FilePath

from generator.ci.environment import Environment, resolved
from generator.ci.languages import LANGUAGES
from generator.ci.rules import check_project
from generator.ci.schema import ENVIRONMENTS, EnvironmentName, ProjectSpec
from generator.errors import Fault, SpecError, WorkspaceError
from generator.spec.structure import structured, suggestion
from generator.spec.yaml_source import Document, Subject, read_document

FOLDER = "projects"
"""Where a cluster's project files lie, below clusters/<c>."""

_SUBJECT = Subject("project", "make one with `invoke ci.new`", "write the keys out")


@dataclass(frozen=True, slots=True)
class Project:
    """One project. `spec` is its file as written with defaults; what depends on the environment is in `environment`."""

    spec: ProjectSpec
    file: str
    document: Document = field(compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """Return its name, which is also that of its image and release."""
        return self.spec.metadata.name

    @property
    def is_vm(self) -> bool:
        """Return whether it runs on virtual machines."""
        return self.spec.deploy == "vm"

    @property
    def environment_names(self) -> tuple[EnvironmentName, ...]:
        """Return its environments in the order in which a change passes through them."""
        return tuple(name for name in ENVIRONMENTS if name in self.spec.environments)

    @property
    def build_command(self) -> str | None:
        """Return the command that builds it, for /bin/sh; None where nothing is built after dependencies are there."""
        ours = LANGUAGES[self.spec.language].build
        return self.spec.build.command or (ours.format(name=self.name) if ours else None)

    @property
    def artifact(self) -> str | None:
        """Return the path of what the build makes, relative to the repository; None where all of it is needed."""
        ours = LANGUAGES[self.spec.language].artifact
        return self.spec.build.artifact or (ours.format(name=self.name) if ours else None)

    def run_command(self, folder: str = "/app") -> tuple[str, ...]:
        """Return the program and its arguments where the artifact lies in `folder`."""
        if self.spec.run.command is not None:
            return tuple(self.spec.run.command)
        name = (self.artifact or "").rpartition("/")[2]
        return tuple(word.format(folder=folder, artifact=name) for word in LANGUAGES[self.spec.language].run)

    @property
    def health_kind(self) -> str:
        """Return how one sees that it is well: http, exec or tcp."""
        if self.spec.health.path is not None:
            return "http"
        return "exec" if self.spec.health.command is not None else "tcp"

    @property
    def health_port(self) -> int:
        """Return the port that is asked."""
        return self.spec.health.port or self.spec.run.port

    @property
    def vm_directory(self) -> str:
        """Return the folder of the releases on virtual machines."""
        return self.spec.vm.directory or f"/srv/{self.name}"

    @property
    def webhook_credentials(self) -> tuple[str, ...]:
        """Return the ids of the credentials that webhooks need: their URLs, and what messages are signed with."""
        ids = {id for one in self.spec.notify for id in (one.secret, one.signing_secret) if id}
        return tuple(sorted(ids))

    def environment(self, name: str) -> Environment:
        """Return one environment; raises WorkspaceError where the project has none of that name."""
        for known in self.environment_names:
            if known == name:
                return resolved(self.spec, known)
        there = ", ".join(self.environment_names)
        raise WorkspaceError(
            f"{self.name}: has no environment {name!r}; "
            + suggestion(name, self.environment_names, f"there are: {there}")
        )


def load_project(content: str | bytes, file: str = "project.yaml", *, today: date | None = None) -> Project:
    """Return the project that a text describes.

    `file` is the name of the text in messages, `today` the day against which waivers are judged; without it their ends
    are not looked at. Raises SpecError with every fault.
    """
    document, faults = read_document(content, file, _SUBJECT)
    try:
        found = structured(document, ProjectSpec)
    except RecursionError:
        raise SpecError([Fault(file, 1, "", "is nested too deeply", "write it flatter")]) from None
    if found.model is None:
        raise SpecError([*faults, *found.faults])
    broken, warnings = check_project(found.model, document, tuple(path for path, _ in found.cuts), today)
    if faults or found.faults or broken:
        raise SpecError([*faults, *found.faults, *broken])
    return Project(found.model, file, document, warnings)


def load_project_file(path: FilePath, *, shown: str | None = None, today: date | None = None) -> Project:
    """Return the project of a file, named `shown` in messages; raises SpecError where it cannot be read either."""
    name = shown or str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError([Fault(name, 0, "", f"cannot be read: {error.strerror}", "name another file")]) from None
    return load_project(content, name, today=today)


def load_projects(root: FilePath, cluster: str, *, today: date | None = None) -> tuple[Project, ...]:
    """Return all projects of a cluster by name; raises SpecError with the faults of all files together.

    `root` is the folder that holds clusters/.
    """
    folder = root / "clusters" / cluster / FOLDER
    projects: list[Project] = []
    faults: list[Fault] = []
    for path in _project_files(folder):
        shown = f"clusters/{cluster}/{FOLDER}/{path.name}"
        try:
            project = load_project_file(path, shown=shown, today=today)
        except SpecError as error:
            faults += error.faults
            continue
        if path.suffix != ".yaml":
            faults.append(Fault(shown, 0, "", "is not read: names of project files end with .yaml", "rename it"))
            continue
        projects.append(project)
        if project.name != path.stem:
            what = f"the project is called {project.name}, but its file {path.name}"
            faults.append(project.document.fault(("metadata", "name"), what, "give both the same name"))
    faults += _domains_taken_twice(projects)
    if faults:
        raise SpecError(faults)
    return tuple(projects)


def _project_files(folder: FilePath) -> list[FilePath]:
    """Return what looks like a project file, in order; names that begin with a dot are what editors leave."""
    found = (path for path in folder.glob("*") if path.suffix.lower() in {".yaml", ".yml"})
    return sorted(path for path in found if not path.name.startswith("."))


def _domains_taken_twice(projects: list[Project]) -> list[Fault]:
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    for project in projects:
        for name in project.environment_names:
            domain = project.spec.environments[name].domain
            if domain is None:
                continue
            owner = owners.setdefault(domain, project.name)
            if owner != project.name:
                at = ("environments", name, "domain")
                what = f"{domain} is also a domain of the project {owner}"
                faults.append(project.document.fault(at, what, "give each its own"))
    return faults
