"""The commands that build an image into an archive, without root and without a daemon; they push nothing.

@AUTH@ is a config.json with logins, for base images that not everybody may pull; no step of a build sees it. @SECRET@
is the file of the credential for package sources, which the build's own steps read.
"""

from __future__ import annotations

from generator.ci.languages import LANGUAGES
from generator.ci.schema import Language
from generator.ci.settings import Settings

_LOGINS = "@OUT@/logins"


def secret_credential(settings: Settings, language: Language, own: str | None) -> str | None:
    """Return the id of the credential whose file is @SECRET@ in the commands; None where they have no such word."""
    return None if own is not None or settings.build_secret else settings.build_secrets.get(language)


def image_commands(settings: Settings, language: Language, name: str, own: str | None, archive: str) -> list[list[str]]:
    """Return the commands for the builder that the cluster has; `own` is a Dockerfile of the project's own.

    https://github.com/moby/buildkit/blob/master/docs/reference/buildctl.md, and buildah-build(1), buildah-push(1).
    """
    folder, _, filename = f"@WORK@/{own or 'Dockerfile'}".rpartition("/")
    arguments = {"REVISION": "@COMMIT@", "VERSION": "@TAG@"}
    secret = ""
    if own is None:
        ours = LANGUAGES[language]
        arguments |= {key: settings.sources[key] for key in ours.sources if key in settings.sources}
        credential = "@SECRET@" if secret_credential(settings, language, own) else ""
        file = settings.build_secret or credential or settings.sources.get(ours.secret.variable, "")
        secret = f"id={ours.secret.id},src={file}" if file else ""
    if settings.builder == "buildah":
        return [
            ["buildah", "build", "--isolation", "chroot", "--storage-driver", "vfs", "--format", "docker",
             "--authfile", "@AUTH@", *_each("--build-arg", arguments), *(["--secret", secret] if secret else []),
             "--file", f"{folder}/{filename}", "--tag", name, "@WORK@"],
            ["buildah", "push", "--storage-driver", "vfs", name, f"docker-archive:{archive}:{name}"],
            # The agent runs all the time, and vfs keeps each layer whole: its disk would be full after some runs.
            ["buildah", "rmi", "--storage-driver", "vfs", "--force", name],
        ]  # fmt: skip
    options = {f"build-arg:{key}": value for key, value in arguments.items()}
    return [
        # buildctl takes a folder, in which the file has this name.
        ["install", "-D", "-m", "600", "@AUTH@", f"{_LOGINS}/config.json"],
        ["env", f"DOCKER_CONFIG={_LOGINS}", "buildctl", "build", "--progress", "plain", "--frontend", "dockerfile.v0",
         "--local", "context=@WORK@", "--local", f"dockerfile={folder}", "--opt", f"filename={filename}",
         *_each("--opt", options), *(["--secret", secret] if secret else []), "--output",
         f"type=docker,name={name},dest={archive}"],
        ["rm", "-r", _LOGINS],
    ]  # fmt: skip


def _each(flag: str, values: dict[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in (flag, f"{key}={value}")]
