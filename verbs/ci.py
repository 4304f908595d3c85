"""Verbs of the delivery chain on a laptop as in the pipeline: check project files, make texts of them."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path

from invoke.context import Context

from generator.ci.dockerfile import ImageFiles, image_files
from generator.ci.languages import LANGUAGES
from generator.ci.project import Project, load_project_file, load_projects
from generator.ci.scalars import ObjectName
from generator.ci.values import Image, image_of, values, values_text
from generator.errors import Fault, SpecError, WorkspaceError
from verbs import ci_project, console
from verbs.ci_pipeline import settings_of
from verbs.ci_project import PROJECT
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import place_of
from verbs.writing import write_text

REGISTRY = "registry of our base images in place of docker.io; else addons.registry of the cluster whose project it is"
_OURS = "# Made from the project file of "


@verb(
    name="validate",
    help={
        "project": f"{PROJECT}; else all of the cluster",
        "cluster": WHICH,
        "json": "one JSON document; docs/json.md has its keys",
    },
)
def validate(context: Context, project: str | None = None, cluster: str | None = None, json: bool = False) -> int:
    """Check project files: every fault at once, with file, line and what to do. Writes nothing.

    Example: invoke ci.validate --project hello
    """
    faults: tuple[Fault, ...] = ()
    projects: tuple[Project, ...] = ()
    warnings: list[str] = []
    try:
        if project is not None:
            path, place = ci_project.project_file(project, cluster)
            projects = (load_project_file(path, shown=ci_project.shown_name(path), today=ci_project.today()),)
        else:
            place = place_of(cluster)
            projects = load_projects(place.root, place.cluster, today=ci_project.today())
        warnings = ci_project.warnings_of(projects, place)
    except SpecError as error:
        if not json:
            raise
        faults = error.faults
    if json:
        document = {
            "faults": [asdict(fault) for fault in faults],
            "warnings": warnings,
            "projects": [
                {
                    "name": one.name,
                    "file": one.file,
                    "language": one.spec.language,
                    "deploy": one.spec.deploy,
                    "environments": list(one.environment_names),
                }
                for one in projects
            ],
        }
        console.raw(dumps(document, indent=2) + "\n")
        return 1 if faults else 0
    for warning in warnings:
        console.warn(warning)
    for one in projects:
        facts = f"{one.spec.language}, {one.spec.deploy}, {', '.join(one.environment_names)}"
        console.say(f"{one.name}: the project file holds ({facts})")
    if not projects:
        console.say("there is no project yet; invoke ci.new begins one")
    return 0


@verb(
    name="dockerfile",
    help={
        "project": PROJECT,
        "out": "write Dockerfile and .dockerignore into this folder; else the Dockerfile to standard output",
        "registry": REGISTRY,
        "cluster": WHICH,
        "json": "one JSON document with both files, build arguments and the secret; docs/json.md has its keys",
    },
)
def dockerfile(
    context: Context,
    project: str,
    out: str | None = None,
    registry: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Make the Dockerfile of a project and its .dockerignore, or name the one that the project has of its own.

    Example: invoke ci.dockerfile --project hello --out ~/src/hello
    """
    found, place = ci_project.loaded(project, cluster)
    files = image_files(found, ci_project.registry_of(place, registry))
    if files.own is None and out is not None:
        written = write_image_files(files, Path(out).expanduser())
    if json:
        ours = LANGUAGES[found.spec.language]
        document = {
            "own": files.own,
            "dockerfile": files.dockerfile,
            "dockerignore": files.dockerignore,
            "buildArguments": [] if files.own else [*ours.sources, "REVISION", "VERSION"],
            "secret": None if files.own else {"id": ours.secret.id, "target": ours.secret.target},
        }
        console.raw(dumps(document, indent=2) + "\n")
    elif files.own is not None:
        console.tell(f"{found.name}: the image is made by {files.own} of its repository; nothing was generated")
    elif out is None:
        console.raw(files.dockerfile)
    else:
        console.say(f"wrote {' and '.join(written)} into {out}")
        if ".dockerignore" not in written:
            console.tell(
                "the .dockerignore there is the project's own and stays: it alone keeps secrets out of the image"
            )


def write_image_files(files: ImageFiles, folder: Path) -> list[str]:
    """Write Dockerfile and .dockerignore, and return the names of those that were written.

    A .dockerignore of the project's own stays. Raises WorkspaceError before anything where the Dockerfile there is not
    of our making.
    """
    if not folder.is_dir():
        raise WorkspaceError(f"--out {folder}: no such directory; name that of the project's source")
    texts = {"Dockerfile": files.dockerfile, ".dockerignore": files.dockerignore}
    if not _may_be_replaced(folder / "Dockerfile"):
        raise WorkspaceError(
            f"{folder / 'Dockerfile'} is not of our making and stays; name it in docker.file, or move it out of the way"
        )
    written = [name for name in texts if _may_be_replaced(folder / name)]
    for name in written:
        write_text(folder / name, texts[name])
    return written


def _may_be_replaced(path: Path) -> bool:
    """Return whether nothing is there, or what we made; a link leads to what is not ours."""
    if not path.is_symlink() and not path.exists():
        return True
    try:
        return not path.is_symlink() and path.read_bytes().startswith(_OURS.encode())
    except OSError:
        return False


@verb(
    name="values",
    help={
        "project": PROJECT,
        "env": "which environment; with --out all of them where it is left out",
        "image": "the image that was pushed: REGISTRY/NAME:TAG, best with its digest, @sha256:…; without, its place in "
        "addons.jenkins.push.registry of the cluster, and no tag",
        "pull-secret": "a Secret in the namespace with which the image is pulled; may be given several times; else "
        "addons.jenkins.push.pullSecret of the cluster",
        "out": "write values-<environment>.yaml into this folder; else to standard output",
        "cluster": WHICH,
        "json": "JSON in place of YAML on standard output, with the same keys",
    },
    iterable=["pull_secret"],
)
def values_(
    context: Context,
    project: str,
    env: str | None = None,
    image: str | None = None,
    pull_secret: list[str] | None = None,
    out: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Make the values of the chart for an environment of a project.

    Example: invoke ci.values --project hello --env dev --image registry.example.net/hello:3f2a9c1b7d40-12
    """
    found, place = ci_project.loaded(project, cluster)
    settings = settings_of(place)
    pushed = image_of(image) if image is not None else None
    if pushed is None and settings.registry:
        pushed = Image(f"{settings.registry}/{found.name}")
    named = pull_secret or ([settings.pull_secret] if settings.pull_secret else [])
    secrets = tuple(ci_project.checked("--pull-secret", one, ObjectName) for one in named)
    if env is None and out is None:
        there = ", ".join(found.environment_names)
        raise WorkspaceError(f"{found.name}: say for which environment with --env (there are: {there}), or use --out")
    names = (env,) if env is not None else found.environment_names
    texts = {name: values_text(found, name, pushed, secrets) for name in names}
    if out is None:
        for name, text in texts.items():
            console.raw(dumps(values(found, name, pushed, secrets), indent=2) + "\n" if json else text)
        return
    folder = Path(out).expanduser()
    if not folder.is_dir():
        raise WorkspaceError(f"--out {out}: no such directory; make it first")
    for name, text in texts.items():
        write_text(folder / f"values-{name}.yaml", text)
        console.say(f"wrote {folder / f'values-{name}.yaml'}")
