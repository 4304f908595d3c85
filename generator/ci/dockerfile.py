"""The Dockerfile and .dockerignore of a project: two stages, pinned bases, no root, no secret, no source of packages.

They use nothing but what BuildKit and buildah both know without fetching a frontend: --mount of secrets and caches,
COPY --from and --chown (https://docs.docker.com/reference/dockerfile/,
https://github.com/containers/common/blob/main/docs/Containerfile.5.md). Where packages come from is said at the build,
by --build-arg and --secret. What people write goes into the exec form, whose words no shell and no builder expands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from generator.ci.build_steps import VENV, steps_in_image
from generator.ci.languages import LANGUAGES, PHP_CLI_IMAGE, SCRATCH
from generator.ci.project import Project
from generator.errors import RefusedError

_SOURCE, _RESULT, _APP = "/src", "/out", "/app"
_ALWAYS_IGNORED = (
    ".git/", ".gitignore", ".gitattributes", ".github/", ".gitlab-ci.yml", "Jenkinsfile", "Dockerfile*",
    ".dockerignore", "docker-compose*.yml", "compose*.yaml", ".idea/", ".vscode/", ".DS_Store",
)  # fmt: skip
_SECRETS = (
    "**/.env", "**/.env.*", "**/*.pem", "**/*.key", "**/*.p12", "**/*.jks", "**/id_rsa*", "**/id_ed25519*",
    "**/.netrc", "**/.npmrc", "**/.pypirc", "**/auth.json", "**/kubeconfig*", "**/.aws/", "**/.ssh/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """What builds the image of a project. `own` is the project's own Dockerfile; the two texts are empty then."""

    dockerfile: str = ""
    dockerignore: str = ""
    own: str | None = None


def image_files(project: Project, registry: str | None = None) -> ImageFiles:
    """Return what builds the image of a project.

    `registry` (host[:port][/path]) stands in place of the host of our base images; images that the project names stay
    as they are. Raises RefusedError for a project that runs on virtual machines.
    """
    if project.is_vm:
        raise RefusedError(f"{project.name}: runs on virtual machines and has no image; use deploy: container for one")
    if project.spec.docker.file is not None:
        return ImageFiles(own=project.spec.docker.file)
    return ImageFiles(_dockerfile(project, registry), _dockerignore(project))


def base_images(project: Project, registry: str | None = None) -> tuple[str, str]:
    """Return the images in which a project is built and runs."""
    ours = LANGUAGES[project.spec.language]
    own_server = project.spec.language == "php" and project.spec.run.command is not None
    run = PHP_CLI_IMAGE if own_server else ours.run_image
    return (
        project.spec.build.image or _mirrored(ours.build_image, registry),
        project.spec.run.image or _mirrored(run, registry),
    )


def _mirrored(image: str, registry: str | None) -> str:
    if registry is None or image == SCRATCH:
        return image
    return f"{registry}/{image.partition('/')[2]}"


def _dockerfile(project: Project, registry: str | None) -> str:
    build, run = base_images(project, registry)
    lines = [
        f"# Made from the project file of {project.name} by `invoke ci.dockerfile`; docker.file names one of your own.",
        f"FROM {build} AS build",
        *_build_stage(project),
        "",
        f"FROM {run}",
        *_run_stage(project, run),
    ]
    return "\n".join(lines) + "\n"


def _build_stage(project: Project) -> list[str]:
    language = LANGUAGES[project.spec.language]
    lines = [f"WORKDIR {_SOURCE}"]
    if language.sources:
        lines += [
            "# Where packages come from, said by --build-arg; credentials come as a secret, and no layer keeps them.",
            *(f"ARG {name}" for name in language.sources),
        ]
    lines += [f"ENV {name}={value}" for name, value in _BUILD_ENV.get(project.spec.language, {}).items()]
    lines.append("COPY . .")
    for number, step in enumerate(steps_in_image(project).all):
        # Steps of their own say which one failed.
        lines += ["# hadolint ignore=DL3059"] if number else []
        lines.append(f"RUN {_mounts(project)} {_shell(step)}")
    return [*lines, f"RUN {_shell(_gathering(project))}"]


def _mounts(project: Project) -> str:
    secret = LANGUAGES[project.spec.language].secret
    # A cache of each project's own: what one build leaves there, another one would run.
    caches = [
        f"--mount=type=cache,id={project.name}-{name},target={target},sharing=locked"
        for name, target in _CACHES[project.spec.language].items()
    ]
    return " ".join([f"--mount=type=secret,id={secret.id},target={secret.target}", *caches])


