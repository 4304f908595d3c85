"""Verbs that start a cluster and check its spec."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path

from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter
from invoke.context import Context

import generator
from generator import sealing
from generator.errors import SealingError, SlipwayError, WorkspaceError
from generator.pki.request_material import RequestMaterial
from generator.pki.store import SEALED_FOR_ADDONS, PkiStore
from generator.render.objects import objects
from generator.spec import load
from generator.spec.example import full_example
from verbs.console import say, tree, warn
from verbs.verb import verb
from verbs.workspace import place_of, workspace_root

TASKS = '''"""The verbs of this workspace; `invoke --list` shows them."""

from verbs import namespace  # noqa: F401
'''


def template() -> Path:
    """Return the folder of the cookiecutter template: beside the packages in a checkout, else the installed copy."""
    beside = Path(generator.__file__).parents[1] / "cookiecutter-cluster"
    if beside.is_dir():
        return beside
    return Path(generator.__file__).parents[1] / "cookiecutter_cluster"


def scaffold(root: Path, name: str, answers: dict[str, str], *, no_input: bool) -> Path:
    """Write clusters/<name> from the template and return it; makes the folder clusters where there is none yet.

    Raises WorkspaceError where the cluster exists or the template's hooks refuse the answers; nothing is left then.
    """
    folder = root / "clusters" / name
    if folder.exists():
        raise WorkspaceError(f"clusters/{name} exists already; choose another name or edit it")
    check_answers(answers)
    fresh = not folder.parent.is_dir()
    (root / "clusters").mkdir(parents=True, exist_ok=True)
    # The hooks say what they refuse; cookiecutter's log would add a traceback to it.
    logging.getLogger("cookiecutter").setLevel(logging.CRITICAL)
    try:
        cookiecutter(
            str(template()),
            no_input=no_input,
            extra_context={"name": name, **answers},
            output_dir=str(root / "clusters"),
            accept_hooks=True,
        )
    except CookiecutterException as error:
        remove(folder, with_parent=fresh)
        raise WorkspaceError(
            f"clusters/{name}: the answers were refused, nothing was written; see above ({error})"
        ) from error
    return folder


def remove(folder: Path, *, with_parent: bool) -> None:
    """Remove a cluster that was only begun, and the folder clusters where it was made for it."""
    shutil.rmtree(folder.parent if with_parent else folder, ignore_errors=True)


def new_root() -> Path:
    """Return where a new cluster goes: the folder that SLIPWAY_ROOT names, else the workspace, else here."""
    named = os.environ.get("SLIPWAY_ROOT")
    if named:
        return Path(named).expanduser().resolve()
    try:
        return workspace_root()
    except WorkspaceError:
        return Path.cwd()


def check_answers(answers: dict[str, str]) -> None:
    """Raise WorkspaceError for the answer to a question that nobody asks, and for one that is not among its choices."""
    questions = json.loads((template() / "cookiecutter.json").read_text(encoding="utf-8"))
    known = sorted(key for key in questions if not key.startswith("_") and key != "name")
    for key, answer in sorted(answers.items()):
        if key not in known:
            raise WorkspaceError(f"--set {key}: there is no such question; there are {', '.join(known)}")
        choices = questions[key]
        if isinstance(choices, list) and answer not in choices:
            raise WorkspaceError(f"--set {key}: {answer!r} is no choice; write {' or '.join(choices)}")


def write_recipient(folder: Path) -> None:
    """Write the operator's public key into recipients.txt, making an identity where there is none."""
    try:
        identity = sealing.identity_path()
    except SealingError:
        if os.environ.get(sealing.IDENTITY_VARIABLE):
            raise
        identity = sealing.default_identity_path()
        sealing.create_identity(identity, folder.parents[1])
        say(f"made an age identity at {identity} (mode 0600): keep a copy, it opens the keys of your clusters")
    with (folder / sealing.RECIPIENTS_FILE).open("a") as recipients:
        recipients.write(f"{sealing.public_half(identity)}\n")


@verb(
    help={
        "name": "name of the cluster: lower case, digits, dashes",
        "no-input": "take the default for every question",
        "full": "write every option of the spec, commented out, with default and meaning",
        "set": "answer one question: KEY=VALUE, may be given several times",
    },
    iterable=["set"],
)
def new(context: Context, name: str, no_input: bool = False, full: bool = False, set: list[str] | None = None) -> None:
    """Start a cluster: a commented cluster.yaml that renders at once, and the files beside it.

    Example: invoke new --name first --no-input
    """
    root = new_root()
    answers = dict(answer.split("=", 1) for answer in set or [] if "=" in answer)
    wrong = [answer for answer in set or [] if "=" not in answer]
    if wrong:
        raise WorkspaceError(f"--set {wrong[0]}: no value; write KEY=VALUE")
    fresh = not (root / "clusters").is_dir()
    folder = scaffold(root, name, answers, no_input=no_input or not sys.stdin.isatty())
    try:
        write_recipient(folder)
    except SlipwayError:
        # Without a recipient nothing could be sealed, and the next try would find the cluster made already.
        remove(folder, with_parent=fresh)
        raise
    if not (root / "tasks.py").exists():
        (root / "tasks.py").write_text(TASKS)
    if full:
        (folder / "cluster.full.yaml").write_text(full_example(name))
        say("cluster.full.yaml lists every option; copy what you need into cluster.yaml")
    tree(folder, depth=2)
    say(f"next: edit clusters/{name}/cluster.yaml, then invoke render --cluster {name}")


@verb(help={"cluster": "which cluster; else SLIPWAY_CLUSTER, else the only one"})
def validate(context: Context, cluster: str | None = None) -> None:
    """Check a cluster's spec, every fault at once with file, line and what to do, and addons.jsonnet. Writes nothing.

    Example: invoke validate --cluster prod
    """
    place = place_of(cluster)
    model = load(place.root, place.cluster)
    for warning in model.warnings:
        warn(warning)
    # Certificates are their requests here, so that nothing need be issued yet and nobody's identity is asked for.
    sealed = PkiStore(place.inputs).secret_names(SEALED_FOR_ADDONS)
    objects(model, RequestMaterial(model, sealed=sealed), place.root)
    counts = f"{len(model.hosts)} hosts in {len(model.pools)} pools, Kubernetes {model.versions.kubernetes}"
    say(f"{place.cluster}: the spec holds ({counts})")
