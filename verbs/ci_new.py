"""The verb that begins a project."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from invoke.context import Context

from generator.ci.beginning import check_answers, project_text, questions
from generator.ci.project import FOLDER, load_project
from generator.errors import Fault, SpecError, WorkspaceError
from generator.spec.scalars import DNS_LABEL
from verbs import ci_project, console
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import place_of


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
            load_project(text, shown, today=ci_project.today())
            break
        except SpecError as error:
            answers = asked_again(name, answers, error.faults, asking=asking)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise WorkspaceError(f"{shown}: cannot be written ({error.strerror}); look at {path.parent}") from None
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