_BUILD_ENV = {
    "go": {"CGO_ENABLED": "0"},
    # The image has a folder there, which mvnw takes for a goal: https://github.com/carlossg/docker-maven/issues/301
    "java": {"MAVEN_CONFIG": '""'},
    "php": {"COMPOSER_HOME": "/composer", "COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_NO_INTERACTION": "1"},
    "python": {"PATH": f'"{VENV}/bin:$PATH"', "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
}
_CACHES = {
    "go": {"modules": "/go/pkg/mod", "build": "/root/.cache/go-build"},
    "java": {"maven": "/root/.m2/repository"},
    "php": {"composer": "/composer/cache"},
    "nodejs": {"npm": "/root/.npm"},
    "python": {"pip": "/root/.cache/pip"},
}
_BESIDE_AN_ARTIFACT = {"php": ("composer.json", "vendor"), "nodejs": ("package.json", "node_modules")}
_RUN_ENV = {
    # A JVM takes a quarter of the memory unless told: https://docs.oracle.com/en/java/javase/21/docs/specs/man/java.html
    "java": {"JAVA_TOOL_OPTIONS": "-XX:MaxRAMPercentage=75.0"},
    "nodejs": {"NODE_ENV": "production"},
    "python": {"PATH": f'"{VENV}/bin:$PATH"', "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
}


def _gathering(project: Project) -> str:
    """Return the command that puts what is to run into one folder, readable whatever the modes of the checkout."""
    artifact = project.artifact
    if artifact is None:
        copied = f"cp -R . {_RESULT}/"
    elif project.spec.language in _BESIDE_AN_ARTIFACT:
        beside = " ".join(_BESIDE_AN_ARTIFACT[project.spec.language])
        copied = (
            f'for one in ./{artifact} {beside}; do if [ -e "$one" ]; then mkdir -p "{_RESULT}/$(dirname "$one")"; '
            f'cp -R "$one" "{_RESULT}/$one"; fi; done; test -e {_RESULT}/{artifact}'
        )
    else:
        copied = f"cp -R ./{artifact} {_RESULT}/"
    return f"mkdir -p {_RESULT} /empty && {copied} && chmod -R a+rX {_RESULT}"


def _run_stage(project: Project, image: str) -> list[str]:
    spec = project.spec
    user = f"{spec.run.user}:{spec.run.user}"
    lines = [
        'ARG REVISION=""',
        'ARG VERSION=""',
        f"LABEL org.opencontainers.image.title={_quoted(project.name)} \\",
        f"      org.opencontainers.image.source={_quoted(spec.git.url)} \\",
        f"      org.opencontainers.image.base.name={_quoted(image)} \\",
        '      org.opencontainers.image.revision="$REVISION" \\',
        '      org.opencontainers.image.version="$VERSION"',
        f"WORKDIR {_APP}",
    ]
    env = {**_RUN_ENV.get(spec.language, {}), **({"HOME": "/tmp"} if "/tmp" in spec.run.writable else {})}
    lines += [f"ENV {name}={value}" for name, value in env.items()]
    if spec.language == "php" and spec.run.command is None:
        listen = f"printf '[www]\\nlisten = {spec.run.port}\\n' > /usr/local/etc/php-fpm.d/zz-port.conf"
        lines.append(f"RUN {_shell(listen)}")
    if spec.language == "python":
        lines.append(f"COPY --from=build {VENV}/ {VENV}/")
    if spec.language == "go":
        # A static program needs no system, but somebody to trust.
        lines.append("COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/")
    lines.append(f"COPY --from=build {_RESULT}/ {_APP}/")
    lines += _writable_folders(project, user)
    lines.append(f"USER {user}")
    lines.append(f"EXPOSE {spec.run.port}")
    if spec.run.writable:
        lines.append(f"VOLUME {_words(spec.run.writable)}")
    if spec.docker.healthcheck:
        lines.append(_healthcheck(project))
    lines.append(f"ENTRYPOINT {_words(project.run_command(_APP))}")
    return lines


def _writable_folders(project: Project, user: str) -> list[str]:
    folders = list(project.spec.run.writable)
    if project.spec.language == "go":
        # The image may hold no program that makes folders.
        return [f"COPY --from=build --chown={user} /empty/ {path}/" for path in folders]
    made = " ".join(path for path in folders if path != "/tmp")
    return [f"RUN {_shell(f'mkdir -p {made} && chown {user} {made}')}"] if made else []


def _healthcheck(project: Project) -> str:
    health = project.spec.health
    if health.command is not None:
        asks: Iterable[str] = health.command
    else:
        asks = [
            *LANGUAGES[project.spec.language].asks,
            str(project.health_port),
            *([health.path] if health.path else []),
        ]
    times = (
        f"--interval={health.period_seconds}s --timeout={health.timeout_seconds}s "
        f"--start-period={health.initial_delay_seconds}s"
    )
    return f"HEALTHCHECK {times} CMD {_words(asks)}"


def _dockerignore(project: Project) -> str:
    ignored = LANGUAGES[project.spec.language].ignored
    return "\n".join(
        [
            f"# Made from the project file of {project.name} by `invoke ci.dockerfile`.",
            *_ALWAYS_IGNORED,
            "# What may hold a secret never gets into an image.",
            *_SECRETS,
            "# What the build makes itself.",
            *ignored,
        ]
    ) + "\n"  # fmt: skip


def _words(words: Iterable[str]) -> str:
    """Return words in the exec form, in ASCII and without <, so that no builder sees a here-document in them."""
    return json.dumps(list(words), ensure_ascii=True).replace("<", "\\u003c").replace("\x7f", "\\u007f")


def _shell(command: str) -> str:
    return _words(["/bin/sh", "-ec", command])


def _quoted(text: str) -> str:
    """Return a value of LABEL in quotes in which the builder expands nothing."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
