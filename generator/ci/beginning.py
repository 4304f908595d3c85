"""A new project file: the questions that `invoke ci.new` asks, and the commented file that the answers make."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.ci.languages import LANGUAGES, Defaults
from generator.ci.schema import ProjectSpec
from generator.errors import WorkspaceError
from generator.spec.example import section_lines
from generator.spec.structure import suggestion

_SAMPLES = {
    "secret": "hello-tls",
    "kind": "slack",
    "id": "CVE-2026-0001",
    "until": '"2026-12-31"',
    "reason": "no fix yet, and the path is not reached",
}


_NOT_FOR = {
    "container": ("vm", "environments.*.hosts"),
    "vm": (
        "namespace", "build.image", "run.secrets", "run.image", "run.user", "resources", "scaling", "docker", "chart",
        *(f"environments.*.{key}" for key in ("tls", "ingressClass", "scaling", "resources", "secrets")),
    ),
}  # fmt: skip
"""What is of no use where a project runs, most of it a fault."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the path of its answer in the file, what it asks, the answer that it suggests, its choices.

    An empty answer leaves the key out where `needed` is False.
    """

    key: str
    asks: str
    suggests: str
    choices: tuple[str, ...] = ()
    needed: bool = True


def questions(name: str, answers: Mapping[str, str]) -> list[Question]:
    """Return the questions about a project, as far as the answers that there are tell what to ask."""
    # A language that nobody knows is refused among the answers.
    ours = _defaults(_chosen(answers, "language", "go")) or LANGUAGES["go"]
    is_vm = _chosen(answers, "deploy", "container") == "vm"
    asked = [
        Question("git.url", "where is its source", f"https://git.example.net/{name}.git"),
        Question("language", "in which language is it", "go", tuple(LANGUAGES)),
        Question("deploy", "does it run in the cluster or on virtual machines", "container", ("container", "vm")),
        Question("build.command", "how is it built", _build(name, ours, is_vm), needed=False),
    ]
    if ours.artifact is not None or is_vm:
        suggested = (ours.artifact or "").format(name=name)
        asked.append(Question("build.artifact", "what does the build make", suggested, needed=False))
    asked += [
        Question("run.command", "how does it start", _start(name, ours, answers, is_vm), needed=not ours.run),
        Question("run.port", "on which port does it listen", "8080"),
    ]
    php_fpm = ours is LANGUAGES["php"] and not answers.get("run.command")
    asked.append(
        Question(
            "health.path", "which path answers while it is well (empty: the port)", "" if php_fpm else "/healthz",
            needed=False,
        )
    )  # fmt: skip
    if not is_vm:
        asked += [
            Question("run.writable", "to which folders does it write (separated by commas)", "/tmp", needed=False),
            Question("resources.limits.memory", "how much memory does it get at most", "256Mi"),
            Question("scaling.replicas", "how many run", "2"),
            Question("scaling.max", "how many does autoscaling start at most (empty: none)", "", needed=False),
        ]
    asked.append(Question("environments", "in which environments (of dev, qa, pre, prd)", "dev,prd"))
    for environment in _listed(_chosen(answers, "environments", "dev,prd")):
        # A word that is no environment gets its own fault, with the place in the file.
        if is_vm:
            asked.append(
                Question(f"environments.{environment}.hosts", f"which machines are {environment}", "", needed=True)
            )
        else:
            domain = f"{name}.example.net" if environment == "prd" else f"{name}.{environment}.example.net"
            domain = "" if php_fpm else domain
            asked.append(
                Question(
                    f"environments.{environment}.domain", f"by which name is {environment} reached (empty: none)",
                    domain, needed=False,
                )
            )  # fmt: skip
    return asked


def _build(name: str, ours: Defaults, is_vm: bool) -> str:
    return ((ours.machine_build if is_vm else None) or ours.build or "").format(name=name)


def _start(name: str, ours: Defaults, answers: Mapping[str, str], is_vm: bool) -> str:
    if ours is LANGUAGES["nodejs"]:
        return "node server.js"
    if ours is LANGUAGES["python"]:
        return f"{'python3' if is_vm else 'python'} -m {name.replace('-', '_')}"
    if is_vm or ours.artifact is None:
        # What suits the language knows where a release lies, and that php-fpm waits for FastCGI.
        return ""
    made = (answers.get("build.artifact") or ours.artifact.format(name=name)).rpartition("/")[2]
    return shlex.join(word.format(folder="/app", artifact=made) for word in ours.run)


def _defaults(language: str) -> Defaults | None:
    return next((ours for name, ours in LANGUAGES.items() if name == language), None)


def _chosen(answers: Mapping[str, str], key: str, otherwise: str) -> str:
    return answers.get(key) or otherwise


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def check_answers(name: str, answers: Mapping[str, str]) -> None:
    """Raise WorkspaceError for the answer to a question that nobody asks, and for one that is not among its choices."""
    asked = {question.key: question for question in questions(name, answers)}
    for key, answer in sorted(answers.items()):
        if key not in asked:
            known = ", ".join(sorted(asked))
            raise WorkspaceError(
                f"--set {key}: there is no such question here; " + suggestion(key, asked, f"there are {known}")
            )
        choices = asked[key].choices
        if choices and answer not in choices:
            raise WorkspaceError(f"--set {key}: {answer!r} is no choice; write {' or '.join(choices)}")


def project_text(name: str, answers: Mapping[str, str]) -> str:
    """Return the file of a project: the answers, and every other option commented out with its meaning.

    Questions without an answer get the one that they suggest.
    """
    given: dict[str, Any] = {"metadata": {"name": name}, "environments": {}}
    for question in questions(name, answers):
        text = answers.get(question.key, question.suggests).strip()
        if text or question.needed:
            _put(given, question.key, text)
    lines = [
        f"# The project {name}. A line that begins with #- is an option with its default: take the #- away.",
        "# docs/project-reference.md says more of each; `invoke ci.validate` says what is wrong.",
        "apiVersion: slipway.io/v1",
        "kind: Project",
        *section_lines(
            ProjectSpec, "", given, _SAMPLES, skip=("apiVersion", "kind", *_NOT_FOR.get(given["deploy"], ()))
        ),
    ]
    return "\n".join(lines) + "\n"


def _put(given: dict[str, Any], key: str, text: str) -> None:
    value: Any = text
    match key:
        case "environments":
            for name in _listed(text):
                given["environments"].setdefault(name, {})
            return
        case "run.command":
            value = _words(text)
        case "run.port" | "scaling.replicas" | "scaling.max":
            # Words that are no number become a fault of the file.
            value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    if key in {"run.writable"} or key.endswith(".hosts"):
        value = _listed(text)
    at = given
    *above, last = key.split(".")
    for part in above:
        at = at.setdefault(part, {})
    at[last] = value


def _words(text: str) -> list[str]:
    """Return a command as words, by the shell's own quotes; raises WorkspaceError where one stays open."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise WorkspaceError(f"run.command: {text!r}: {str(error).lower()}; close the quote") from None
