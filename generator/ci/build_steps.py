"""How a project is built, in its image as on the agent of its language: dependencies, its own command, pruning.

On virtual machines the project's command is all: what runs there is what that command makes.
"""

from __future__ import annotations

from dataclasses import dataclass

from generator.ci.project import Project


@dataclass(frozen=True, slots=True)
class Steps:
    """Commands for /bin/sh in the repository; any of the three may be empty."""

    dependencies: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    pruning: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Return all of them in order."""
        return (*self.dependencies, *self.own, *self.pruning)


_COMPOSER = (
    'if [ -n "${COMPOSER_REPOSITORY:-}" ]; then '
    'composer config --global repo.packagist composer "$COMPOSER_REPOSITORY"; fi; '
    "if [ -f composer.json ]; then "
    "composer install --no-dev --prefer-dist --no-progress --optimize-autoloader; fi"
)
_PIP = "if [ -f requirements.txt ]; then pip install --requirement requirements.txt; else pip install .; fi"
VENV = "/venv"
"""Where an image has the packages of Python; on an agent they lie beside the source, where it may write."""
_VENV_ON_AGENT = ".venv"


def steps_in_image(project: Project) -> Steps:
    """Return the steps of the image's build stage, in which the programs of the virtual environment are on the PATH."""
    own = (project.build_command,) if project.build_command is not None else ()
    match project.spec.language:
        case "nodejs" if own:
            return Steps((_npm("ci", ""),), own, (_npm("prune --omit=dev", " --production"),))
        case "nodejs":
            return Steps((_npm("ci --omit=dev", " --production"),))
        case "php":
            return Steps((_COMPOSER,), own)
        case "python":
            return Steps((f"python -m venv {VENV} && {_PIP}",), own)
        case _:
            return Steps((), own)


def steps_on_agent(project: Project) -> Steps:
    """Return the steps on the agent of the language.

    For a container nothing of it is kept: what does not build here never gets as far as an image. So without a command
    there is nothing to do, and with a Dockerfile of the project's own only that knows how.
    """
    if project.build_command is None or (not project.is_vm and project.spec.docker.file is not None):
        return Steps()
    if project.is_vm:
        return Steps(own=(project.build_command,))
    found = steps_in_image(project)
    if project.spec.language != "python":
        return Steps(found.dependencies, found.own)
    path = f'PATH="$PWD/{_VENV_ON_AGENT}/bin:$PATH"; '
    return Steps((f"python -m venv {_VENV_ON_AGENT}; {path}{_PIP}",), (f"{path}{project.build_command}",))


def _npm(npm: str, yarn: str) -> str:
    """Return the command of whichever tool locked the dependencies; yarn has no word for pruning, but installs less."""
    return f"if [ -f yarn.lock ]; then yarn install --frozen-lockfile{yarn}; else npm {npm} --no-audit --no-fund; fi"
