"""Verbs of the delivery chain on a laptop as in the pipeline: begin a project file, check it, make texts of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from json import dumps
from pathlib import Path

from invoke.context import Context

from generator.ci.beginning import check_answers, project_text, questions
from generator.ci.dockerfile import ImageFiles, image_files
from generator.ci.languages import LANGUAGES
from generator.ci.project import FOLDER, Project, load_project, load_project_file, load_projects
from generator.ci.values import image_of, values, values_text
from generator.errors import Fault, SpecError, WorkspaceError
from generator.spec import load
from generator.spec.scalars import DNS_LABEL
from verbs import console
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import Place, place_of, workspace_root

PROJECT = "a project file, or the name of one in clusters/<c>/projects"
REGISTRY = "registry of our base images in place of docker.io; else addons.registry of the cluster whose project it is"
_OURS = "# Made from the project file of "


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
    found = load_project_file(path, shown=_shown(path), today=today())
    for warning in found.warnings:
        console.warn(warning)
    return found, place


def _shown(path: Path) -> str:
    """Return how messages name a file: from the workspace's root on where it lies below it."""
    try:
        return path.resolve().relative_to(workspace_root()).as_posix()
    except (ValueError, WorkspaceError):
        return str(path)


def registry_of(place: Place | None, said: str | None) -> str | None:
    """Return the registry of our base images: what is said, else that of the cluster's addons."""
    if said is not None:
        return said.rstrip("/") or None
    return load(place.root, place.cluster).addons.registry if place is not None else None


@verb(
    name="new",
    help={
        "name": "name of the project: lower case, digits, hyphens; also that of its image and release",
        "set": "answer one question: KEY=VALUE, may be given several times",
        "no-input": "take what is suggested for every question that --set does not answer",
        "cluster": WHICH,
    },
    iterable=["set"],
)
def new(
    context: Context, name: str, set: list[str] | None = None, no_input: bool = False, cluster: str | None = None
) -> None:
    """Begin a project: a commented file in clusters/<c>/projects, from a few answers. Never overwrites one.

    Example: invoke ci.new --name hello --set language=go --set git.url=https://git.example.net/hello.git
    """
    place = place_of(cluster)
    if not DNS_LABEL.fullmatch(name):
        raise WorkspaceError(f"--name {name}: use at most 63 lower-case letters, digits and hyphens")
    path = place.inputs / FOLDER / f"{name}.yaml"
    shown = f"clusters/{place.cluster}/{FOLDER}/{path.name}"
    if path.exists():
        raise WorkspaceError(f"{shown} exists already; edit it, or choose another name")
    answers = answers_of(set or [])
    asking = not no_input and sys.stdin.isatty()
    if asking:
        answers = asked(name, answers)
    check_answers(name, answers)
    while True:
        text = project_text(name, answers)
        try:
            load_project(text, shown, today=today())
            break
        except SpecError as error:
            answers = asked_again(name, answers, error.faults, asking=asking)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    console.say(f"wrote {shown}; next: edit it, then invoke ci.validate --project {name}")


def answers_of(given: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE words as answers; raises WorkspaceError for a word without a value."""
    for word in given:
        if "=" not in word:
            raise WorkspaceError(f"--set {word}: no value; write KEY=VALUE")
    return dict(word.split("=", 1) for word in given)


def asked(name: str, answers: dict[str, str]) -> dict[str, str]:
    """Return the answers with those that the terminal gives to the questions that are open."""
    found = dict(answers)
    while True:
        question = next((one for one in questions(name, found) if one.key not in found), None)
        if question is None:
            return found
        choices = f" ({', '.join(question.choices)})" if question.choices else ""
        suggests = f" [{question.suggests}]" if question.suggests else ""
        try:
            typed = input(f"{question.key}: {question.asks}{choices}?{suggests} ").strip() or question.suggests
        except EOFError:
            raise WorkspaceError(f"{name}: the input ended before the last question, and nothing was written") from None
        if question.choices and typed not in question.choices:
            console.tell(f"  {typed!r} is no choice; write {' or '.join(question.choices)}")
        elif question.needed and not typed:
            console.tell("  it cannot do without an answer")
        else:
            found[question.key] = typed


def asked_again(name: str, answers: dict[str, str], faults: Sequence[Fault], *, asking: bool) -> dict[str, str]:
    """Return the answers with new ones where they made faults.

    Raises WorkspaceError with the faults where nobody can be asked, or no question is to blame.
    """
    told = "\n".join(f"  {fault.path}: {fault.what}; {fault.todo}" for fault in faults)
    wrong = {key for key in answers for fault in faults if f"{fault.path}.".startswith((f"{key}.", f"{key}["))}
    if not asking or not wrong:
        raise WorkspaceError(f"{name}: the answers make no project, and nothing was written:\n{told}")
    console.tell(told)
    return asked(name, {key: answer for key, answer in answers.items() if key not in wrong})


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
    try:
        if project is not None:
            path, _ = project_file(project, cluster)
            projects = (load_project_file(path, shown=_shown(path), today=today()),)
        else:
            place = place_of(cluster)
            projects = load_projects(place.root, place.cluster, today=today())
    except SpecError as error:
        if not json:
            raise
        faults = error.faults
    if json:
        document = {
            "faults": [asdict(fault) for fault in faults],
            "warnings": [warning for one in projects for warning in one.warnings],
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
    for one in projects:
        for warning in one.warnings:
            console.warn(warning)
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
    found, place = loaded(project, cluster)
    files = image_files(found, registry_of(place, registry))
    if files.own is None and out is not None:
        write_image_files(files, Path(out).expanduser())
    if json:
        ours = LANGUAGES[found.spec.language]
        document = {
            "own": files.own,
            "dockerfile": files.dockerfile,
            "dockerignore": files.dockerignore,
            "buildArguments": [] if files.own else [*ours.sources, "REVISION", "VERSION"],
            "secret": None if files.own else asdict(ours.secret),
        }
        console.raw(dumps(document, indent=2) + "\n")
    elif files.own is not None:
        console.tell(f"{found.name}: the image is made by {files.own} of its repository; nothing was generated")
    elif out is None:
        console.raw(files.dockerfile)
    else:
        console.say(f"wrote Dockerfile and .dockerignore into {out}")


def write_image_files(files: ImageFiles, folder: Path) -> None:
    """Write Dockerfile and .dockerignore; raises WorkspaceError before either where one there is not of our making."""
    if not folder.is_dir():
        raise WorkspaceError(f"--out {folder}: no such directory; name that of the project's source")
    texts = {folder / "Dockerfile": files.dockerfile, folder / ".dockerignore": files.dockerignore}
    for path in texts:
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_OURS):
            raise WorkspaceError(
                f"{path} is not of our making and stays; name it in docker.file, or move it out of the way"
            )
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


@verb(
    name="values",
    help={
        "project": PROJECT,
        "env": "which environment; with --out all of them where it is left out",
        "image": "the image that was pushed: REGISTRY/NAME:TAG, best with its digest, @sha256:…",
        "pull-secret": "a Secret in the namespace with which the image is pulled; may be given several times",
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
    found, _ = loaded(project, cluster)
    pushed = image_of(image) if image is not None else None
    secrets = tuple(pull_secret or ())
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
        (folder / f"values-{name}.yaml").write_text(text, encoding="utf-8")
        console.say(f"wrote {folder / f'values-{name}.yaml'}")
